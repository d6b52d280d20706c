// Waits with a time limit that follows the steady clock.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace slipstream {

using SteadyTime = std::chrono::steady_clock::time_point;

// The moment that is `timeout_us` microseconds away; the end of time if there is no such moment.
inline SteadyTime DeadlineIn(uint64_t timeout_us) {
  constexpr uint64_t kForeverUs = UINT64_C(1) << 52;  // more than a century
  if (timeout_us >= kForeverUs) return SteadyTime::max();
  return std::chrono::steady_clock::now() + std::chrono::microseconds(timeout_us);
}

inline SteadyTime DeadlineIn(absl::Duration timeout) {
  return DeadlineIn(
      static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Microseconds(timeout), 0)));
}

// A condition variable for absl::Mutex. Abseil's own, and Mutex::AwaitWithTimeout, turn each limit
// into a moment of the wall clock: when somebody sets the clock back by an hour, a wait of a
// millisecond lasts an hour longer. So every wait with a limit is one of these.
//
// Threads: any. As with every condition variable, waits end for no reason at times.
class SteadyCondVar {
 public:
  void Wait(absl::Mutex* mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    WaitUntil(mutex, SteadyTime::max());
  }

  // True if `deadline` has passed.
  bool WaitUntil(absl::Mutex* mutex, SteadyTime deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    bool late = false;
    {
      // Whoever signals takes this lock too, so no signal is lost between the two lines.
      std::unique_lock<std::mutex> lock(inner_);
      mutex->Unlock();
      if (deadline == SteadyTime::max()) {
        condition_.wait(lock);
      } else {
        late = condition_.wait_until(lock, deadline) == std::cv_status::timeout;
      }
    }
    mutex->Lock();
    return late;
  }

  void Signal() {
    std::lock_guard<std::mutex> lock(inner_);
    condition_.notify_one();
  }
  void SignalAll() {
    std::lock_guard<std::mutex> lock(inner_);
    condition_.notify_all();
  }

 private:
  std::mutex inner_;
  std::condition_variable condition_;
};

}  // namespace slipstream
