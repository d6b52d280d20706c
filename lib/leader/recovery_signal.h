// What RocksDB says of its errors in the background, as something a thread can wait for.
#pragma once

#include <cstdint>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/host/steady_cond_var.h"
#include "rocksdb/listener.h"

namespace slipstream {

// Threads: any; RocksDB's call it without its mutex, and nothing here calls RocksDB.
// Lifetime: shared with the database's options, which may outlive the leader.
class RecoverySignal : public rocksdb::EventListener {
 public:
  const char* Name() const override { return "SlipstreamRecoverySignal"; }

  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status*) override {
    Changed(false);
  }
  void OnErrorRecoveryEnd(const rocksdb::BackgroundErrorRecoveryInfo& info) override {
    Changed(info.new_bg_error.ok());
  }
  // Something else happened that is worth a look: a break of the log, the end.
  void Wake() { Changed(false); }

  // Whether the last thing that happened was a recovery, and when that was.
  std::pair<bool, SteadyTime> last() const {
    absl::MutexLock lock(&mutex_);
    return {recovered_, changed_at_};
  }

  // Blocks until something has happened since `*seen` was set by this call, or `timeout`.
  void Wait(uint64_t* seen, absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    const SteadyTime deadline = DeadlineIn(timeout);
    while (version_ == *seen) {
      if (changed_.WaitUntil(&mutex_, deadline)) break;
    }
    *seen = version_;
  }

 private:
  void Changed(bool recovered) {
    absl::MutexLock lock(&mutex_);
    ++version_;
    recovered_ = recovered;
    changed_at_ = std::chrono::steady_clock::now();
    changed_.SignalAll();
  }

  mutable absl::Mutex mutex_;
  SteadyCondVar changed_;
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 0;
  bool recovered_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyTime changed_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream
