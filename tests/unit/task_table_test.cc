// Tasks come, change and go in several threads while others list and cancel them.
#include "lib/observe/task_table.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "slipstream/observe/task.h"
#include "slipstream/observe/task_registry.h"
#include "tests/unit/random_seed.h"

namespace slipstream::observe {
namespace {

constexpr int kWriters = 2;
constexpr int kTasksOfEachWriter = 20'000;

// Begins tasks, keeps some of them for a while and ends them in any order.
void Write(TaskRegistry* registry, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::deque<Task> running;
  for (int i = 0; i < kTasksOfEachWriter; ++i) {
    running.emplace_back(registry, "work", std::initializer_list<TaskAttribute>{{"k", "v"}},
                         TaskOptions{.cancellable = random() % 2 == 0});
    Task& task = running[random() % running.size()];
    task.SetStatus("step " + std::to_string(random() % 100));
    task.SetProgress(random() % 10, 10, "steps");
    task.SetBlocker(random() % 2 == 0 ? Blocker::Lock("lock") : Blocker{});
    if (running.size() > random() % 2000) {
      Task& front = running.front();
      front.Finish(random() % 4 == 0 ? rocksdb::Status::IOError("x") : front.CheckCancelled());
      running.pop_front();
    }
  }
}

TEST_CASE("task_table: each list is right while tasks come and go", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::unique_ptr<TaskRegistry> registry;
  REQUIRE(
      TaskRegistry::Create({.keep_finished_tasks = 100, .keep_failed_tasks = 50}, &registry).ok());
  // These run all the time, among those that come and go.
  std::deque<Task> constant;
  for (int i = 0; i < 200; ++i) constant.emplace_back(registry.get(), "constant");

  std::vector<std::thread> writers;
  std::atomic<int> writing{kWriters};
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back([&, i] {
      Write(registry.get(), seed + static_cast<uint64_t>(i));
      --writing;
    });
  }
  std::thread canceller([&] {
    std::mt19937_64 random(seed + 100);
    std::vector<StatusChange> history;
    while (writing > 0) {
      const std::vector<TaskInfo> tasks = registry->List(
          {.finished = false, .accept = [](const TaskInfo& t) { return t.kind == "work"; }});
      if (tasks.empty()) continue;
      const TaskId id = tasks[random() % tasks.size()].id;
      // Either may come too late for a task that ends.
      registry->Cancel(id, "because").PermitUncheckedError();
      registry->History(id, &history).PermitUncheckedError();
    }
  });
  bool once = true;
  bool all = true;
  bool bounded = true;
  do {
    const std::vector<TaskInfo> tasks = registry->List({.limit = 0});
    std::set<TaskId> ids;
    size_t constants = 0;
    for (const TaskInfo& task : tasks) {
      once = ids.insert(task.id).second && once;
      if (task.kind == "constant") ++constants;
    }
    all = all && constants == constant.size();
    // A writer may have counted a group of each kind and not yet dropped as many.
    bounded = bounded && registry->stats().finished <= 150 + kWriters * 2 * 32;
  } while (writing > 0);
  for (std::thread& writer : writers) writer.join();
  canceller.join();
  CHECK(once);
  CHECK(all);
  CHECK(bounded);
  CHECK(registry->stats().running == constant.size());
  CHECK(registry->stats().finished == 150);
  CHECK(registry->stats().unregistered == 0);
}

TEST_CASE("task_table: a waiting task is always woken", "[unit]") {
  std::unique_ptr<TaskRegistry> registry;
  REQUIRE(TaskRegistry::Create({}, &registry).ok());
  for (int i = 0; i < 300; ++i) {
    Task task(registry.get(), "wait");
    std::promise<void> hooked;
    bool called = false;
    bool cancelled = false;
    std::thread waiter([&] {
      CancelHook hook(task.token(), [&] { hooked.set_value(); });
      cancelled = task.token().WaitFor(60'000'000);
      called = hooked.get_future().wait_for(std::chrono::seconds(60)) == std::future_status::ready;
    });
    REQUIRE(registry->Cancel(task.id(), "because").ok());
    waiter.join();
    REQUIRE(cancelled);
    REQUIRE(called);
  }
}

}  // namespace
}  // namespace slipstream::observe
