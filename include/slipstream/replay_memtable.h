// A memtable made for replay: for one writer and any number of readers, who take no lock.
//
// Followers use it by default. A leader may: LeaderOptions::replay_memtable. It can be used in any
// RocksDB database that is opened with DBOptions::allow_concurrent_memtable_write = false.
//
// When it pays. Cost against RocksDB's skip list, as bench_memtable printed it on 2 busy cores (800
// thousand random 16-byte keys, 100-byte values, BytewiseComparator; medians, bench/README.md has
// ranges): insert 0.22 one by one, 0.15 in batches of 100; Get 0.17; Seek and 100 Next 0.46,
// SeekForPrev and 100 Prev 0.10; full scan 0.45, backwards 0.10; memory 1.08. A leader with its WAL
// on needed 0.40 of the time with 1 writer, 0.48 with 4 (batches of 1), and for 0.24 and 0.28
// (batches of 100). Least is gained where keys arrive in order: insert 0.57, Get 0.38, Seek and 100
// Next 0.91, full scan 1.06. The skip list inserts concurrently and this one does not: with many
// more writers than 4, on as many free cores, measure before choosing.
#pragma once

#include <memory>

#include "rocksdb/comparator.h"
#include "rocksdb/memtablerep.h"
#include "rocksdb/options.h"
#include "rocksdb/status.h"

namespace slipstream {

struct ReplayMemTableOptions {
  // The comparator of the column family that uses the factory, if it is BytewiseComparator(): its
  // keys are then compared eight bytes at a time. With every other comparator, and nullptr, entries
  // are ordered by the column family's own comparator, whichever it is, which gains less.
  // Naming BytewiseComparator() for a column family that has another one makes its reads wrong;
  // UseReplayMemTable does not get it wrong.
  // Default: nullptr.
  const rocksdb::Comparator* comparator = nullptr;
};

// Returns a factory of memtables in the form of a B-link tree. Everything that RocksDB's skip list
// can do works, except concurrent inserts: DB::Open returns InvalidArgument for a database that has
// allow_concurrent_memtable_write. All memory comes from the memtable's arena and is counted there.
//
// Threads: as for every factory, one may serve any number of column families and databases.
std::shared_ptr<rocksdb::MemTableRepFactory> NewReplayMemTableFactory(
    const ReplayMemTableOptions& options = ReplayMemTableOptions());

// Sets options->memtable_factory to a replay memtable that fits options->comparator.
// Returns InvalidArgument, and changes nothing, if the options name another memtable than RocksDB's
// default (a SkipListFactory without lookahead).
[[nodiscard]] rocksdb::Status UseReplayMemTable(rocksdb::ColumnFamilyOptions* options);

// Makes the factory known to RocksDB's ObjectRegistry, so that this process can load an OPTIONS
// file that names it ("ReplayMemTableFactory"). NewReplayMemTableFactory does so too; only a tool
// that reads such a file before it has made a factory needs this. Idempotent.
// Threads: any.
void RegisterReplayMemTable();

}  // namespace slipstream
