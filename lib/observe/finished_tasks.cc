#include "lib/observe/finished_tasks.h"

#include <utility>

namespace slipstream::observe {

bool FinishedTasks::Add(TaskRecordPtr record, uint64_t now_us,
                        std::vector<TaskRecordPtr>* dropped) {
  Kept& kept = record->succeeded() ? succeeded_ : failed_;
  const size_t bytes = record->bytes();
  kept.entries.push_back({std::move(record), bytes});
  kept.bytes += bytes;
  kept.uncounted_bytes += bytes;
  if (++kept.uncounted_tasks < kUncounted) return true;
  return kept.Settle(now_us, dropped);
}

bool FinishedTasks::Settle(uint64_t now_us, std::vector<TaskRecordPtr>* dropped) {
  const bool succeeded = succeeded_.Settle(now_us, dropped);
  return failed_.Settle(now_us, dropped) && succeeded;
}

// Of all shards, and of this one in particular.
bool FinishedTasks::Kept::HasTooMany() const {
  return (budget->tasks.load(std::memory_order_relaxed) > budget->max_tasks &&
          entries.size() > budget->share_of_tasks) ||
         (budget->bytes.load(std::memory_order_relaxed) > budget->max_bytes &&
          bytes > budget->share_of_bytes);
}

bool FinishedTasks::Kept::Settle(uint64_t now_us, std::vector<TaskRecordPtr>* dropped) {
  budget->tasks.fetch_add(std::exchange(uncounted_tasks, 0), std::memory_order_relaxed);
  budget->bytes.fetch_add(std::exchange(uncounted_bytes, 0), std::memory_order_relaxed);
  while (!entries.empty() && (HasTooMany() || IsOver(entries.front(), now_us))) {
    const size_t of_oldest = entries.front().bytes;
    dropped->push_back(std::move(entries.front().record));
    entries.pop_front();
    bytes -= of_oldest;
    budget->tasks.fetch_sub(1, std::memory_order_relaxed);
    budget->bytes.fetch_sub(of_oldest, std::memory_order_relaxed);
  }
  return budget->tasks.load(std::memory_order_relaxed) <= budget->max_tasks &&
         budget->bytes.load(std::memory_order_relaxed) <= budget->max_bytes;
}

void FinishedTasks::AppendTo(std::vector<TaskRecordPtr>* out, uint64_t now_us) const {
  for (const Kept* kept : {&succeeded_, &failed_}) {
    // Threads end their tasks in another order than they read the clock, so one that is over may
    // stand behind one that is not.
    for (const Entry& entry : kept->entries) {
      if (!kept->IsOver(entry, now_us)) out->push_back(entry.record);
    }
  }
}

TaskRecordPtr FinishedTasks::Find(TaskId id, uint64_t now_us) const {
  for (const Kept* kept : {&succeeded_, &failed_}) {
    for (const Entry& entry : kept->entries) {
      if (entry.record->id() == id && !kept->IsOver(entry, now_us)) return entry.record;
    }
  }
  return nullptr;
}

}  // namespace slipstream::observe
