#include "bench/process_usage.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "bench/cpu_time.h"

namespace slipstream::bench {

namespace {
constexpr uint64_t kLookUs = 10'000;

std::string FirstLine(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}
}  // namespace

uint64_t MemoryOfThisProcess() {
  std::ifstream in("/proc/self/status");
  for (std::string word; in >> word;) {
    uint64_t kib = 0;
    if (word == "RssAnon:" && in >> kib) return kib << 10;
  }
  return 0;
}

std::map<std::string, double> CpuByThread() {
  std::map<std::string, double> seconds;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    // A thread may end meanwhile; then there is no number.
    const std::string ns = FirstLine(task.path() / "schedstat");
    seconds[FirstLine(task.path() / "comm")] += ns.empty() ? 0 : std::stod(ns) * 1e-9;
  }
  return seconds;
}

void MemoryWatch::Run() {
  while (!stopping_) {
    Look();
    SleepUs(kLookUs);
  }
}

void MemoryWatch::Look() {
  MemoryPeaks now;
  now.process_bytes = MemoryOfThisProcess();
  if (Follower* follower = database_->follower(); follower != nullptr) {
    const FollowerStats stats = follower->stats();
    now.memtable_bytes = stats.memtable_bytes;
    now.image_bytes = stats.image_bytes;
    now.receive_queue_bytes = stats.receive_queue_bytes;
    now.live_generations = stats.live_generations;
  } else {
    database_->db()->GetAggregatedIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables,
                                              &now.memtable_bytes);
  }
  if (Leader* leader = database_->leader(); leader != nullptr) {
    now.replication_log_bytes = leader->stats().replication_log_bytes;
  }
  now.beyond_memtable_bytes = now.process_bytes - std::min(now.process_bytes, now.memtable_bytes);
  for (const auto member : {&MemoryPeaks::process_bytes, &MemoryPeaks::memtable_bytes,
                            &MemoryPeaks::beyond_memtable_bytes, &MemoryPeaks::image_bytes,
                            &MemoryPeaks::receive_queue_bytes, &MemoryPeaks::replication_log_bytes,
                            &MemoryPeaks::live_generations}) {
    peaks_.*member = std::max(peaks_.*member, now.*member);
  }
}

}  // namespace slipstream::bench
