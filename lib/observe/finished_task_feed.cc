#include "slipstream/observe/finished_task_feed.h"

#include "lib/observe/finished_task_queue.h"
#include "lib/observe/task_record.h"
#include "lib/observe/task_table.h"

namespace slipstream::observe {

FinishedTaskFeed::FinishedTaskFeed(TaskTable* table, size_t max_bytes)
    : table_(table), queue_(std::make_shared<FinishedTaskQueue>(max_bytes)) {
  table_->AddQueue(queue_);
}

FinishedTaskFeed::~FinishedTaskFeed() { table_->RemoveQueue(queue_); }

void FinishedTaskFeed::Wait(uint64_t timeout_us) { queue_->Wait(timeout_us); }

void FinishedTaskFeed::Interrupt() { queue_->Wake(); }

void FinishedTaskFeed::Take(size_t max_tasks, std::vector<FinishedTask>* out) {
  for (const TaskRecordPtr& record : queue_->Take(max_tasks)) {
    out->push_back({record->Info(), record->History()});
  }
}

uint64_t FinishedTaskFeed::dropped() const { return queue_->dropped(); }

size_t FinishedTaskFeed::bytes() const { return queue_->bytes(); }

}  // namespace slipstream::observe
