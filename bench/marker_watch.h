// MarkerWatch: a thread of a reading process that notes when it sees each marker.
#pragma once

#include <atomic>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/cpu_time.h"
#include "bench/database.h"
#include "bench/marker_board.h"

namespace slipstream::bench {

struct WatchSettings {
  // The marker is looked at this often, in microseconds; 0 = not at all, and then there is no
  // thread. Of a secondary, this is how often it catches up, with a look after each time.
  uint64_t period_us = 0;
  uint64_t reader = 0;  // row of the board
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(WatchSettings, period_us, reader)

// What a reading process used between Begin and End, without the looks and the sleeps between
// them; with TryCatchUpWithPrimary, which the same thread calls.
struct WatchResult {
  double cpu_seconds = 0;
  double measuring_cpu_seconds = 0;  // what was left out
  uint64_t looks = 0;
  uint64_t failed_catch_ups = 0;
  uint64_t switches = 0;
  uint64_t preemptions = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(WatchResult, cpu_seconds, measuring_cpu_seconds, looks,
                                   failed_catch_ups, switches, preemptions)

// Threads: Begin and End from one.
class MarkerWatch {
 public:
  // Both outlive this object. board: nullptr if markers are not looked at.
  MarkerWatch(const WatchSettings& settings, Database* database, MarkerBoard* board)
      : settings_(settings), database_(database), board_(board) {}
  MarkerWatch(const MarkerWatch&) = delete;
  MarkerWatch& operator=(const MarkerWatch&) = delete;
  ~MarkerWatch() { Stop(); }

  void Begin();
  // Ends after one more look. REQUIRES: everything is visible.
  WatchResult End();

 private:
  void Run();
  void CatchUp();
  void Look();
  void Pause() const;
  void Stop();

  const WatchSettings settings_;
  Database* const database_;
  MarkerBoard* const board_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  CpuTime before_;
  // Of the thread; others read them after it has ended.
  rocksdb::PinnableSlice value_;
  uint64_t seen_ = 0;
  uint64_t catch_up_cpu_ns_ = 0;
  CpuTime thread_cpu_;
  WatchResult result_;
};

}  // namespace slipstream::bench
