// What is known of one task: written by its owner, read by whoever lists tasks.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/host/plain_mutex.h"
#include "rocksdb/status.h"
#include "slipstream/observe/task.h"
#include "slipstream/observe/task_registry.h"

namespace slipstream::observe {

struct TextLimits {
  size_t status_bytes = 0;
  size_t status_changes = 0;
  size_t attribute_bytes = 0;
};

// At most `max_bytes` of `text`, without a part of a character of UTF-8 at its end.
std::string_view CutText(std::string_view text, size_t max_bytes);

// Threads: any. Its lock is held for as long as one task's texts are copied.
class TaskRecord {
 public:
  TaskRecord(std::string_view kind, std::initializer_list<TaskAttribute> attributes,
             const TaskOptions& options, const TextLimits& limits, uint64_t now_us);

  // REQUIRES: no other thread knows the record yet.
  void SetPlace(TaskId id, uint32_t slot) {
    id_ = id;
    slot_ = slot;
  }
  TaskId id() const { return id_; }
  uint32_t slot() const { return slot_; }
  uint64_t began_us() const { return began_us_; }

  void SetAttribute(std::string_view key, std::string_view value);
  void SetStatus(std::string_view status, uint64_t now_us);
  void SetProgress(uint64_t done, uint64_t total, std::string_view unit);
  void SetBlocker(const Blocker& blocker);

  // False if it had ended before.
  bool End(const rocksdb::Status& status, uint64_t now_us);
  // 0 = it runs.
  uint64_t ended_us() const { return ended_us_.load(std::memory_order_acquire); }
  bool succeeded() const;
  // Whether it is remembered, once it has ended.
  bool kept() const {
    return keep_from_us_ == 0 || ended_us() - began_us_ >= keep_from_us_ || !succeeded();
  }
  // Memory that it takes.
  size_t bytes() const;

  TaskInfo Info() const;
  std::vector<StatusChange> History() const;

  // As TaskRegistry::Cancel.
  rocksdb::Status Cancel(std::string_view message);
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  rocksdb::Status CheckCancelled() const;
  bool WaitForCancel(uint64_t timeout_us);
  // Returns what RemoveHook takes, or 0 if the task is cancelled already: then `call` is not kept.
  uint64_t AddHook(std::function<void()> call);
  void RemoveHook(uint64_t hook);

 private:
  // What few tasks need, made when one does.
  struct Waits {
    std::condition_variable changed;  // cancelled, or a hook has run
    std::vector<std::pair<uint64_t, std::function<void()>>> hooks;
    uint64_t last_hook = 0;
    uint64_t running_hook = 0;
    std::thread::id running_in;
  };
  Waits* WaitsLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (waits_ == nullptr) waits_ = std::make_unique<Waits>();
    return waits_.get();
  }
  void RunHooks();
  bool SetAttributeLocked(std::string_view key, std::string_view value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const StatusChange& NewestLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return history_[(next_ + history_.size() - 1) % history_.size()];
  }

  TaskId id_ = 0;
  uint32_t slot_ = 0;
  const uint64_t began_us_;
  const TaskId parent_;
  const bool cancellable_;
  const uint64_t keep_from_us_;
  const TextLimits limits_;
  const std::string kind_;
  std::atomic<bool> cancelled_{false};
  std::atomic<uint64_t> ended_us_{0};

  mutable PlainMutex mutex_;
  std::vector<std::pair<std::string, std::string>> attributes_ ABSL_GUARDED_BY(mutex_);
  size_t attribute_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // A ring once it has limits_.status_changes entries; `next_` is then the oldest.
  std::vector<StatusChange> history_ ABSL_GUARDED_BY(mutex_);
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  Progress progress_ ABSL_GUARDED_BY(mutex_);
  Blocker blocker_ ABSL_GUARDED_BY(mutex_);
  TaskOutcome outcome_ ABSL_GUARDED_BY(mutex_) = TaskOutcome::kRunning;
  std::string error_ ABSL_GUARDED_BY(mutex_);
  std::string cancel_message_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Waits> waits_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream::observe
