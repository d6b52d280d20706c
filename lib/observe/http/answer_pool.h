// The threads that answer requests, and the requests that wait for one.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/host/plain_mutex.h"
#include "rocksdb/status.h"

namespace slipstream::observe {

// Threads: any, except that one thread starts and stops it.
class AnswerPool {
 public:
  explicit AnswerPool(size_t max_waiting) : max_waiting_(max_waiting) {}
  ~AnswerPool() { Stop(); }

  // Returns IOError if the system has no more threads.
  [[nodiscard]] rocksdb::Status Start(size_t threads);
  // False if too many wait already, or it was stopped: `job` will not run.
  [[nodiscard]] bool TryAdd(std::function<void()> job);
  // Those that wait are dropped, those that run are waited for.
  void Stop();

 private:
  void Run();

  const size_t max_waiting_;
  PlainMutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace slipstream::observe
