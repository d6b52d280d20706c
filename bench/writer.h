// Writer: writes a load to a database, at its rate, with markers.
#pragma once

#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "bench/database.h"
#include "bench/load.h"
#include "bench/marker_board.h"
#include "rocksdb/status.h"
#include "rocksdb/write_batch.h"

namespace slipstream::bench {

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

  double keys_per_second() const { return static_cast<double>(keys) / write_seconds; }
  double cpu_per_million() const { return cpu_seconds / static_cast<double>(keys) * 1e6; }
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(WriterResult, keys, write_seconds, cpu_seconds,
                                   pacing_cpu_seconds, switches, preemptions, last_marker, position,
                                   sequence)

// Threads: one.
class Writer {
 public:
  // database: open; outlives this object.
  // board: nullptr if there are no markers.
  Writer(const Data& data, Database* database, MarkerBoard* board)
      : database_(database), board_(board), keys_(data), marker_dice_(data.seed) {}

  // A first marker, so that a database has something in it that readers can look for.
  [[nodiscard]] rocksdb::Status WriteFirst();
  // Returns TimedOut if flushes and compactions, or followers, take more than 60 s.
  [[nodiscard]] rocksdb::Status Write(const Load& load, WriterResult* result);
  // Writes all memtables to SST files.
  [[nodiscard]] rocksdb::Status Flush();
  // Waits for the flushes and compactions that the writes have caused.
  [[nodiscard]] rocksdb::Status Settle();

 private:
  rocksdb::Status WriteBatch(const Load& load, uint64_t first, uint64_t count);
  rocksdb::Status WriteMarker();
  rocksdb::Status WriteAll(const Load& load, WriterResult* result);
  uint64_t NextMarkerNs(const Load& load, uint64_t now_ns) {
    const uint64_t interval_ns = load.marker_interval_us * 1000;
    return now_ns + interval_ns / 2 + marker_dice_() % interval_ns;
  }

  Database* const database_;
  MarkerBoard* const board_;
  KeyStream keys_;
  std::minstd_rand marker_dice_;
  rocksdb::WriteBatch batch_;
  uint64_t marker_ = 0;
};

}  // namespace slipstream::bench
