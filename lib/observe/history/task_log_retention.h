// Deletes what is too old, or too much, of a task log.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "rocksdb/status.h"
#include "slipstream/shared_storage.h"

namespace slipstream::observe {

struct TaskLogLimits {
  uint64_t keep_us = 0;     // 0 = for ever
  uint64_t keep_bytes = 0;  // 0 = any number
  // How much younger than its name an object's newest record may be.
  uint64_t object_span_us = 0;
};

// Threads: one at a time; calls the storage.
class TaskLogRetention {
 public:
  TaskLogRetention(std::shared_ptr<SharedStorage> storage, std::string prefix,
                   const TaskLogLimits& limits)
      : storage_(std::move(storage)), prefix_(std::move(prefix)), limits_(limits) {}

  // One round over the objects of all instances; what it does not know the name of stays. The
  // newest object stays, too. Ends early, with OK, when `stop` says so.
  rocksdb::Status Prune(uint64_t wall_now_us, const std::function<bool()>& stop);

  uint64_t deleted() const { return deleted_; }

 private:
  rocksdb::Status Size(const std::string& name, bool may_grow, uint64_t* size);

  const std::shared_ptr<SharedStorage> storage_;
  const std::string prefix_;
  const TaskLogLimits limits_;
  uint64_t deleted_ = 0;
  std::map<std::string, uint64_t> sizes_;  // of objects that do not grow any more
};

}  // namespace slipstream::observe
