#include "slipstream/observe/task_log.h"

#include <condition_variable>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "lib/host/plain_mutex.h"
#include "lib/host/steady_clock.h"
#include "lib/host/steady_cond_var.h"
#include "lib/host/thread_name.h"
#include "lib/observe/history/record_json.h"
#include "lib/observe/history/record_making.h"
#include "lib/observe/history/retry_delay.h"
#include "lib/observe/history/task_log_name.h"
#include "lib/observe/history/task_log_object.h"
#include "lib/observe/history/task_log_retention.h"
#include "lib/observe/wall_clock.h"
#include "slipstream/observe/finished_task_feed.h"
#include "slipstream/observe/task_registry.h"
#include "slipstream/shared_storage.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

// Few, as an object may get larger than it should by so many.
constexpr size_t kTasksAtATime = 16;
constexpr uint64_t kPruneIntervalUs = 60'000'000;

Status CheckRange(const char* field, uint64_t value, uint64_t low, uint64_t high) {
  if (low <= value && value <= high) return Status::OK();
  return Status::InvalidArgument("TaskLogOptions::" + std::string(field),
                                 "is " + std::to_string(value) + ", expected " +
                                     std::to_string(low) + " to " + std::to_string(high));
}

}  // namespace

Status TaskLogOptions::Validate() const {
  constexpr uint64_t kMaxKeepMs = UINT64_C(1) << 40;  // more than thirty years
  if (registry == nullptr) return Status::InvalidArgument("TaskLogOptions::registry", "is null");
  if (storage == nullptr) return Status::InvalidArgument("TaskLogOptions::storage", "is null");
  Status s = ValidateTaskLogPrefix(prefix);
  if (!s.ok()) return Status::InvalidArgument("TaskLogOptions::prefix", s.getState());
  s = CheckRange("flush_interval_ms", flush_interval_ms, 10, 3'600'000);
  if (s.ok()) s = CheckRange("rotate_bytes", rotate_bytes, 1 << 10, 1 << 30);
  if (s.ok()) s = CheckRange("rotate_interval_ms", rotate_interval_ms, 10, 86'400'000);
  if (s.ok()) {
    s = CheckRange("max_waiting_bytes", max_waiting_bytes, 64 << 10, UINT64_C(16) << 30);
  }
  if (s.ok()) s = CheckRange("keep_ms", keep_ms, 0, kMaxKeepMs);
  if (s.ok() && keep_bytes != 0) {
    s = CheckRange("keep_bytes", keep_bytes, 2 * rotate_bytes, UINT64_MAX);
  }
  return s;
}

// The thread "ss-task-log" takes, writes and rotates; "ss-log-prune" deletes, so that a storage
// that is slow to delete does not delay what is written. Their lock guards what is shared and is
// never held during a call.
class TaskLog::Impl {
 public:
  explicit Impl(const TaskLogOptions& options)
      : options_(options),
        feed_(options.registry->SubscribeToFinished(options.max_waiting_bytes)),
        object_(options.storage, options.prefix, options.registry->instance()) {
    writer_ = std::thread([this] {
      NameThisThread("ss-task-log");
      Write();
    });
    if (options.keep_ms != 0 || options.keep_bytes != 0) {
      pruner_ = std::thread([this] {
        NameThisThread("ss-log-prune");
        Prune();
      });
    }
  }

  Status Flush(uint64_t timeout_us);
  Status Close(uint64_t timeout_us);
  TaskLogStats stats() const;

 private:
  void Write();
  // True when all that had ended before the call is on the storage.
  bool WriteAll();
  // Takes tasks into the object, up to its size. True if there were no more.
  bool Collect();
  bool Store();
  void Prune();
  bool stopping() const {
    PlainLock lock(&mutex_);
    return stopping_;
  }

  const TaskLogOptions options_;
  const std::unique_ptr<FinishedTaskFeed> feed_;
  std::thread writer_;
  std::thread pruner_;

  // Of the writer.
  TaskLogObjectWriter object_;
  uint64_t object_began_us_ = 0;
  RetryDelay delay_;

  mutable PlainMutex mutex_;
  std::condition_variable changed_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t flushes_wanted_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t flushes_done_ ABSL_GUARDED_BY(mutex_) = 0;
  TaskLogStats stats_ ABSL_GUARDED_BY(mutex_);
};

Status TaskLog::Impl::Flush(uint64_t timeout_us) {
  const SteadyTime deadline = DeadlineIn(timeout_us);
  uint64_t mine = 0;
  {
    PlainLock lock(&mutex_);
    if (stopping_) return Status::Aborted("task log", "is closed");
    mine = ++flushes_wanted_;
  }
  feed_->Interrupt();
  PlainLock lock(&mutex_);
  while (flushes_done_ < mine) {
    if (stopping_) return Status::Aborted("task log", "is closed");
    if (lock.WaitUntil(&changed_, deadline) && flushes_done_ < mine) {
      return Status::TimedOut("task log is not flushed", stats_.last_error.empty()
                                                             ? "the storage has not answered"
                                                             : stats_.last_error);
    }
  }
  return Status::OK();
}

Status TaskLog::Impl::Close(uint64_t timeout_us) {
  {
    PlainLock lock(&mutex_);
    if (std::exchange(closed_, true)) return Status::OK();
  }
  Status s = Flush(timeout_us);
  {
    PlainLock lock(&mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  feed_->Interrupt();
  writer_.join();
  if (pruner_.joinable()) pruner_.join();
  return s;
}

TaskLogStats TaskLog::Impl::stats() const {
  const uint64_t dropped = feed_->dropped();
  const uint64_t waiting_bytes = feed_->bytes();
  PlainLock lock(&mutex_);
  TaskLogStats stats = stats_;
  stats.dropped = dropped;
  stats.waiting_bytes += waiting_bytes;
  return stats;
}

void TaskLog::Impl::Write() {
  while (!stopping()) {
    uint64_t wanted = 0;
    {
      PlainLock lock(&mutex_);
      wanted = flushes_wanted_;
    }
    const bool whole = WriteAll();
    if (whole) {
      PlainLock lock(&mutex_);
      flushes_done_ = wanted;
      changed_.notify_all();
      if (flushes_wanted_ > wanted) continue;
    }
    feed_->Wait(whole ? options_.flush_interval_ms * 1000 : delay_.Next());
  }
}

bool TaskLog::Impl::WriteAll() {
  // What Collect goes through first may have been taken out of the feed before the call.
  for (int rounds = 0; rounds < 2;) {
    if (Collect()) ++rounds;
    if (object_.size() >= options_.rotate_bytes && !Store()) return false;
    if (stopping()) return false;
  }
  return Store();
}

bool TaskLog::Impl::Collect() {
  if (object_.size() >= options_.rotate_bytes) return false;
  std::vector<FinishedTask> tasks;
  feed_->Take(kTasksAtATime, &tasks);
  const WallTime wall(*options_.registry);
  for (const FinishedTask& task : tasks) {
    if (object_.size() == 0) object_began_us_ = SteadyMicros();
    object_.Add(ToJson(MakeRecord(task, options_.registry->instance(), wall)), wall.now_us());
  }
  PlainLock lock(&mutex_);
  stats_.waiting_bytes = object_.unstored_bytes();
  return tasks.size() < kTasksAtATime;
}

bool TaskLog::Impl::Store() {
  const uint64_t lines = object_.unstored_lines();
  const uint64_t bytes = object_.unstored_bytes();
  const Status s = object_.Store();
  {
    PlainLock lock(&mutex_);
    stats_.objects = object_.objects();
    if (s.ok()) {
      stats_.records += lines;
      stats_.bytes += bytes;
      stats_.waiting_bytes = 0;
    } else {
      ++stats_.failures;
      stats_.last_error = s.ToString();
    }
  }
  if (!s.ok()) return false;
  delay_.Reset();
  if (object_.size() >= options_.rotate_bytes ||
      SteadyMicros() - object_began_us_ >= options_.rotate_interval_ms * 1000) {
    object_.Finish();
  }
  return true;
}

void TaskLog::Impl::Prune() {
  TaskLogRetention retention(
      options_.storage, options_.prefix,
      {.keep_us = options_.keep_ms * 1000,
       .keep_bytes = options_.keep_bytes,
       .object_span_us = options_.rotate_interval_ms * 1000 + options_.flush_interval_ms * 1000});
  for (;;) {
    const Status s = retention.Prune(WallMicros(), [this] { return stopping(); });
    const SteadyTime deadline = DeadlineIn(kPruneIntervalUs);
    PlainLock lock(&mutex_);
    stats_.deleted = retention.deleted();
    if (!s.ok()) stats_.last_error = s.ToString();
    while (!stopping_ && !lock.WaitUntil(&changed_, deadline)) {
    }
    if (stopping_) return;
  }
}

Status TaskLog::Open(const TaskLogOptions& options, std::unique_ptr<TaskLog>* out) {
  out->reset();
  Status s = options.Validate();
  if (s.ok()) out->reset(new TaskLog(std::make_unique<Impl>(options)));
  return s;
}

TaskLog::TaskLog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

TaskLog::~TaskLog() { Close(0); }

Status TaskLog::Flush(uint64_t timeout_us) { return impl_->Flush(timeout_us); }

Status TaskLog::Close(uint64_t timeout_us) { return impl_->Close(timeout_us); }

TaskLogStats TaskLog::stats() const { return impl_->stats(); }

}  // namespace slipstream::observe
