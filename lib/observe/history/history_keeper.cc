#include <condition_variable>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "lib/host/plain_mutex.h"
#include "lib/host/steady_clock.h"
#include "lib/host/steady_cond_var.h"
#include "lib/host/thread_name.h"
#include "lib/observe/history/record_making.h"
#include "lib/observe/history/retry_delay.h"
#include "lib/observe/history/task_log_name.h"
#include "lib/observe/wall_clock.h"
#include "slipstream/observe/finished_task_feed.h"
#include "slipstream/observe/history.h"
#include "slipstream/observe/task_registry.h"
#include "slipstream/shared_storage.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

constexpr size_t kTasksAtATime = 512;
constexpr uint64_t kExpireIntervalUs = 60'000'000;

Status CheckRange(const char* field, uint64_t value, uint64_t low, uint64_t high) {
  if (low <= value && value <= high) return Status::OK();
  return Status::InvalidArgument("HistoryKeeperOptions::" + std::string(field),
                                 "is " + std::to_string(value) + ", expected " +
                                     std::to_string(low) + " to " + std::to_string(high));
}

}  // namespace

Status HistoryKeeperOptions::Validate() const {
  constexpr uint64_t kMaxKeepMs = UINT64_C(1) << 40;  // more than thirty years
  if (db == nullptr) return Status::InvalidArgument("HistoryKeeperOptions::db", "is null");
  Status s = ValidateTaskLogPrefix(prefix);
  if (!s.ok()) return Status::InvalidArgument("HistoryKeeperOptions::prefix", s.getState());
  s = CheckRange("write_interval_ms", write_interval_ms, 10, 3'600'000);
  if (s.ok()) s = CheckRange("import_interval_ms", import_interval_ms, 10, 3'600'000);
  if (s.ok()) s = CheckRange("keep_ms", keep_ms, 0, kMaxKeepMs);
  if (s.ok()) {
    s = CheckRange("max_waiting_bytes", max_waiting_bytes, 64 << 10, UINT64_C(16) << 30);
  }
  return s;
}

// The thread "ss-history". The lock guards what is shared and is never held during a call.
class HistoryKeeper::Impl {
 public:
  explicit Impl(const HistoryKeeperOptions& options) : options_(options), writer_(options.db) {
    if (options.registry != nullptr) {
      feed_ = options.registry->SubscribeToFinished(options.max_waiting_bytes);
    }
    thread_ = std::thread([this] {
      NameThisThread("ss-history");
      Run();
    });
  }

  Status Flush(uint64_t timeout_us);
  Status Close(uint64_t timeout_us);
  HistoryKeeperStats stats() const;

 private:
  void Run();
  // All that had ended before the call.
  Status AddAll();
  // What is due, or all.
  Status Round(bool all);
  void Wake();
  // Returns early when a flush or the end is asked for, or the feed has become half full.
  void Wait(uint64_t timeout_us);
  bool stopping() const {
    PlainLock lock(&mutex_);
    return stopping_;
  }

  const HistoryKeeperOptions options_;
  std::unique_ptr<FinishedTaskFeed> feed_;
  std::thread thread_;

  // Of the thread.
  HistoryWriter writer_;
  std::vector<HistoryRecord> records_;  // taken, and not written yet
  uint64_t next_import_us_ = 0;
  uint64_t next_expiry_us_ = 0;

  mutable PlainMutex mutex_;
  std::condition_variable changed_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t flushes_wanted_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t flushes_done_ ABSL_GUARDED_BY(mutex_) = 0;
  HistoryKeeperStats stats_ ABSL_GUARDED_BY(mutex_);
};

Status HistoryKeeper::Impl::Flush(uint64_t timeout_us) {
  const SteadyTime deadline = DeadlineIn(timeout_us);
  uint64_t mine = 0;
  {
    PlainLock lock(&mutex_);
    if (stopping_) return Status::Aborted("history keeper", "is closed");
    mine = ++flushes_wanted_;
  }
  Wake();
  PlainLock lock(&mutex_);
  while (flushes_done_ < mine) {
    if (stopping_) return Status::Aborted("history keeper", "is closed");
    if (lock.WaitUntil(&changed_, deadline) && flushes_done_ < mine) {
      return Status::TimedOut("history is not flushed", stats_.last_error.empty()
                                                            ? "the database has not answered"
                                                            : stats_.last_error);
    }
  }
  return Status::OK();
}

Status HistoryKeeper::Impl::Close(uint64_t timeout_us) {
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
  Wake();
  thread_.join();
  return s;
}

HistoryKeeperStats HistoryKeeper::Impl::stats() const {
  const uint64_t dropped = feed_ != nullptr ? feed_->dropped() : 0;
  PlainLock lock(&mutex_);
  HistoryKeeperStats stats = stats_;
  stats.dropped = dropped;
  return stats;
}

void HistoryKeeper::Impl::Wake() {
  if (feed_ != nullptr) feed_->Interrupt();
  PlainLock lock(&mutex_);
  changed_.notify_all();
}

void HistoryKeeper::Impl::Wait(uint64_t timeout_us) {
  if (feed_ != nullptr) {
    feed_->Wait(timeout_us);
    return;
  }
  const SteadyTime deadline = DeadlineIn(timeout_us);
  PlainLock lock(&mutex_);
  while (!stopping_ && flushes_wanted_ == flushes_done_ && !lock.WaitUntil(&changed_, deadline)) {
  }
}

void HistoryKeeper::Impl::Run() {
  RetryDelay delay;
  while (!stopping()) {
    uint64_t wanted = 0;
    uint64_t done = 0;
    {
      PlainLock lock(&mutex_);
      wanted = flushes_wanted_;
      done = flushes_done_;
    }
    const Status s = Round(wanted > done);
    bool again = false;
    {
      PlainLock lock(&mutex_);
      stats_.writer = writer_.stats();
      if (s.ok()) {
        flushes_done_ = wanted;
        changed_.notify_all();
        again = flushes_wanted_ > wanted;
      } else {
        ++stats_.failures;
        stats_.last_error = s.ToString();
      }
    }
    if (again) continue;
    if (s.ok()) {
      delay.Reset();
      Wait(options_.write_interval_ms * 1000);
    } else {
      // Whoever waits for a flush does not make it try without a pause.
      const uint64_t pause_us = delay.Next();
      if (feed_ != nullptr) {
        feed_->Wait(pause_us);
      } else {
        const SteadyTime deadline = DeadlineIn(pause_us);
        PlainLock lock(&mutex_);
        while (!stopping_ && !lock.WaitUntil(&changed_, deadline)) {
        }
      }
    }
  }
}

Status HistoryKeeper::Impl::Round(bool all) {
  Status s = AddAll();
  uint64_t now_us = SteadyMicros();
  if (s.ok() && options_.storage != nullptr && (all || now_us >= next_import_us_)) {
    s = writer_.Import(options_.storage.get(), options_.prefix);
    now_us = SteadyMicros();
    if (s.ok()) {
      next_import_us_ = now_us + options_.import_interval_ms * 1000;
      PlainLock lock(&mutex_);
      ++stats_.imports;
    }
  }
  if (s.ok() && now_us >= next_expiry_us_) {
    s = writer_.Expire(WallMicros(), options_.keep_ms * 1000, options_.keep_bytes);
    if (s.ok()) next_expiry_us_ = now_us + kExpireIntervalUs;
  }
  return s;
}

Status HistoryKeeper::Impl::AddAll() {
  if (feed_ == nullptr) return Status::OK();
  // What is taken first may have been out of the feed's queue before the call.
  for (int rounds = 0; rounds < 2;) {
    if (records_.empty()) {
      std::vector<FinishedTask> tasks;
      feed_->Take(kTasksAtATime, &tasks);
      const WallTime wall(*options_.registry);
      for (const FinishedTask& task : tasks) {
        records_.push_back(MakeRecord(task, options_.registry->instance(), wall));
      }
    }
    if (records_.size() < kTasksAtATime) ++rounds;
    const Status s = writer_.Add(records_);
    if (!s.ok()) return s;
    records_.clear();
    if (stopping()) return Status::Aborted("history keeper", "is closed");
  }
  return Status::OK();
}

Status HistoryKeeper::Open(const HistoryKeeperOptions& options,
                           std::unique_ptr<HistoryKeeper>* out) {
  out->reset();
  Status s = options.Validate();
  if (s.ok()) out->reset(new HistoryKeeper(std::make_unique<Impl>(options)));
  return s;
}

HistoryKeeper::HistoryKeeper(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HistoryKeeper::~HistoryKeeper() { Close(0); }

Status HistoryKeeper::Flush(uint64_t timeout_us) { return impl_->Flush(timeout_us); }

Status HistoryKeeper::Close(uint64_t timeout_us) { return impl_->Close(timeout_us); }

HistoryKeeperStats HistoryKeeper::stats() const { return impl_->stats(); }

}  // namespace slipstream::observe
