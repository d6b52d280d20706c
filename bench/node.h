// A node: one process of a benchmark, with a database, that does what its parent says.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "bench/child_process.h"
#include "bench/database.h"
#include "bench/marker_watch.h"
#include "rocksdb/status.h"

namespace slipstream::bench {

struct NodeSettings {
  DatabaseSettings database;
  WatchSettings watch;
  // A MarkerBoard; -1 = none.
  int board_fd = -1;
  uint64_t board_markers = 0;
  uint64_t board_readers = 0;
  int core = -1;  // the process runs on this one alone; -1 = where it likes
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(NodeSettings, database, watch, board_fd, board_markers,
                                   board_readers, core)

// Answers {"port", "open_ns"} once the database can be read, with a first Get done, then obeys:
//   load {"load"}                        -> WriterResult
//   flush                                -> {}, once flushes and compactions have ended
//   watch                                -> {}
//   watch_end {"position", "sequence"}   -> WatchResult, once that is visible
//   reach {"position", "sequence"}       -> {"ns"}: NowNs when that was visible
//   query {"settings"}, query_end        -> {}, QueryResult
//   memory, memory_end                   -> {}, MemoryPeaks
//   usage                                -> {"cpu_seconds", "threads", "stats"}
//   rebuild {"rebuilds"}                 -> {}, once a follower has built so many generations
//   ingest {"files"}                     -> {}, with so many small SST files more
//   digest                               -> ContentDigest
//   quit
[[nodiscard]] rocksdb::Status RunNode(const NodeSettings& settings, ChildEnd* parent);

}  // namespace slipstream::bench
