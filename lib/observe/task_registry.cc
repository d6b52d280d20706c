#include "slipstream/observe/task_registry.h"

#include "lib/observe/task_record.h"
#include "lib/observe/task_table.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

Status CheckRange(const char* field, uint64_t value, uint64_t low, uint64_t high) {
  if (low <= value && value <= high) return Status::OK();
  return Status::InvalidArgument("TaskRegistryOptions::" + std::string(field),
                                 "is " + std::to_string(value) + ", expected " +
                                     std::to_string(low) + " to " + std::to_string(high));
}

}  // namespace

Status TaskRegistryOptions::Validate() const {
  constexpr uint64_t kMaxKeepMs = UINT64_C(1) << 40;  // more than thirty years
  Status s = CheckRange("max_running_tasks", max_running_tasks, 1, 16'777'216);
  if (s.ok()) s = CheckRange("max_status_bytes", max_status_bytes, 1, 4096);
  if (s.ok()) s = CheckRange("max_status_changes", max_status_changes, 1, 1024);
  if (s.ok()) s = CheckRange("max_attribute_bytes", max_attribute_bytes, 0, 65'536);
  if (s.ok()) s = CheckRange("keep_finished_ms", keep_finished_ms, 0, kMaxKeepMs);
  if (s.ok()) s = CheckRange("keep_failed_ms", keep_failed_ms, 0, kMaxKeepMs);
  return s;
}

Status TaskRegistry::Create(const TaskRegistryOptions& options,
                            std::unique_ptr<TaskRegistry>* out) {
  out->reset();
  Status s = options.Validate();
  if (s.ok()) out->reset(new TaskRegistry(options));
  return s;
}

TaskRegistry::TaskRegistry(const TaskRegistryOptions& options)
    : table_(std::make_unique<TaskTable>(options)) {}

TaskRegistry::~TaskRegistry() = default;

std::vector<TaskInfo> TaskRegistry::List(const TaskQuery& query) const {
  std::vector<TaskInfo> tasks;
  for (const TaskRecordPtr& record : table_->All()) {
    const bool ended = record->ended_us() != 0;
    if (!(ended ? query.finished : query.running)) continue;
    TaskInfo info = record->Info();
    if (info.ended_us != 0 && !query.finished) continue;  // it has just ended
    if (query.accept && !query.accept(info)) continue;
    tasks.push_back(std::move(info));
    if (tasks.size() == query.limit) break;
  }
  return tasks;
}

Status TaskRegistry::Get(TaskId id, TaskInfo* info) const {
  const TaskRecordPtr record = table_->Find(id);
  if (record == nullptr) return Status::NotFound("task " + std::to_string(id));
  *info = record->Info();
  return Status::OK();
}

Status TaskRegistry::History(TaskId id, std::vector<StatusChange>* history) const {
  const TaskRecordPtr record = table_->Find(id);
  if (record == nullptr) return Status::NotFound("task " + std::to_string(id));
  *history = record->History();
  return Status::OK();
}

Status TaskRegistry::Cancel(TaskId id, std::string_view message) {
  const TaskRecordPtr record = table_->Find(id);
  if (record == nullptr) return Status::NotFound("task " + std::to_string(id));
  return record->Cancel(message);
}

uint64_t TaskRegistry::NowMicros() const { return table_->NowMicros(); }

TaskRegistryStats TaskRegistry::stats() const { return table_->stats(); }

}  // namespace slipstream::observe
