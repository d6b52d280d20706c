// Which RocksDB options a leader can replicate. What is refused would break the rule that every
// prefix of the replication log is a directory that DB::Open can recover, or would pass by the
// leader's file system. The README has the table of what is refused and why.
#pragma once

#include <string>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/options.h"

namespace slipstream {

// All return InvalidArgument naming the option, its value, and the reason.
// path: the database's directory.
[[nodiscard]] rocksdb::Status CheckReplicable(
    const rocksdb::DBOptions& options, const std::string& path,
    const std::vector<rocksdb::ColumnFamilyDescriptor>& column_families);
// What goes with WALs that are kept in memory alone.
[[nodiscard]] rocksdb::Status CheckMemoryWal(const rocksdb::DBOptions& options);
// The options of one column family.
[[nodiscard]] rocksdb::Status CheckReplicable(const std::string& name,
                                              const rocksdb::ColumnFamilyOptions& options,
                                              const std::string& path);
// Of what only the open database tells: the write policy of a TransactionDB.
[[nodiscard]] rocksdb::Status CheckReplicable(rocksdb::DB* db);

// Checks the options of a leader with LeaderOptions::replay_memtable, before they are adjusted.
// Returns InvalidArgument naming the option, its value and what was expected.
[[nodiscard]] rocksdb::Status CheckReplayMemTable(
    const rocksdb::DBOptions& options,
    const std::vector<rocksdb::ColumnFamilyDescriptor>& column_families);

// Gives each column family the replay memtable. Returns InvalidArgument naming the one that has
// another memtable.
[[nodiscard]] rocksdb::Status SetReplayMemTable(
    std::vector<rocksdb::ColumnFamilyDescriptor>* column_families);

}  // namespace slipstream
