// The standard library's mutex with the annotations of the thread-safety analysis.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"

namespace slipstream {

// For locks that are made, taken and destroyed many thousand times a second. Abseil as Debian
// builds it looks for deadlocks: to destroy an absl::Mutex, or to take one while another one is
// held, it takes a lock that all of the process share, which costs microseconds.
class ABSL_LOCKABLE PlainMutex {
 public:
  PlainMutex() = default;
  PlainMutex(const PlainMutex&) = delete;
  PlainMutex& operator=(const PlainMutex&) = delete;

 private:
  friend class PlainLock;
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE PlainLock {
 public:
  explicit PlainLock(PlainMutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : lock_(mutex->mutex_) {}
  ~PlainLock() ABSL_UNLOCK_FUNCTION() {}
  PlainLock(const PlainLock&) = delete;
  PlainLock& operator=(const PlainLock&) = delete;

  // Leaves the lock until `condition` is signalled, or for no reason, and takes it again.
  void Wait(std::condition_variable* condition) { condition->wait(lock_); }
  // The same; true if `deadline` has passed.
  bool WaitUntil(std::condition_variable* condition,
                 std::chrono::steady_clock::time_point deadline) {
    return condition->wait_until(lock_, deadline) == std::cv_status::timeout;
  }

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace slipstream
