// What this process uses: memory, and CPU by the names of its threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "bench/database.h"

namespace slipstream::bench {

// Bytes of memory that are this process's alone (RssAnon); 0 if the system does not tell.
uint64_t MemoryOfThisProcess();

// Seconds of CPU by name of thread, of the threads that live.
std::map<std::string, double> CpuByThread();

// The highest values over some time.
struct MemoryPeaks {
  uint64_t process_bytes = 0;
  uint64_t memtable_bytes = 0;  // a writer's that are not flushed; a follower's of its generation
  // process_bytes - memtable_bytes of the same moment.
  uint64_t beyond_memtable_bytes = 0;
  uint64_t image_bytes = 0;
  uint64_t receive_queue_bytes = 0;
  uint64_t replication_log_bytes = 0;
  uint64_t live_generations = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(MemoryPeaks, process_bytes, memtable_bytes,
                                   beyond_memtable_bytes, image_bytes, receive_queue_bytes,
                                   replication_log_bytes, live_generations)

// Looks at the memory of this process every few milliseconds.
// Threads: Begin and End from one.
class MemoryWatch {
 public:
  explicit MemoryWatch(Database* database) : database_(database) {}
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;
  ~MemoryWatch() { Stop(); }

  void Begin() {
    thread_ = std::thread([this] { Run(); });
  }
  MemoryPeaks End() {
    Stop();
    return peaks_;
  }

 private:
  void Run();
  void Look();
  void Stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

  Database* const database_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  MemoryPeaks peaks_;  // of the thread, until it has ended
};

}  // namespace slipstream::bench
