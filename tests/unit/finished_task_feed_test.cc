#include "slipstream/observe/finished_task_feed.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "slipstream/observe/task.h"
#include "tests/unit/observed_tasks.h"

namespace slipstream::observe {
namespace {

constexpr size_t kManyBytes = 64 << 20;
constexpr uint64_t kForeverUs = 60'000'000;

std::vector<FinishedTask> TakeAll(FinishedTaskFeed* feed) {
  std::vector<FinishedTask> tasks;
  feed->Take(SIZE_MAX, &tasks);
  return tasks;
}

TEST_CASE("finished_task_feed: it has what is known of each task that has ended", "[unit]") {
  ObservedTasks tasks({.keep_finished_tasks = 0, .keep_failed_tasks = 0});
  { Task before(tasks.registry(), "before"); }
  const auto feed = tasks.registry()->SubscribeToFinished(kManyBytes);
  Task running(tasks.registry(), "running");
  TaskId id = 0;
  {
    tasks.now_us = 10;
    Task task(tasks.registry(), "query", {{"account", "42"}});
    id = task.id();
    tasks.now_us = 20;
    task.SetStatus("reading");
    tasks.now_us = 30;
    task.SetStatus("merging");
    task.SetProgress(3, 4, "rows");
    tasks.now_us = 40;
    task.Finish(rocksdb::Status::IOError("disk"));
  }
  const std::vector<FinishedTask> taken = TakeAll(feed.get());
  REQUIRE(taken.size() == 1);
  const TaskInfo& info = taken[0].info;
  CHECK(info.id == id);
  CHECK(info.kind == "query");
  CHECK(info.attributes == decltype(info.attributes){{"account", "42"}});
  CHECK(info.began_us == 10);
  CHECK(info.ended_us == 40);
  CHECK(info.outcome == TaskOutcome::kFailed);
  CHECK(info.error == "IO error: disk");
  CHECK(info.progress.done == 3);
  REQUIRE(taken[0].history.size() == 2);
  CHECK(taken[0].history[0].text == "reading");
  CHECK(taken[0].history[1].at_us == 30);
  CHECK(TakeAll(feed.get()).empty());
}

TEST_CASE("finished_task_feed: each feed has each task", "[unit]") {
  ObservedTasks tasks;
  const auto one = tasks.registry()->SubscribeToFinished(kManyBytes);
  auto gone = tasks.registry()->SubscribeToFinished(kManyBytes);
  { Task task(tasks.registry(), "a"); }
  gone.reset();
  const auto two = tasks.registry()->SubscribeToFinished(kManyBytes);
  { Task task(tasks.registry(), "b"); }
  CHECK(TakeAll(one.get()).size() == 2);
  CHECK(TakeAll(two.get()).size() == 1);
}

TEST_CASE("finished_task_feed: those that ended first are taken first, a few at a time", "[unit]") {
  ObservedTasks tasks;
  const auto feed = tasks.registry()->SubscribeToFinished(kManyBytes);
  for (uint64_t at : {5, 3, 9, 7}) {
    // In a thread of its own each, so in another shard.
    std::async(std::launch::async, [&] {
      Task task(tasks.registry(), "task");
      tasks.now_us = at;
    }).get();
  }
  std::vector<FinishedTask> taken;
  feed->Take(3, &taken);
  REQUIRE(taken.size() == 3);
  CHECK(feed->bytes() > 0);
  feed->Take(3, &taken);
  REQUIRE(taken.size() == 4);
  CHECK(feed->bytes() == 0);
  for (size_t i = 0; i < 4; ++i) CHECK(taken[i].info.ended_us == 3 + 2 * i);
}

TEST_CASE("finished_task_feed: what has no room is dropped and counted", "[unit]") {
  ObservedTasks tasks;
  const auto feed = tasks.registry()->SubscribeToFinished(10'000);
  for (int i = 0; i < 1000; ++i) Task task(tasks.registry(), "task");
  CHECK(feed->bytes() <= 10'000);
  const size_t kept = TakeAll(feed.get()).size();
  CHECK(kept >= 5);
  CHECK(feed->dropped() == 1000 - kept);
  CHECK(feed->bytes() == 0);
  { Task task(tasks.registry(), "task"); }
  CHECK(TakeAll(feed.get()).size() == 1);
}

TEST_CASE("finished_task_feed: a wait ends when it is half full, or interrupted", "[unit]") {
  ObservedTasks tasks;
  const auto feed = tasks.registry()->SubscribeToFinished(10'000);
  auto waiting = std::async(std::launch::async, [&] { feed->Wait(kForeverUs); });
  while (feed->bytes() < 5000) Task task(tasks.registry(), "task");
  waiting.get();
  feed->Interrupt();
  feed->Wait(kForeverUs);  // it was called before
  feed->Wait(0);
  CHECK(TakeAll(feed.get()).size() > 1);
}

TEST_CASE("finished_task_feed: nothing is lost or twice while threads end tasks", "[unit]") {
  ObservedTasks tasks({.keep_finished_tasks = 10});
  const auto feed = tasks.registry()->SubscribeToFinished(1 << 20);
  constexpr int kThreads = 3;
  constexpr int kTasksOfEach = 20'000;
  std::atomic<int> running{kThreads};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < kTasksOfEach; ++k) Task task(tasks.registry(), "task", {{"k", "v"}});
      --running;
    });
  }
  std::set<TaskId> ids;
  uint64_t taken = 0;
  for (bool last = false; !last;) {
    last = running == 0;
    feed->Wait(1000);
    for (const FinishedTask& task : TakeAll(feed.get())) {
      ids.insert(task.info.id);
      ++taken;
    }
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(ids.size() == taken);
  CHECK(taken + feed->dropped() == kThreads * kTasksOfEach);
}

TEST_CASE("finished_task_feed: a registry's instance is its own, and has its name", "[unit]") {
  ObservedTasks one({.name = "search-3"});
  ObservedTasks two({.name = "search-3"});
  CHECK(one.registry()->instance().starts_with("search-3-"));
  CHECK(one.registry()->instance() != two.registry()->instance());
  std::unique_ptr<TaskRegistry> registry;
  const rocksdb::Status s = TaskRegistry::Create({.name = "a/b"}, &registry);
  CHECK(s.IsInvalidArgument());
  CHECK(s.ToString().find("a/b") != std::string::npos);
  CHECK(TaskRegistry::Create({.name = std::string(65, 'a')}, &registry).IsInvalidArgument());
}

}  // namespace
}  // namespace slipstream::observe
