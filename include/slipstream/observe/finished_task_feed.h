// FinishedTaskFeed: the tasks of a registry that have ended, for one reader that keeps them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "slipstream/observe/task_registry.h"

namespace slipstream::observe {

class FinishedTaskQueue;
class TaskTable;

// What is known of a task once it has ended.
struct FinishedTask {
  TaskInfo info;
  std::vector<StatusChange> history;  // the newest changes of status, oldest first
};

// Made by TaskRegistry::SubscribeToFinished; gets each task that ends from then on, whether it is
// still visible or not. Whoever ends a task leaves it here and goes on: there is no call of the
// reader in its thread, and nothing that it could wait for. A task for which there is no room is
// dropped, and counted.
//
// Threads: Wait and Take by one thread at a time; the others by any. Lifetime: ends before its
// registry.
class FinishedTaskFeed {
 public:
  ~FinishedTaskFeed();
  FinishedTaskFeed(const FinishedTaskFeed&) = delete;
  FinishedTaskFeed& operator=(const FinishedTaskFeed&) = delete;

  // Sleeps for `timeout_us` microseconds, or until the feed has become half full or Interrupt was
  // called since the last Wait. A reader that is content to be late so reads many at a time.
  void Wait(uint64_t timeout_us);
  void Interrupt();

  // Appends up to `max_tasks` of those that have ended, about in the order in which they did.
  // Without a lock of the registry while they are copied.
  void Take(size_t max_tasks, std::vector<FinishedTask>* out);

  // Tasks that found no room, since the start.
  uint64_t dropped() const;
  // Memory of those that wait to be taken, in bytes.
  size_t bytes() const;

 private:
  friend class TaskRegistry;
  FinishedTaskFeed(TaskTable* table, size_t max_bytes);

  TaskTable* const table_;
  const std::shared_ptr<FinishedTaskQueue> queue_;
};

}  // namespace slipstream::observe
