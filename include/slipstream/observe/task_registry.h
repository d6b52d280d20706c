// TaskRegistry: what runs now in this process, what it waits for, and what it did.
//
// It stands alone: a host that has no Slipstream database can use it for its own requests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rocksdb/status.h"

namespace slipstream::observe {

class FinishedTaskFeed;
class TaskRecord;
class TaskTable;

// Names a task within its registry; never used twice, below 2^53. 0 = none.
using TaskId = uint64_t;

struct TaskRegistryOptions {
  // What TaskRegistry::instance() begins with: who the process is to people, for example
  // "search-3". 1 to 64 of [A-Za-z0-9._-]. Default: empty = the machine's name
  std::string name = "";

  // Tasks that run at the same time. Those beyond it do their work unseen: they have the id 0, and
  // TaskRegistryStats::unregistered counts them. Range: 1 to 16'777'216. Default: 131'072
  size_t max_running_tasks = 131'072;

  // Longer texts are cut, at the end of a character of UTF-8. Unit: bytes. Range: 1 to 4096.
  // Default: 128
  size_t max_status_bytes = 128;

  // Changes of status that are kept of each task; the oldest go first. Range: 1 to 1024. Default:
  // 16
  size_t max_status_changes = 16;

  // Keys and values of one task together; an attribute that does not fit is left out. Unit: bytes.
  // Range: 0 to 65'536. Default: 1024
  size_t max_attribute_bytes = 1024;

  // How long, and how many, ended tasks stay visible; 0 of either = none.
  // Unit: milliseconds. Default: one minute, 1000 tasks
  uint64_t keep_finished_ms = 60'000;
  size_t keep_finished_tasks = 1000;

  // The same of tasks that failed or were cancelled. Default: one hour, 1000 tasks
  uint64_t keep_failed_ms = 3'600'000;
  size_t keep_failed_tasks = 1000;

  // Memory of ended tasks, of each of the two kinds. The oldest go first. Unit: bytes.
  // Default: 8 MiB
  size_t max_finished_bytes = 8 << 20;

  // Microseconds of a clock that never goes back, for tests. Called by any thread.
  // Default: nullptr = the steady clock
  std::function<uint64_t()> now_us = nullptr;

  // Returns InvalidArgument, naming the field, its value and its range.
  [[nodiscard]] rocksdb::Status Validate() const;
};

enum class TaskOutcome {
  kRunning,
  kOk,
  kFailed,
  kCancelled,  // it ended without success after it was cancelled
};

// What a task cannot go on without.
struct Blocker {
  enum class Kind { kNone, kTask, kLock, kPeer };
  Kind kind = Kind::kNone;
  TaskId task = 0;   // of kTask
  std::string name;  // of the others; cut like a status

  static Blocker Task(TaskId id) { return {Kind::kTask, id, {}}; }
  static Blocker Lock(std::string name) { return {Kind::kLock, 0, std::move(name)}; }
  static Blocker Peer(std::string name) { return {Kind::kPeer, 0, std::move(name)}; }
};

struct Progress {
  uint64_t done = 0;
  uint64_t total = 0;  // 0 = not known
  std::string unit;    // for example "bytes"; empty = no progress was told; cut like a status
};

struct StatusChange {
  uint64_t at_us = 0;
  std::string text;
};

// One task at one moment. All times are microseconds of TaskRegistry::NowMicros(), of which only
// differences mean anything.
struct TaskInfo {
  TaskId id = 0;
  TaskId parent = 0;
  std::string kind;
  std::vector<std::pair<std::string, std::string>> attributes;  // in the order they were set
  std::string status;
  uint64_t began_us = 0;
  uint64_t status_since_us = 0;
  uint64_t ended_us = 0;  // 0 = it runs
  Progress progress;
  Blocker blocker;
  bool cancellable = true;
  bool cancelling = false;  // it was cancelled; it may not have noticed yet
  TaskOutcome outcome = TaskOutcome::kRunning;
  std::string error;  // of a task that did not succeed; cut like a status
};

struct TaskQuery {
  bool running = true;
  bool finished = true;
  // Null = all. Called without a lock, by the thread that lists.
  std::function<bool(const TaskInfo&)> accept = nullptr;
  size_t limit = 1000;  // of the oldest; 0 = no limit
};

struct TaskRegistryStats {
  uint64_t running = 0;
  uint64_t finished = 0;      // ended ones that are still visible
  uint64_t unregistered = 0;  // since the start: began beyond max_running_tasks
  uint64_t finished_bytes = 0;
};

// Threads: all methods may be called from any thread, calls may overlap.
// Lifetime: outlives its tasks. Cancellation tokens may outlive it.
// Memory: a running task takes about 500 bytes, and at most what its texts may take:
// max_attribute_bytes + max_status_changes * (max_status_bytes + 40) + 1 KiB and four more texts of
// max_status_bytes; ended ones are limited as a whole.
class TaskRegistry {
 public:
  // Returns InvalidArgument as TaskRegistryOptions::Validate() does.
  [[nodiscard]] static rocksdb::Status Create(const TaskRegistryOptions& options,
                                              std::unique_ptr<TaskRegistry>* out);
  ~TaskRegistry();
  TaskRegistry(const TaskRegistry&) = delete;
  TaskRegistry& operator=(const TaskRegistry&) = delete;

  // Tasks, those that began first first. Each task that runs from before the call until after it is
  // in it once. Tasks go on meanwhile: one waits for at most a few microseconds.
  std::vector<TaskInfo> List(const TaskQuery& query = {}) const;

  // Returns NotFound for a task that is unknown or not visible any more.
  [[nodiscard]] rocksdb::Status Get(TaskId id, TaskInfo* info) const;

  // The newest changes of status, oldest first. Returns NotFound as Get does.
  [[nodiscard]] rocksdb::Status History(TaskId id, std::vector<StatusChange>* history) const;

  // Asks a task to end; it does so when it looks at its token or waits for it. `message` says why,
  // and is cut like a status. Calls the task's hooks (see CancelHook) before it returns.
  // Returns OK            asked, also if it was asked before (the first message stays);
  //         NotFound      unknown, or it has ended;
  //         NotSupported  the task forbids it.
  [[nodiscard]] rocksdb::Status Cancel(TaskId id, std::string_view message);

  // From now on each task that ends goes there, too, for a reader that keeps it for longer; see
  // FinishedTaskFeed. It costs whoever ends a task about a tenth of a microsecond for each feed.
  //
  // max_bytes: memory of tasks that wait to be taken; those beyond it are dropped.
  std::unique_ptr<FinishedTaskFeed> SubscribeToFinished(size_t max_bytes);

  // Names this registry among all that there are and ever were: with it, a TaskId names a task
  // everywhere. [A-Za-z0-9._-], for example "search-3-8c02b1f55d9e4a71".
  const std::string& instance() const { return instance_; }

  uint64_t NowMicros() const;
  TaskRegistryStats stats() const;

 private:
  friend class Task;
  explicit TaskRegistry(const TaskRegistryOptions& options);

  const std::string instance_;

  const std::unique_ptr<TaskTable> table_;
};

}  // namespace slipstream::observe
