// The task of one follower's stream on the leader.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "slipstream/observe/cancellation.h"
#include "slipstream/observe/task.h"

namespace slipstream {

// A session may be there for longer than its leader, and so than the registry, while gRPC waits for
// a peer that is stuck: after End nothing here touches the registry any more.
//
// Threads: any.
class StreamTask {
 public:
  StreamTask(observe::TaskRegistry* registry, const std::string& database, const std::string& id,
             const std::string& name, const std::string& address)
      : task_(std::in_place, registry, "stream",
              std::initializer_list<observe::TaskAttribute>{
                  {"database", database}, {"follower", id}, {"name", name}, {"address", address}}) {
  }
  ~StreamTask() { End(rocksdb::Status::OK()); }

  // 0 = it is not in a registry, or has ended.
  observe::TaskId id() const {
    absl::MutexLock lock(&mutex_);
    return task_ ? task_->id() : 0;
  }

  // Once, before End. `call` is told why it was cancelled; see CancelHook.
  void OnCancel(std::function<void(const rocksdb::Status&)> call) {
    observe::CancellationToken token;
    {
      absl::MutexLock lock(&mutex_);
      if (!task_ || task_->id() == 0) return;
      token = task_->token();
    }
    auto hook = std::make_unique<observe::CancelHook>(
        token, [token, call = std::move(call)] { call(token.Check()); });
    absl::MutexLock lock(&mutex_);
    hook_ = std::move(hook);
  }

  void SetStatus(std::string_view status) {
    absl::MutexLock lock(&mutex_);
    if (task_) task_->SetStatus(status);
  }
  // Of an image, in bytes.
  void SetProgress(uint64_t done, uint64_t total) {
    absl::MutexLock lock(&mutex_);
    if (task_) task_->SetProgress(done, total, total == 0 ? "" : "bytes");
  }

  // The first call counts. Waits for a cancellation that is under way.
  void End(const rocksdb::Status& status) {
    std::unique_ptr<observe::CancelHook> hook;
    {
      absl::MutexLock lock(&mutex_);
      hook = std::move(hook_);
    }
    hook.reset();
    absl::MutexLock lock(&mutex_);
    if (task_) task_->Finish(status);
    task_.reset();
  }

 private:
  mutable absl::Mutex mutex_;
  std::optional<observe::Task> task_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<observe::CancelHook> hook_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream
