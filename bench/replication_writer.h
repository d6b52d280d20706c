// The process that writes: a plain RocksDB, or a leader.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "bench/child_process.h"
#include "bench/replication_load.h"
#include "rocksdb/status.h"

namespace slipstream::bench {

struct WriterSettings {
  bool is_leader = false;
  std::string directory;  // of the database
  std::string storage;    // shared storage of a leader
  ReplicationLoad load;
  uint64_t max_batch_delay_us = 0;  // LeaderOptions::max_batch_delay_us
  uint64_t followers = 0;           // that must have everything before CPU time is read
  int board_fd = -1;
  uint64_t board_readers = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(WriterSettings, is_leader, directory, storage, load,
                                   max_batch_delay_us, followers, board_fd, board_readers)

// Everything that the load cost, including the flushes and compactions that it caused.
struct WriterResult {
  uint64_t keys = 0;              // with the markers
  double write_seconds = 0;       // until the last write returned
  double cpu_seconds = 0;         // of the process, without pacing
  double pacing_cpu_seconds = 0;  // of the writing thread in its sleeps
  uint64_t switches = 0;
  uint64_t preemptions = 0;
  uint64_t last_marker = 0;
  std::string position;  // of a leader
  uint64_t sequence = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(WriterResult, keys, write_seconds, cpu_seconds,
                                   pacing_cpu_seconds, switches, preemptions, last_marker, position,
                                   sequence)

// Answers {"port"} once the database is open, then obeys: load -> WriterResult, digest ->
// ContentDigest, quit.
[[nodiscard]] rocksdb::Status RunWriter(const WriterSettings& settings, ChildEnd* parent);

}  // namespace slipstream::bench
