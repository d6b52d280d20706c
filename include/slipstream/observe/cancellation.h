// How a task is told to end: a token that is looked at or waited for, or a hook that is called.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "rocksdb/status.h"

namespace slipstream::observe {

class TaskRecord;

// Tells whether a task was cancelled. Copies are tokens of the same task.
//
// Threads: any, calls may overlap. Lifetime: may outlive the task and the registry.
class CancellationToken {
 public:
  // Of no task: never cancelled.
  CancellationToken() = default;
  explicit CancellationToken(std::shared_ptr<TaskRecord> record) : record_(std::move(record)) {}

  bool cancelled() const;

  // Returns OK, or Incomplete with the message that the task was cancelled with.
  [[nodiscard]] rocksdb::Status Check() const;

  // Sleeps for `timeout_us` microseconds, or until the task is cancelled: then at once. True if it
  // is cancelled.
  bool WaitFor(uint64_t timeout_us) const;

 private:
  friend class CancelHook;
  std::shared_ptr<TaskRecord> record_;
};

// Calls a function when a task is cancelled, for work that waits for something else than the
// token: it could signal a condition variable, or cancel a call to a peer.
//
// The function runs once, or never if the hook is destroyed first: in the thread that cancels, or
// in this constructor if the task is cancelled already. No lock of the registry is held. It must be
// quick and must not throw. Lifetime: after the destructor has returned the function does not run
// any more; the destructor waits for it if it runs in another thread.
class CancelHook {
 public:
  CancelHook(const CancellationToken& token, std::function<void()> call);
  ~CancelHook();
  CancelHook(const CancelHook&) = delete;
  CancelHook& operator=(const CancelHook&) = delete;

 private:
  const std::shared_ptr<TaskRecord> record_;
  uint64_t hook_ = 0;  // 0 = nothing to take back
};

}  // namespace slipstream::observe
