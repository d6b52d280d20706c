#include "lib/observe/task_table.h"

#include <algorithm>
#include <utility>

#include "lib/host/steady_clock.h"

namespace slipstream::observe {

TaskTable::TaskTable(const TaskRegistryOptions& o)
    : limits_{o.max_status_bytes, o.max_status_changes, o.max_attribute_bytes},
      max_running_(o.max_running_tasks),
      now_us_(o.now_us),
      succeeded_(o.keep_finished_ms * 1000, o.keep_finished_tasks, o.max_finished_bytes, kShards),
      failed_(o.keep_failed_ms * 1000, o.keep_failed_tasks, o.max_finished_bytes, kShards) {
  for (Shard& shard : shards_) {
    PlainLock lock(&shard.mutex);
    shard.finished.emplace(FinishedBudgets{&succeeded_, &failed_});
  }
}

uint64_t TaskTable::NowMicros() const { return now_us_ ? now_us_() : SteadyMicros(); }

size_t TaskTable::ShardOfThisThread() {
  static std::atomic<size_t> threads{0};
  thread_local const size_t shard = threads.fetch_add(1, std::memory_order_relaxed) % kShards;
  return shard;
}

TaskRecordPtr TaskTable::Begin(std::string_view kind,
                               std::initializer_list<TaskAttribute> attributes,
                               const TaskOptions& options) {
  auto record = std::make_shared<TaskRecord>(kind, attributes, options, limits_, NowMicros());
  const size_t home = ShardOfThisThread();
  // Another shard only when there is no room left to take.
  for (size_t i = 0; i < kShards; ++i) {
    if (Place((home + i) % kShards, record)) return record;
  }
  unregistered_.fetch_add(1, std::memory_order_relaxed);
  return nullptr;
}

bool TaskTable::Place(size_t index, const TaskRecordPtr& record) {
  Shard& shard = shards_[index];
  PlainLock lock(&shard.mutex);
  uint32_t at = 0;
  if (!shard.free.empty()) {
    at = shard.free.back();
    shard.free.pop_back();
  } else {
    if (shard.may_grow_by == 0) shard.may_grow_by = TakeSlots();
    if (shard.may_grow_by == 0) return false;
    --shard.may_grow_by;
    at = static_cast<uint32_t>(shard.slots.size());
    shard.slots.emplace_back();
  }
  const TaskId id = (++shard.last_serial << kShardBits) | index;
  record->SetPlace(id, at);
  shard.slots[at] = {id, record};
  return true;
}

size_t TaskTable::TakeSlots() {
  size_t taken = slots_taken_.load(std::memory_order_relaxed);
  for (;;) {
    const size_t more = std::min(kSlotGroup, max_running_ - taken);
    if (more == 0) return 0;
    if (slots_taken_.compare_exchange_weak(taken, taken + more, std::memory_order_relaxed)) {
      return more;
    }
  }
}

void TaskTable::Retire(const TaskRecord& record) {
  TaskRecordPtr ended;                 // destroyed without the lock,
  std::vector<TaskRecordPtr> dropped;  // as are these
  std::vector<std::shared_ptr<FinishedTaskQueue>> filled;
  const uint64_t now_us = record.ended_us();
  const size_t index = record.id() % kShards;
  Shard& shard = shards_[index];
  const bool kept = record.kept();
  bool settled = true;
  {
    PlainLock lock(&shard.mutex);
    Slot& slot = shard.slots[record.slot()];
    ended = std::move(slot.record);
    slot = {};
    shard.free.push_back(record.slot());
    if (kept) {
      if (!shard.queues.empty()) filled = PutIntoQueues(index, &shard, ended);
      settled = shard.finished->Add(std::move(ended), now_us, &dropped);
    }
  }
  for (const auto& queue : filled) queue->Wake();
  if (!settled) SettleAll(now_us);
}

std::vector<std::shared_ptr<FinishedTaskQueue>> TaskTable::PutIntoQueues(
    size_t index, Shard* shard, const TaskRecordPtr& record) {
  std::vector<std::shared_ptr<FinishedTaskQueue>> filled;
  const size_t bytes = record->bytes();
  for (const auto& queue : shard->queues) {
    if (queue->Push(index, record, bytes)) filled.push_back(queue);
  }
  return filled;
}

void TaskTable::AddQueue(const std::shared_ptr<FinishedTaskQueue>& queue) {
  for (Shard& shard : shards_) {
    PlainLock lock(&shard.mutex);
    shard.queues.push_back(queue);
  }
}

void TaskTable::RemoveQueue(const std::shared_ptr<FinishedTaskQueue>& queue) {
  for (Shard& shard : shards_) {
    PlainLock lock(&shard.mutex);
    std::erase(shard.queues, queue);
  }
}

void TaskTable::SettleAll(uint64_t now_us) {
  std::vector<TaskRecordPtr> dropped;
  // Once more for the shards that came before one that had something to count.
  bool settled = false;
  for (int pass = 0; pass < 2 && !settled; ++pass) {
    settled = true;
    for (Shard& shard : shards_) {
      PlainLock lock(&shard.mutex);
      settled = shard.finished->Settle(now_us, &dropped) && settled;
    }
  }
}

void TaskTable::VisitSlots(Shard* shard, const std::function<bool(const Slot&)>& visit) {
  // A task stays in its slot for as long as it runs, so the lock may be left in between.
  for (size_t begin = 0;; begin += kSlotGroup) {
    PlainLock lock(&shard->mutex);
    const size_t end = std::min(begin + kSlotGroup, shard->slots.size());
    if (begin >= end) return;
    for (size_t i = begin; i < end; ++i) {
      const Slot& slot = shard->slots[i];
      if (slot.record != nullptr && !visit(slot)) return;
    }
  }
}

std::vector<TaskRecordPtr> TaskTable::All() {
  const uint64_t now_us = NowMicros();
  SettleAll(now_us);
  std::vector<TaskRecordPtr> all;
  for (Shard& shard : shards_) {
    VisitSlots(&shard, [&](const Slot& slot) {
      all.push_back(slot.record);
      return true;
    });
    // After the running ones, so that one that ends meanwhile is not missed.
    PlainLock lock(&shard.mutex);
    shard.finished->AppendTo(&all, now_us);
  }
  std::sort(all.begin(), all.end(), [](const TaskRecordPtr& a, const TaskRecordPtr& b) {
    return std::make_pair(a->began_us(), a->id()) < std::make_pair(b->began_us(), b->id());
  });
  // One that ended meanwhile may have been seen twice.
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

TaskRecordPtr TaskTable::Find(TaskId id) {
  Shard& shard = shards_[id % kShards];
  TaskRecordPtr found;
  VisitSlots(&shard, [&](const Slot& slot) {
    if (slot.id != id) return true;
    found = slot.record;
    return false;
  });
  if (found != nullptr) return found;
  const uint64_t now_us = NowMicros();
  PlainLock lock(&shard.mutex);
  return shard.finished->Find(id, now_us);
}

TaskRegistryStats TaskTable::stats() {
  SettleAll(NowMicros());
  TaskRegistryStats stats;
  for (Shard& shard : shards_) {
    PlainLock lock(&shard.mutex);
    stats.running += shard.slots.size() - shard.free.size();
  }
  stats.finished = succeeded_.tasks + failed_.tasks;
  stats.finished_bytes = succeeded_.bytes + failed_.bytes;
  stats.unregistered = unregistered_.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace slipstream::observe
