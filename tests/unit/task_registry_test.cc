#include "slipstream/observe/task_registry.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "slipstream/observe/finished_task_feed.h"
#include "slipstream/observe/task.h"
#include "tests/unit/observed_tasks.h"

namespace slipstream::observe {
namespace {

std::vector<std::string> Kinds(const std::vector<TaskInfo>& tasks) {
  std::vector<std::string> kinds;
  for (const TaskInfo& task : tasks) kinds.push_back(task.kind);
  return kinds;
}

using Names = std::vector<std::string>;

TEST_CASE("task_registry: an option out of its range is refused by name", "[unit]") {
  struct Case {
    std::function<void(TaskRegistryOptions*)> set;
    std::string field;
  };
  const std::vector<Case> cases = {
      {[](auto* o) { o->max_running_tasks = 0; }, "max_running_tasks"},
      {[](auto* o) { o->max_running_tasks = 16'777'217; }, "max_running_tasks"},
      {[](auto* o) { o->max_status_bytes = 0; }, "max_status_bytes"},
      {[](auto* o) { o->max_status_bytes = 4097; }, "max_status_bytes"},
      {[](auto* o) { o->max_status_changes = 0; }, "max_status_changes"},
      {[](auto* o) { o->max_status_changes = 1025; }, "max_status_changes"},
      {[](auto* o) { o->max_attribute_bytes = 65'537; }, "max_attribute_bytes"},
      {[](auto* o) { o->keep_finished_ms = UINT64_MAX; }, "keep_finished_ms"},
      {[](auto* o) { o->keep_failed_ms = UINT64_MAX; }, "keep_failed_ms"},
  };
  for (const Case& c : cases) {
    TaskRegistryOptions options;
    c.set(&options);
    std::unique_ptr<TaskRegistry> registry;
    const rocksdb::Status s = TaskRegistry::Create(options, &registry);
    INFO(c.field);
    CHECK(s.IsInvalidArgument());
    CHECK(s.ToString().find(c.field) != std::string::npos);
    CHECK(registry == nullptr);
  }
  CHECK(TaskRegistryOptions{}.Validate().ok());
}

TEST_CASE("task_registry: the list has those that began first first", "[unit]") {
  ObservedTasks tasks;
  tasks.now_us = 30;
  Task third(tasks.registry(), "third");
  tasks.now_us = 10;
  // Begun in another thread, so in another shard.
  Task first =
      std::async(std::launch::async, [&] { return Task(tasks.registry(), "first"); }).get();
  tasks.now_us = 20;
  Task second(tasks.registry(), "second");
  second.Finish(rocksdb::Status::OK());
  CHECK(Kinds(tasks.registry()->List()) == Names{"first", "second", "third"});
  CHECK(Kinds(tasks.registry()->List({.limit = 2})) == Names{"first", "second"});
  CHECK(Kinds(tasks.registry()->List({.finished = false})) == Names{"first", "third"});
  CHECK(Kinds(tasks.registry()->List({.running = false})) == Names{"second"});
  CHECK(Kinds(tasks.registry()->List({.accept = [](const TaskInfo& t) { return t.kind != "first"; },
                                      .limit = 1})) == Names{"second"});
}

TEST_CASE("task_registry: tasks beyond the limit work unseen", "[unit]") {
  ObservedTasks tasks({.max_running_tasks = 100});
  std::deque<Task> running;
  for (int i = 0; i < 103; ++i) running.emplace_back(tasks.registry(), "task");
  CHECK(tasks.registry()->stats().running == 100);
  CHECK(tasks.registry()->stats().unregistered == 3);
  CHECK(running.back().id() == 0);
  running.back().SetStatus("unseen");
  CHECK(running.back().CheckCancelled().ok());
  running.back().Finish(rocksdb::Status::OK());
  // Room that another thread's tasks have taken is found.
  running.front().Finish(rocksdb::Status::OK());
  std::async(std::launch::async, [&] {
    Task task(tasks.registry(), "another thread's");
    CHECK(task.id() != 0);
  }).get();
  CHECK(tasks.registry()->stats().running == 99);
}

TEST_CASE("task_registry: names are not used twice, and are unknown once a task is gone",
          "[unit]") {
  ObservedTasks tasks({.keep_finished_ms = 1});
  Task first(tasks.registry(), "first");
  first.Finish(rocksdb::Status::OK());
  Task second(tasks.registry(), "second");
  CHECK(second.id() != first.id());
  CHECK(tasks.Info(first.id()).kind == "first");
  CHECK(tasks.registry()->stats().finished == 1);
  CHECK(tasks.registry()->stats().finished_bytes > 0);
  tasks.now_us = 2000;
  TaskInfo info;
  std::vector<StatusChange> history;
  CHECK(tasks.registry()->Get(first.id(), &info).IsNotFound());
  CHECK(tasks.registry()->History(first.id(), &history).IsNotFound());
  CHECK(Kinds(tasks.registry()->List()) == Names{"second"});
}

TEST_CASE("task_registry: many ended tasks stay within their number", "[unit]") {
  ObservedTasks tasks({.keep_finished_tasks = 50, .keep_failed_tasks = 5});
  for (int i = 0; i < 1000; ++i) {
    Task task(tasks.registry(), i % 10 == 0 ? "failed" : "ok");
    if (i % 10 == 0) task.Finish(rocksdb::Status::IOError("x"));
  }
  const Names kinds = Kinds(tasks.registry()->List());
  CHECK(std::count(kinds.begin(), kinds.end(), "ok") == 50);
  CHECK(std::count(kinds.begin(), kinds.end(), "failed") == 5);
}

TEST_CASE("task_registry: what was quick enough is forgotten, unless it failed", "[unit]") {
  ObservedTasks tasks;
  const std::unique_ptr<FinishedTaskFeed> feed = tasks.registry()->SubscribeToFinished(1 << 20);
  const auto run = [&](const char* kind, uint64_t us, const rocksdb::Status& status) {
    Task task(tasks.registry(), kind, {}, {.keep_from_us = 1000});
    tasks.now_us += us;
    task.Finish(status);
  };
  run("quick", 999, rocksdb::Status::OK());
  run("slow", 1000, rocksdb::Status::OK());
  run("failed", 0, rocksdb::Status::IOError("broken"));
  CHECK(Kinds(tasks.registry()->List({.finished = true})) == Names{"slow", "failed"});
  std::vector<FinishedTask> fed;
  feed->Take(10, &fed);
  CHECK(fed.size() == 2);
  CHECK(tasks.registry()->stats().finished == 2);
  CHECK(tasks.registry()->stats().running == 0);
}

TEST_CASE("task_registry: its clock is the steady one by default", "[unit]") {
  std::unique_ptr<TaskRegistry> registry;
  REQUIRE(TaskRegistry::Create({}, &registry).ok());
  const uint64_t before = registry->NowMicros();
  Task task(registry.get(), "task");
  TaskInfo info;
  REQUIRE(registry->Get(task.id(), &info).ok());
  CHECK(info.began_us >= before);
  CHECK(info.began_us <= registry->NowMicros());
}

}  // namespace
}  // namespace slipstream::observe
