// What every side of bench_replication writes, and with which options.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/status.h"

namespace slipstream::bench {

inline constexpr size_t kKeyBytes = 16;
inline constexpr char kMarkerKey[] = "marker";
inline constexpr char kDatabaseName[] = "bench";

// A marker is written this often on average, in nanoseconds; the time between two of them varies
// by half, so that they do not march in step with anything.
inline constexpr uint64_t kMarkerIntervalNs = 1'000'000;

struct ReplicationLoad {
  uint64_t rate = 50'000;  // keys per second; 0 = as fast as possible
  uint64_t batch = 1;      // keys in a write
  uint64_t key_space = 5'000'000;
  uint64_t value_bytes = 100;
  uint64_t write_buffer_bytes = 64ull << 20;
  uint64_t preload = 0;  // keys in SST files before the round begins
  uint64_t duration_ms = 5'000;
  uint64_t seed = 1;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ReplicationLoad, rate, batch, key_space, value_bytes,
                                   write_buffer_bytes, preload, duration_ms, seed)

// Room on the marker board for a round: twice what the interval asks for.
inline uint64_t MarkerCapacity(const ReplicationLoad& load) {
  return 2 * load.duration_ms * 1'000'000 / kMarkerIntervalNs + 16;
}

// The same for every process of every side, with level compaction and a WAL that is not synced.
rocksdb::Options DatabaseOptions(const ReplicationLoad& load);

// Random keys and values; the same seed gives the same ones.
// Threads: thread-compatible.
class KeyStream {
 public:
  explicit KeyStream(const ReplicationLoad& load);

  // Both slices are valid until the next call.
  rocksdb::Slice NextKey();
  rocksdb::Slice NextValue();

 private:
  const uint64_t key_space_;
  const size_t value_bytes_;
  uint64_t state_;
  std::string values_;  // values are pieces of it
  char key_[kKeyBytes];
};

// The whole content of a database, for comparison.
struct ContentDigest {
  uint64_t sequence = 0;
  uint64_t keys = 0;
  uint64_t hash = 0;  // of all keys and values in order

  bool operator==(const ContentDigest&) const = default;
  std::string ToString() const;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ContentDigest, sequence, keys, hash)

[[nodiscard]] rocksdb::Status DigestOf(rocksdb::DB* db, ContentDigest* digest);

}  // namespace slipstream::bench
