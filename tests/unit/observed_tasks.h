// A task registry whose clock stands still until a test moves it.
#pragma once

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdint>
#include <memory>
#include <utility>

#include "slipstream/observe/task_registry.h"

namespace slipstream::observe {

class ObservedTasks {
 public:
  explicit ObservedTasks(TaskRegistryOptions options = {}) {
    options.now_us = [this] { return now_us.load(); };
    REQUIRE(TaskRegistry::Create(options, &registry_).ok());
  }

  TaskRegistry* registry() { return registry_.get(); }

  // REQUIRES: the task is visible.
  TaskInfo Info(TaskId id) {
    TaskInfo info;
    REQUIRE(registry_->Get(id, &info).ok());
    return info;
  }

  std::atomic<uint64_t> now_us{1};

 private:
  std::unique_ptr<TaskRegistry> registry_;
};

}  // namespace slipstream::observe
