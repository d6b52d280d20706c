#include "lib/observe/finished_task_queue.h"

#include <algorithm>
#include <iterator>

#include "lib/host/steady_cond_var.h"

namespace slipstream::observe {

bool FinishedTaskQueue::Push(size_t part, const std::shared_ptr<TaskRecord>& record, size_t bytes) {
  const size_t before = bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (bytes > max_bytes_ || before > max_bytes_ - bytes) {
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  {
    Part& of = parts_[part];
    PlainLock lock(&of.mutex);
    of.entries.push_back({record, bytes});
  }
  const size_t half = max_bytes_ / 2;
  return before < half && before + bytes >= half;
}

void FinishedTaskQueue::Wake() {
  PlainLock lock(&mutex_);
  wake_ = true;
  woken_.notify_one();
}

void FinishedTaskQueue::Wait(uint64_t timeout_us) {
  const SteadyTime deadline = DeadlineIn(timeout_us);
  PlainLock lock(&mutex_);
  while (!wake_ && !lock.WaitUntil(&woken_, deadline)) {
  }
  wake_ = false;
}

std::vector<std::shared_ptr<TaskRecord>> FinishedTaskQueue::Take(size_t max_tasks) {
  if (taken_.empty()) {
    std::vector<Entry> all;
    for (Part& part : parts_) {
      std::vector<Entry> entries;
      {
        PlainLock lock(&part.mutex);
        entries.swap(part.entries);
      }
      std::move(entries.begin(), entries.end(), std::back_inserter(all));
    }
    std::sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) {
      return std::make_pair(a.record->ended_us(), a.record->id()) <
             std::make_pair(b.record->ended_us(), b.record->id());
    });
    std::move(all.begin(), all.end(), std::back_inserter(taken_));
  }
  std::vector<std::shared_ptr<TaskRecord>> records;
  while (!taken_.empty() && records.size() < max_tasks) {
    records.push_back(std::move(taken_.front().record));
    bytes_.fetch_sub(taken_.front().bytes, std::memory_order_relaxed);
    taken_.pop_front();
  }
  return records;
}

}  // namespace slipstream::observe
