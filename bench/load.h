// What the benchmarks write, and with which options.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/status.h"

namespace slipstream::bench {

inline constexpr size_t kKeyBytes = 16;
inline constexpr char kMarkerKey[] = "marker";
inline constexpr char kDatabaseName[] = "bench";

// Keys and values by their number; the same in every process that has the same Data.
struct Data {
  uint64_t key_space = 5'000'000;
  uint64_t value_bytes = 100;
  uint64_t seed = 1;
  // Keys in order, each one new, in place of random ones.
  bool ascending = false;
  // Named "default", "cf1", "cf2", ...
  uint64_t column_families = 1;
  // The n-th column family gets a share of 1/n of what the first one gets, in place of the same.
  bool uneven = false;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Data, key_space, value_bytes, seed, ascending, column_families,
                                   uneven)

// A write buffer that no benchmark fills. RocksDB reserves as much on the disk for each WAL.
inline constexpr uint64_t kNeverFlush = 1ull << 30;

// Options of a database that differ between benchmarks; on all sides of one they are the same.
struct Shape {
  uint64_t write_buffer_bytes = 64ull << 20;
  uint64_t arena_block_bytes = 0;  // 0 = RocksDB's choice
  bool replay_memtable = false;    // of a writer
  bool concurrent_memtable = true;
  bool auto_compaction = true;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Shape, write_buffer_bytes, arena_block_bytes, replay_memtable,
                                   concurrent_memtable, auto_compaction)

// The same for every process of every side: level compaction, a WAL that is not synced.
rocksdb::Options DatabaseOptions(const Shape& shape);

// One call of the writer.
struct Load {
  uint64_t first_key = 0;    // number of the first key
  uint64_t keys = 0;         // so many; 0 = until the time is over
  uint64_t duration_ms = 0;  // so long at most; 0 = until all keys are written
  uint64_t rate = 0;         // keys per second; 0 = as fast as possible
  uint64_t batch = 1;        // keys in a write
  bool disable_wal = false;
  // A marker is written this often on average, in microseconds; 0 = none. The time between two of
  // them varies by half, so that they do not march in step with anything.
  uint64_t marker_interval_us = 0;
  bool markers_only = false;
  // What must have happened before CPU time is read: flushes and compactions have ended, and so
  // many followers have confirmed everything.
  bool settle = false;
  uint64_t followers = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Load, first_key, keys, duration_ms, rate, batch,
                                                disable_wal, marker_interval_us, markers_only,
                                                settle, followers)

// Room on the marker board for a load: twice what the interval asks for.
inline uint64_t MarkerCapacity(const Load& load) {
  return load.marker_interval_us == 0 ? 16
                                      : 2 * load.duration_ms * 1000 / load.marker_interval_us + 16;
}

// Threads: thread-compatible.
class KeyStream {
 public:
  explicit KeyStream(const Data& data);

  // Both slices are valid until the next call of the same function.
  rocksdb::Slice Key(uint64_t number);
  rocksdb::Slice Value(uint64_t number);
  // From 0 on.
  uint64_t ColumnFamily(uint64_t number) const;

 private:
  const Data data_;
  std::string values_;          // values are pieces of it
  std::vector<double> shares_;  // of uneven column families, added up
  char key_[kKeyBytes];
};

// The name of a column family by its number.
std::string ColumnFamilyName(uint64_t number);

// A random number that depends on both.
uint64_t Mix(uint64_t seed, uint64_t number);

// The whole content of a database, for comparison.
struct ContentDigest {
  uint64_t sequence = 0;
  uint64_t keys = 0;
  uint64_t hash = 0;  // of all keys and values in order

  bool operator==(const ContentDigest&) const = default;
  std::string ToString() const;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ContentDigest, sequence, keys, hash)

[[nodiscard]] rocksdb::Status DigestOf(rocksdb::DB* db,
                                       const std::vector<rocksdb::ColumnFamilyHandle*>& families,
                                       ContentDigest* digest);

}  // namespace slipstream::bench
