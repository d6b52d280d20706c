// The process that reads: a follower, or a stock secondary.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "bench/child_process.h"
#include "bench/replication_load.h"
#include "rocksdb/status.h"

namespace slipstream::bench {

struct ReaderSettings {
  bool is_follower = false;
  std::string directory;      // the writer's database, for a secondary
  std::string own_directory;  // where a secondary keeps its info log
  std::string storage;        // shared storage, for a follower
  int port = 0;               // the leader's
  ReplicationLoad load;
  // A follower's marker is looked at this often, in microseconds; 0 = in a tight loop.
  uint64_t look_us = 0;
  // A secondary catches up this often, in microseconds.
  uint64_t catch_up_us = 0;
  int board_fd = -1;
  uint64_t board_readers = 0;
  uint64_t reader = 0;  // which one this is
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ReaderSettings, is_follower, directory, own_directory, storage,
                                   port, load, look_us, catch_up_us, board_fd, board_readers,
                                   reader)

struct ReaderResult {
  // Of the process, without the measuring: of a follower all but the thread that looks at the
  // marker; of a secondary too, but its TryCatchUpWithPrimary, which that thread calls, counts.
  double cpu_seconds = 0;
  double measuring_cpu_seconds = 0;  // what was left out
  double catch_up_cpu_seconds = 0;   // in TryCatchUpWithPrimary; part of cpu_seconds
  uint64_t looks = 0;
  uint64_t failed_catch_ups = 0;
  uint64_t switches = 0;  // without those of the measuring thread
  uint64_t preemptions = 0;
  nlohmann::json stats;  // FollowerStats of interest
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ReaderResult, cpu_seconds, measuring_cpu_seconds,
                                   catch_up_cpu_seconds, looks, failed_catch_ups, switches,
                                   preemptions, stats)

// Answers {"open"} once the database can be read, then obeys: watch -> {"watching"}, finish (with
// the position and sequence number to reach) -> ReaderResult, digest -> ContentDigest, quit.
[[nodiscard]] rocksdb::Status RunReader(const ReaderSettings& settings, ChildEnd* parent);

}  // namespace slipstream::bench
