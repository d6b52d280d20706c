#include "slipstream/observe/task.h"

#include <exception>
#include <utility>

#include "lib/observe/task_record.h"
#include "lib/observe/task_table.h"

namespace slipstream::observe {
namespace {

// Read by signal handlers of the same thread, too: known when the thread starts, never allocated.
constinit thread_local volatile TaskId current_task = 0;

TaskOptions WithParent(TaskOptions options, TaskId parent) {
  if (options.parent == 0) options.parent = parent;
  return options;
}

}  // namespace

Task::Task(TaskRegistry* registry, std::string_view kind,
           std::initializer_list<TaskAttribute> attributes, const TaskOptions& options)
    : registry_(registry) {
  if (registry_ == nullptr) return;
  record_ = registry_->table_->Begin(kind, attributes, options);
  if (record_ != nullptr) id_ = record_->id();
}

Task::~Task() { Finish(rocksdb::Status::OK()); }

Task::Task(Task&& other) noexcept
    : registry_(std::exchange(other.registry_, nullptr)),
      record_(std::move(other.record_)),
      id_(std::exchange(other.id_, 0)) {}

Task& Task::operator=(Task&& other) noexcept {
  if (this == &other) return *this;
  Finish(rocksdb::Status::OK());
  registry_ = std::exchange(other.registry_, nullptr);
  record_ = std::move(other.record_);
  id_ = std::exchange(other.id_, 0);
  return *this;
}

void Task::SetAttribute(std::string_view key, std::string_view value) {
  if (record_ != nullptr) record_->SetAttribute(key, value);
}

void Task::SetStatus(std::string_view status) {
  if (record_ != nullptr) record_->SetStatus(status, registry_->table_->NowMicros());
}

void Task::SetProgress(uint64_t done, uint64_t total, std::string_view unit) {
  if (record_ != nullptr) record_->SetProgress(done, total, unit);
}

void Task::SetBlocker(const Blocker& blocker) {
  if (record_ != nullptr) record_->SetBlocker(blocker);
}

void Task::Finish(const rocksdb::Status& status) {
  if (record_ == nullptr || record_->ended_us() != 0) return;
  TaskTable* table = registry_->table_.get();
  if (record_->End(status, table->NowMicros())) table->Retire(*record_);
}

TaskScope::TaskScope(TaskRegistry* registry, std::string_view kind,
                     std::initializer_list<TaskAttribute> attributes, TaskOptions options)
    : outer_(current_task),
      exceptions_(std::uncaught_exceptions()),
      task_(registry, kind, attributes, WithParent(options, outer_)) {
  if (task_.id() != 0) current_task = task_.id();
}

TaskScope::~TaskScope() {
  current_task = outer_;
  if (std::uncaught_exceptions() > exceptions_) {
    task_.Finish(rocksdb::Status::Aborted("left by an exception"));
  }
}

TaskId TaskScope::Current() { return current_task; }

}  // namespace slipstream::observe
