#include "lib/observe/task_record.h"

#include <algorithm>

#include "lib/host/steady_cond_var.h"

namespace slipstream::observe {

using rocksdb::Status;

std::string_view CutText(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

TaskRecord::TaskRecord(std::string_view kind, std::initializer_list<TaskAttribute> attributes,
                       const TaskOptions& options, const TextLimits& limits, uint64_t now_us)
    : began_us_(now_us),
      parent_(options.parent),
      cancellable_(options.cancellable),
      keep_from_us_(options.keep_from_us),
      limits_(limits),
      kind_(CutText(kind, limits.status_bytes)) {
  PlainLock lock(&mutex_);
  attributes_.reserve(attributes.size());
  for (const TaskAttribute& a : attributes) SetAttributeLocked(a.key, a.value);
}

bool TaskRecord::SetAttributeLocked(std::string_view key, std::string_view value) {
  auto at = std::find_if(attributes_.begin(), attributes_.end(),
                         [&](const auto& attribute) { return attribute.first == key; });
  const size_t before = at == attributes_.end() ? 0 : key.size() + at->second.size();
  const size_t bytes = attribute_bytes_ - before + key.size() + value.size();
  if (bytes > limits_.attribute_bytes) return false;
  attribute_bytes_ = bytes;
  if (at != attributes_.end()) {
    at->second.assign(value);
  } else {
    attributes_.emplace_back(key, value);
  }
  return true;
}

void TaskRecord::SetAttribute(std::string_view key, std::string_view value) {
  PlainLock lock(&mutex_);
  if (outcome_ == TaskOutcome::kRunning) SetAttributeLocked(key, value);
}

void TaskRecord::SetStatus(std::string_view status, uint64_t now_us) {
  const std::string_view text = CutText(status, limits_.status_bytes);
  PlainLock lock(&mutex_);
  if (outcome_ != TaskOutcome::kRunning) return;
  // Two threads may come here in another order than they read the clock.
  if (!history_.empty()) now_us = std::max(now_us, NewestLocked().at_us);
  if (history_.size() < limits_.status_changes) {
    if (history_.empty()) history_.reserve(std::min<size_t>(limits_.status_changes, 4));
    history_.push_back({now_us, std::string(text)});
    return;
  }
  history_[next_].at_us = now_us;
  history_[next_].text.assign(text);
  if (++next_ == history_.size()) next_ = 0;
}

void TaskRecord::SetProgress(uint64_t done, uint64_t total, std::string_view unit) {
  const std::string_view text = CutText(unit, limits_.status_bytes);
  PlainLock lock(&mutex_);
  if (outcome_ != TaskOutcome::kRunning) return;
  progress_.done = done;
  progress_.total = total;
  progress_.unit.assign(text);
}

void TaskRecord::SetBlocker(const Blocker& blocker) {
  const std::string_view text = CutText(blocker.name, limits_.status_bytes);
  PlainLock lock(&mutex_);
  if (outcome_ != TaskOutcome::kRunning) return;
  blocker_.kind = blocker.kind;
  blocker_.task = blocker.task;
  blocker_.name.assign(text);
}

bool TaskRecord::End(const Status& status, uint64_t now_us) {
  PlainLock lock(&mutex_);
  if (outcome_ != TaskOutcome::kRunning) return false;
  if (status.ok()) {
    outcome_ = TaskOutcome::kOk;
  } else {
    outcome_ = cancelled() ? TaskOutcome::kCancelled : TaskOutcome::kFailed;
    error_ = CutText(status.ToString(), limits_.status_bytes);
  }
  blocker_ = {};
  // A task that ends in the microsecond 0 of an injected clock has ended, too.
  ended_us_.store(std::max<uint64_t>(now_us, 1), std::memory_order_release);
  return true;
}

bool TaskRecord::succeeded() const {
  PlainLock lock(&mutex_);
  return outcome_ == TaskOutcome::kOk;
}

size_t TaskRecord::bytes() const {
  PlainLock lock(&mutex_);
  size_t bytes = sizeof(TaskRecord) + kind_.capacity() + progress_.unit.capacity() +
                 error_.capacity() + cancel_message_.capacity();
  for (const auto& [key, value] : attributes_) bytes += key.capacity() + value.capacity();
  bytes += attributes_.capacity() * sizeof(attributes_[0]);
  for (const StatusChange& change : history_) bytes += change.text.capacity();
  if (waits_ != nullptr) bytes += sizeof(Waits);
  return bytes + history_.capacity() * sizeof(StatusChange);
}

TaskInfo TaskRecord::Info() const {
  TaskInfo info;
  info.id = id_;
  info.parent = parent_;
  info.kind = kind_;
  info.began_us = began_us_;
  info.cancellable = cancellable_;
  PlainLock lock(&mutex_);
  info.attributes = attributes_;
  info.status_since_us = began_us_;
  if (!history_.empty()) {
    info.status = NewestLocked().text;
    info.status_since_us = NewestLocked().at_us;
  }
  info.ended_us = ended_us();
  info.progress = progress_;
  info.blocker = blocker_;
  info.cancelling = cancelled();
  info.outcome = outcome_;
  info.error = error_;
  return info;
}

std::vector<StatusChange> TaskRecord::History() const {
  PlainLock lock(&mutex_);
  std::vector<StatusChange> history;
  history.reserve(history_.size());
  for (size_t i = 0; i < history_.size(); ++i) {
    history.push_back(history_[(next_ + i) % history_.size()]);
  }
  return history;
}

Status TaskRecord::Cancel(std::string_view message) {
  {
    PlainLock lock(&mutex_);
    const std::string name = "task " + std::to_string(id_) + " (" + kind_ + ")";
    if (outcome_ != TaskOutcome::kRunning) return Status::NotFound(name + " has ended");
    if (!cancellable_) return Status::NotSupported(name + " must not be cancelled");
    if (cancelled()) return Status::OK();
    cancel_message_ = CutText(message, limits_.status_bytes);
    cancelled_.store(true, std::memory_order_release);
    if (waits_ == nullptr) return Status::OK();
    waits_->changed.notify_all();
  }
  RunHooks();
  return Status::OK();
}

// Only the one call of Cancel that has cancelled comes here.
void TaskRecord::RunHooks() {
  for (;;) {
    std::function<void()> call;
    {
      PlainLock lock(&mutex_);
      waits_->running_hook = 0;
      waits_->changed.notify_all();
      if (waits_->hooks.empty()) return;
      call = std::move(waits_->hooks.back().second);
      waits_->running_hook = waits_->hooks.back().first;
      waits_->running_in = std::this_thread::get_id();
      waits_->hooks.pop_back();
    }
    call();
  }
}

Status TaskRecord::CheckCancelled() const {
  if (!cancelled()) return Status::OK();
  PlainLock lock(&mutex_);
  return Status::Incomplete("cancelled", cancel_message_);
}

bool TaskRecord::WaitForCancel(uint64_t timeout_us) {
  const SteadyTime deadline = DeadlineIn(timeout_us);
  PlainLock lock(&mutex_);
  while (!cancelled()) {
    if (lock.WaitUntil(&WaitsLocked()->changed, deadline)) break;
  }
  return cancelled();
}

uint64_t TaskRecord::AddHook(std::function<void()> call) {
  PlainLock lock(&mutex_);
  if (cancelled()) return 0;
  Waits* waits = WaitsLocked();
  waits->hooks.emplace_back(++waits->last_hook, std::move(call));
  return waits->last_hook;
}

void TaskRecord::RemoveHook(uint64_t hook) {
  std::function<void()> call;  // what it holds is destroyed without the lock
  PlainLock lock(&mutex_);
  auto& hooks = waits_->hooks;
  auto at =
      std::find_if(hooks.begin(), hooks.end(), [&](const auto& h) { return h.first == hook; });
  if (at != hooks.end()) {
    call = std::move(at->second);
    hooks.erase(at);
  }
  // A hook that takes itself back would wait for itself.
  while (waits_->running_hook == hook && waits_->running_in != std::this_thread::get_id()) {
    lock.Wait(&waits_->changed);
  }
}

}  // namespace slipstream::observe
