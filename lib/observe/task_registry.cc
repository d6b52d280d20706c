#include "slipstream/observe/task_registry.h"

#include <algorithm>
#include <random>
#include <string_view>

#include "lib/host/host_name.h"
#include "lib/observe/task_record.h"
#include "lib/observe/task_table.h"
#include "slipstream/observe/finished_task_feed.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

Status CheckRange(const char* field, uint64_t value, uint64_t low, uint64_t high) {
  if (low <= value && value <= high) return Status::OK();
  return Status::InvalidArgument("TaskRegistryOptions::" + std::string(field),
                                 "is " + std::to_string(value) + ", expected " +
                                     std::to_string(low) + " to " + std::to_string(high));
}

constexpr size_t kMaxNameBytes = 64;

// ASCII by itself: <cctype> follows the host's locale.
bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

Status CheckName(const std::string& name) {
  if (name.size() <= kMaxNameBytes && std::all_of(name.begin(), name.end(), IsNameCharacter)) {
    return Status::OK();
  }
  return Status::InvalidArgument("TaskRegistryOptions::name",
                                 "is \"" + name + "\", expected at most 64 of A-Z a-z 0-9 . _ -");
}

std::string NewInstance(std::string name) {
  if (name.empty()) {
    name = HostName().substr(0, kMaxNameBytes);
    std::replace_if(
        name.begin(), name.end(), [](char c) { return !IsNameCharacter(c); }, '_');
  }
  std::random_device random;
  name += '-';
  for (int i = 0; i < 16; ++i) name += "0123456789abcdef"[random() % 16];
  return name;
}

}  // namespace

Status TaskRegistryOptions::Validate() const {
  constexpr uint64_t kMaxKeepMs = UINT64_C(1) << 40;  // more than thirty years
  Status s = CheckName(name);
  if (s.ok()) s = CheckRange("max_running_tasks", max_running_tasks, 1, 16'777'216);
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
    : instance_(NewInstance(options.name)), table_(std::make_unique<TaskTable>(options)) {}

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

std::unique_ptr<FinishedTaskFeed> TaskRegistry::SubscribeToFinished(size_t max_bytes) {
  return std::unique_ptr<FinishedTaskFeed>(new FinishedTaskFeed(table_.get(), max_bytes));
}

uint64_t TaskRegistry::NowMicros() const { return table_->NowMicros(); }

TaskRegistryStats TaskRegistry::stats() const { return table_->stats(); }

}  // namespace slipstream::observe
