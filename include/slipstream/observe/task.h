// Task: one piece of work as the process list shows it.
//
//   TaskScope task(registry, "query", {{"account", "42"}});
//   task->SetStatus("reading");
//   Status s = task->CheckCancelled();
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string_view>

#include "rocksdb/status.h"
#include "slipstream/observe/cancellation.h"
#include "slipstream/observe/task_registry.h"

namespace slipstream::observe {

// Views are read during the call alone.
struct TaskAttribute {
  std::string_view key;
  std::string_view value;
};

struct TaskOptions {
  // Default: 0 = none. TaskScope takes the task that its thread is in.
  TaskId parent = 0;
  // Whether TaskRegistry::Cancel may end it. Default: true
  bool cancellable = true;
  // A success that took less, in microseconds, is forgotten when it ends: it is neither listed as
  // finished nor fed to a FinishedTaskFeed. Default: 0 = none is forgotten.
  uint64_t keep_from_us = 0;
};

// Begins when it is constructed and ends when it is destroyed, or by Finish.
//
// Threads: all methods but assignment and the destructor may be called from any thread; calls may
// overlap. Lifetime: ends before its registry.
class Task {
 public:
  // kind: what sort of work it is, for example "stream"; cut like a status. `registry` may be null:
  // then the task is not seen by anybody, and its other methods do nothing.
  Task(TaskRegistry* registry, std::string_view kind,
       std::initializer_list<TaskAttribute> attributes = {}, const TaskOptions& options = {});
  // Ends it as a success, if Finish was not called.
  ~Task();
  // The other one is the empty task of a null registry afterwards.
  Task(Task&& other) noexcept;
  Task& operator=(Task&& other) noexcept;

  // 0 if the registry was full or null.
  TaskId id() const { return id_; }

  // Replaces the value of a key that is there already. Ignored if the task has not enough room
  // left.
  void SetAttribute(std::string_view key, std::string_view value);
  void SetStatus(std::string_view status);
  // total: 0 = not known.
  void SetProgress(uint64_t done, uint64_t total, std::string_view unit);
  // A Blocker of kind kNone says that it goes on.
  void SetBlocker(const Blocker& blocker);

  CancellationToken token() const { return CancellationToken(record_); }
  // OK, or Incomplete with the message that it was cancelled with.
  [[nodiscard]] rocksdb::Status CheckCancelled() const { return token().Check(); }

  // Ends it: OK as a success; another status as cancelled if it was, else as failed. Only the first
  // call counts, and what is set afterwards is ignored.
  void Finish(const rocksdb::Status& status);

 private:
  TaskRegistry* registry_ = nullptr;
  std::shared_ptr<TaskRecord> record_;
  TaskId id_ = 0;
};

// A task for the time in which a thread is in a scope. Left by an exception, it has failed.
//
// Threads: constructed and destroyed by one thread; scopes of one thread nest.
class TaskScope {
 public:
  // Without a parent in `options`, the scope around this one is the parent.
  TaskScope(TaskRegistry* registry, std::string_view kind,
            std::initializer_list<TaskAttribute> attributes = {}, TaskOptions options = {});
  ~TaskScope();
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  Task* operator->() { return &task_; }
  Task& task() { return task_; }

  // The innermost scope's task of the calling thread; 0 = none. May be called by a signal handler.
  static TaskId Current();

 private:
  const TaskId outer_;
  const int exceptions_;
  Task task_;
};

}  // namespace slipstream::observe
