#include "slipstream/observe/cancellation.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <thread>

#include "slipstream/observe/task.h"
#include "tests/unit/observed_tasks.h"

namespace slipstream::observe {
namespace {

constexpr uint64_t kLongUs = 30'000'000;

TEST_CASE("cancellation: the task learns of it, and why", "[unit]") {
  ObservedTasks tasks;
  Task task(tasks.registry(), "query");
  const CancellationToken token = task.token();
  CHECK(token.Check().ok());
  CHECK_FALSE(token.cancelled());
  REQUIRE(tasks.registry()->Cancel(task.id(), "blocks the others").ok());
  CHECK(token.cancelled());
  CHECK(task.CheckCancelled().IsIncomplete());
  CHECK(task.CheckCancelled().ToString().find("blocks the others") != std::string::npos);
  CHECK(tasks.Info(task.id()).cancelling);
  CHECK(tasks.registry()->Cancel(task.id(), "another reason").ok());
  CHECK(task.CheckCancelled().ToString().find("blocks the others") != std::string::npos);
}

TEST_CASE("cancellation: a task may forbid it", "[unit]") {
  ObservedTasks tasks;
  Task task(tasks.registry(), "upload", {}, {.cancellable = false});
  const rocksdb::Status s = tasks.registry()->Cancel(task.id(), "no");
  CHECK(s.IsNotSupported());
  CHECK(s.ToString().find("upload") != std::string::npos);
  CHECK(task.CheckCancelled().ok());
  CHECK_FALSE(tasks.Info(task.id()).cancelling);
}

TEST_CASE("cancellation: what is unknown or has ended is not found", "[unit]") {
  ObservedTasks tasks;
  CHECK(tasks.registry()->Cancel(0, "x").IsNotFound());
  CHECK(tasks.registry()->Cancel(123456, "x").IsNotFound());
  Task task(tasks.registry(), "short");
  task.Finish(rocksdb::Status::OK());
  const rocksdb::Status s = tasks.registry()->Cancel(task.id(), "x");
  CHECK(s.IsNotFound());
  CHECK(s.ToString().find("has ended") != std::string::npos);
}

TEST_CASE("cancellation: it wakes all who wait on the token", "[unit]") {
  ObservedTasks tasks;
  Task task(tasks.registry(), "wait");
  CHECK_FALSE(task.token().WaitFor(1));
  auto first = std::async(std::launch::async, [&] { return task.token().WaitFor(kLongUs); });
  auto second = std::async(std::launch::async, [&] { return task.token().WaitFor(kLongUs); });
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(tasks.registry()->Cancel(task.id(), "go on").ok());
  CHECK(first.get());
  CHECK(second.get());
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::microseconds(kLongUs / 2));
  CHECK(task.token().WaitFor(kLongUs));
}

TEST_CASE("cancellation: a token outlives its task and its registry", "[unit]") {
  CancellationToken token;
  {
    ObservedTasks tasks;
    Task task(tasks.registry(), "short");
    token = task.token();
  }
  CHECK_FALSE(token.cancelled());
  CHECK_FALSE(token.WaitFor(1));
  CHECK(token.Check().ok());
}

TEST_CASE("cancellation: hooks run once, in the thread that cancels", "[unit]") {
  ObservedTasks tasks;
  Task task(tasks.registry(), "call");
  int calls = 0;
  std::thread::id in;
  CancelHook hook(task.token(), [&] {
    ++calls;
    in = std::this_thread::get_id();
  });
  CancelHook another(task.token(), [&] { ++calls; });
  {
    CancelHook taken_back(task.token(), [&] { calls += 100; });
  }
  REQUIRE(tasks.registry()->Cancel(task.id(), "x").ok());
  CHECK(calls == 2);
  CHECK(in == std::this_thread::get_id());
  REQUIRE(tasks.registry()->Cancel(task.id(), "x").ok());
  CHECK(calls == 2);
  // Cancelled already: at once.
  CancelHook late(task.token(), [&] { ++calls; });
  CHECK(calls == 3);
}

TEST_CASE("cancellation: a hook may take itself back", "[unit]") {
  ObservedTasks tasks;
  Task task(tasks.registry(), "call");
  std::optional<CancelHook> hook;
  bool called = false;
  hook.emplace(task.token(), [&] {
    called = true;
    hook.reset();
  });
  REQUIRE(tasks.registry()->Cancel(task.id(), "x").ok());
  CHECK(called);
}

TEST_CASE("cancellation: a hook is not taken back while it runs", "[unit]") {
  ObservedTasks tasks;
  Task task(tasks.registry(), "call");
  std::promise<void> entered;
  std::promise<void> leave;
  std::atomic<bool> left{false};
  auto hook = std::make_unique<CancelHook>(task.token(), [&] {
    entered.set_value();
    leave.get_future().wait();
    left = true;
  });
  auto cancel =
      std::async(std::launch::async, [&] { return tasks.registry()->Cancel(task.id(), "x"); });
  entered.get_future().wait();
  bool left_when_taken_back = false;
  auto take_back = std::async(std::launch::async, [&] {
    hook.reset();
    left_when_taken_back = left;
  });
  // Not proof that it waits, but it would have to be quick not to.
  CHECK(take_back.wait_for(std::chrono::milliseconds(20)) == std::future_status::timeout);
  leave.set_value();
  take_back.get();
  CHECK(left_when_taken_back);
  CHECK(cancel.get().ok());
}

}  // namespace
}  // namespace slipstream::observe
