// What is in a FinishedTaskFeed: a bounded queue between the threads that end tasks and its reader.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/host/plain_mutex.h"
#include "lib/observe/task_record.h"

namespace slipstream::observe {

// A part for each shard of the task table, so that its writers meet only the reader. The records
// themselves are in it; the reader copies what they say, in its own time.
//
// Locks: a part's is taken while a shard's is held, and none while it is.
class FinishedTaskQueue {
 public:
  static constexpr size_t kParts = 16;

  explicit FinishedTaskQueue(size_t max_bytes) : max_bytes_(max_bytes) {}

  // True if the queue has become half full with it: then somebody calls Wake, without a lock.
  // Drops it if there is no room.
  [[nodiscard]] bool Push(size_t part, const std::shared_ptr<TaskRecord>& record, size_t bytes);
  void Wake();

  // Of the reader.
  void Wait(uint64_t timeout_us);
  std::vector<std::shared_ptr<TaskRecord>> Take(size_t max_tasks);

  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    std::shared_ptr<TaskRecord> record;
    size_t bytes = 0;
  };
  struct alignas(64) Part {
    PlainMutex mutex;
    std::vector<Entry> entries ABSL_GUARDED_BY(mutex);
  };

  const size_t max_bytes_;
  std::array<Part, kParts> parts_;
  std::atomic<size_t> bytes_{0};
  std::atomic<uint64_t> dropped_{0};
  std::deque<Entry> taken_;  // the reader's: out of the parts, counted in bytes_ still

  PlainMutex mutex_;
  std::condition_variable woken_;
  bool wake_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace slipstream::observe
