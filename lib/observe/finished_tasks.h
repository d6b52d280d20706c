// The tasks that have ended and are still visible, of one shard of the task table.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "lib/observe/task_record.h"

namespace slipstream::observe {

using TaskRecordPtr = std::shared_ptr<TaskRecord>;

// How long tasks that ended in one way are kept, and how many there are in all shards together.
class FinishedBudget {
 public:
  FinishedBudget(uint64_t keep_us, size_t max_tasks, size_t max_bytes, size_t shards)
      : keep_us(keep_us),
        max_tasks(max_tasks),
        max_bytes(max_bytes),
        share_of_tasks(max_tasks / shards),
        share_of_bytes(max_bytes / shards) {}

  const uint64_t keep_us;
  const size_t max_tasks;
  const size_t max_bytes;
  // What a shard may keep even when there are too many: when none keeps more, there are not.
  const size_t share_of_tasks;
  const size_t share_of_bytes;

  std::atomic<size_t> tasks{0};
  std::atomic<size_t> bytes{0};
};

struct FinishedBudgets {
  FinishedBudget* succeeded = nullptr;
  FinishedBudget* failed = nullptr;
};

// Keeps the ended tasks of a shard, so that a thread frees what it has made itself. Those that
// failed are kept apart, so that many that succeeded do not push them out.
//
// Threads: one at a time; the shard's lock is held. What goes is put into `dropped`, for the caller
// to destroy without it.
class FinishedTasks {
 public:
  explicit FinishedTasks(const FinishedBudgets& budgets)
      : succeeded_(budgets.succeeded), failed_(budgets.failed) {}

  // False if there are too many in all, and the other shards have to Settle.
  [[nodiscard]] bool Add(TaskRecordPtr record, uint64_t now_us,
                         std::vector<TaskRecordPtr>* dropped);

  // Counts what came since the last time, and drops what is over in time or beyond the budget.
  // False if there are too many still, this shard having no more than its share.
  bool Settle(uint64_t now_us, std::vector<TaskRecordPtr>* dropped);

  // Those that are visible at `now_us`.
  void AppendTo(std::vector<TaskRecordPtr>* out, uint64_t now_us) const;
  // Null if it is not visible.
  TaskRecordPtr Find(TaskId id, uint64_t now_us) const;

 private:
  // Tasks that come between two looks at what all shards share.
  static constexpr size_t kUncounted = 32;

  struct Entry {
    TaskRecordPtr record;
    size_t bytes = 0;
  };
  struct Kept {
    explicit Kept(FinishedBudget* b) : budget(b) {}
    FinishedBudget* const budget;
    std::deque<Entry> entries;
    size_t bytes = 0;
    size_t uncounted_tasks = 0;
    size_t uncounted_bytes = 0;

    bool Settle(uint64_t now_us, std::vector<TaskRecordPtr>* dropped);
    bool IsOver(const Entry& entry, uint64_t now_us) const {
      const uint64_t ended_us = entry.record->ended_us();
      return now_us >= ended_us && now_us - ended_us >= budget->keep_us;
    }
    bool HasTooMany() const;
  };

  Kept succeeded_;
  Kept failed_;
};

}  // namespace slipstream::observe
