// What a run finds out, shared by all of its threads: the first failure, the last operations, and
// counts.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace slipstream::oracle {

// Over all seeds. Relaxed counters for people.
struct Totals {
  std::atomic<uint64_t> seeds{0}, operations{0}, keys_written{0}, maintenance{0}, checkpoints{0},
      family_comparisons{0}, entries_compared{0}, read_your_writes{0}, reader_checks{0},
      snapshots{0}, held{0}, held_over_swap{0}, held_over_epoch{0}, lost_to_lease{0}, records{0},
      generations{0}, barriers{0}, gaps{0}, resyncs{0}, leader_restarts{0}, leader_crashes{0},
      lost_tails{0}, lost_operations{0}, refused_tails{0}, history_resets{0}, follower_opens{0},
      families_created{0}, families_dropped{0}, ingests{0}, range_file_deletions{0},
      objects_deleted{0}, sequences_corrected{0}, network_faults{0}, prepared{0}, rolled_back{0},
      leader_kills{0}, rewinds{0}, special_comparisons{0}, settled_comparisons{0},
      dropped_entries{0};
  // Of seeds: how many had it.
  std::atomic<uint64_t> memory_wal{0}, manual_wal{0}, torn_families{0}, three_followers{0},
      skip_lists{0}, small_limits{0}, timed{0}, fifo{0}, filtered{0};
};

// Threads: any.
class Verdict {
 public:
  explicit Verdict(Totals* counts) : totals(counts) {}

  // Only the first failure counts; what comes after is often its consequence.
  void Fail(const std::string& what) {
    absl::MutexLock lock(&mutex_);
    if (failed_.exchange(true)) return;
    failure_ = what;
    trace_at_failure_.assign(trace_.begin(), trace_.end());
  }
  bool failed() const { return failed_.load(std::memory_order_relaxed); }
  std::string failure() const {
    absl::MutexLock lock(&mutex_);
    return failure_;
  }

  // Remembers an operation among the last ones.
  void Trace(std::string operation) {
    constexpr size_t kKept = 60;
    absl::MutexLock lock(&mutex_);
    trace_.push_back(std::move(operation));
    if (trace_.size() > kKept) trace_.pop_front();
  }
  std::vector<std::string> LastOperations() const {
    absl::MutexLock lock(&mutex_);
    if (failed_) return trace_at_failure_;
    return {trace_.begin(), trace_.end()};
  }

  Totals* const totals;

 private:
  mutable absl::Mutex mutex_;
  std::atomic<bool> failed_{false};
  std::string failure_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> trace_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> trace_at_failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream::oracle
