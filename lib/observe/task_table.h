// All tasks of a registry, spread over shards so that threads do not share a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/host/plain_mutex.h"
#include "lib/observe/finished_task_queue.h"
#include "lib/observe/finished_tasks.h"
#include "lib/observe/task_record.h"

namespace slipstream::observe {

// A thread begins its tasks in one shard, and a task ends in the shard that it began in. Ended
// tasks leave a shard in groups, so that the lock of FinishedTasks is taken once for many of them.
//
// Locks: a shard's, then that of FinishedTasks or of a queue's part; a record's own is taken last,
// or alone. Threads: any.
class TaskTable {
 public:
  explicit TaskTable(const TaskRegistryOptions& options);

  uint64_t NowMicros() const;

  // Null if there are too many already.
  TaskRecordPtr Begin(std::string_view kind, std::initializer_list<TaskAttribute> attributes,
                      const TaskOptions& options);
  // REQUIRES: `record` is of Begin and has ended; once for each.
  void Retire(const TaskRecord& record);

  // All that are visible, each once, those that began first first.
  std::vector<TaskRecordPtr> All();
  // Null if it is unknown.
  TaskRecordPtr Find(TaskId id);
  TaskRegistryStats stats();

  // Each task that ends from now on goes there, too.
  void AddQueue(const std::shared_ptr<FinishedTaskQueue>& queue);
  // None goes there any more.
  void RemoveQueue(const std::shared_ptr<FinishedTaskQueue>& queue);

 private:
  static constexpr size_t kShards = FinishedTaskQueue::kParts;
  static constexpr size_t kShardBits = 4;
  // Slots that a shard takes from the number of all at a time, and slots that are read in one go
  // with its lock held.
  static constexpr size_t kSlotGroup = 64;

  struct Slot {
    TaskId id = 0;
    TaskRecordPtr record;  // null = free
  };
  struct alignas(64) Shard {
    PlainMutex mutex;
    std::deque<Slot> slots ABSL_GUARDED_BY(mutex);  // never moved
    std::vector<uint32_t> free ABSL_GUARDED_BY(mutex);
    size_t may_grow_by ABSL_GUARDED_BY(mutex) = 0;
    uint64_t last_serial ABSL_GUARDED_BY(mutex) = 0;
    std::optional<FinishedTasks> finished ABSL_GUARDED_BY(mutex);  // set at once
    // The same in all shards.
    std::vector<std::shared_ptr<FinishedTaskQueue>> queues ABSL_GUARDED_BY(mutex);
  };

  static size_t ShardOfThisThread();
  // False if the shard has no room.
  bool Place(size_t shard, const TaskRecordPtr& record);
  size_t TakeSlots();
  // Into the queues of its shard. Returns those that have become half full.
  std::vector<std::shared_ptr<FinishedTaskQueue>> PutIntoQueues(size_t index, Shard* shard,
                                                                const TaskRecordPtr& record)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard->mutex);
  // Brings the ended tasks of all shards into their budgets.
  void SettleAll(uint64_t now_us);
  // Calls `visit` with each slot that is in use, with the shard's lock held; ends when it returns
  // false.
  static void VisitSlots(Shard* shard, const std::function<bool(const Slot&)>& visit);

  const TextLimits limits_;
  const size_t max_running_;
  const std::function<uint64_t()> now_us_;
  std::array<Shard, kShards> shards_;
  std::atomic<size_t> slots_taken_{0};
  std::atomic<uint64_t> unregistered_{0};
  FinishedBudget succeeded_;
  FinishedBudget failed_;
};

}  // namespace slipstream::observe
