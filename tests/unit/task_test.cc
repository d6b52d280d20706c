#include "slipstream/observe/task.h"

#include <catch2/catch.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "lib/observe/task_record.h"
#include "tests/unit/observed_tasks.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

TEST_CASE("task: what its owner says is what the list shows", "[unit]") {
  ObservedTasks tasks;
  tasks.now_us = 1000;
  Task parent(tasks.registry(), "request");
  Task task(tasks.registry(), "query", {{"account", "42"}, {"source", "web"}},
            {.parent = parent.id()});
  tasks.now_us = 1500;
  task.SetStatus("reading");
  task.SetProgress(3, 10, "rows");
  task.SetBlocker(Blocker::Peer("leader:7070"));
  task.SetAttribute("account", "43");
  task.SetAttribute("shard", "7");

  TaskInfo info = tasks.Info(task.id());
  CHECK(info.id == task.id());
  CHECK(info.parent == parent.id());
  CHECK(info.kind == "query");
  CHECK(info.attributes == std::vector<std::pair<std::string, std::string>>{
                               {"account", "43"}, {"source", "web"}, {"shard", "7"}});
  CHECK(info.status == "reading");
  CHECK(info.began_us == 1000);
  CHECK(info.status_since_us == 1500);
  CHECK(info.progress.done == 3);
  CHECK(info.progress.total == 10);
  CHECK(info.progress.unit == "rows");
  CHECK(info.blocker.kind == Blocker::Kind::kPeer);
  CHECK(info.blocker.name == "leader:7070");
  CHECK(info.outcome == TaskOutcome::kRunning);
  CHECK(info.ended_us == 0);
  CHECK(info.cancellable);
  CHECK_FALSE(info.cancelling);

  task.SetBlocker(Blocker::Task(parent.id()));
  CHECK(tasks.Info(task.id()).blocker.task == parent.id());
  task.SetBlocker(Blocker{});
  CHECK(tasks.Info(task.id()).blocker.kind == Blocker::Kind::kNone);
}

TEST_CASE("task: its history has the newest changes of status, oldest first", "[unit]") {
  ObservedTasks tasks({.max_status_changes = 3});
  Task task(tasks.registry(), "build");
  std::vector<StatusChange> history;
  REQUIRE(tasks.registry()->History(task.id(), &history).ok());
  CHECK(history.empty());
  for (int i = 1; i <= 5; ++i) {
    tasks.now_us = static_cast<uint64_t>(i) * 10;
    task.SetStatus("step " + std::to_string(i));
  }
  REQUIRE(tasks.registry()->History(task.id(), &history).ok());
  REQUIRE(history.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(history[i].text == "step " + std::to_string(i + 3));
    CHECK(history[i].at_us == (i + 3) * 10);
  }
  CHECK(tasks.Info(task.id()).status == "step 5");
}

TEST_CASE("task: each outcome is kept with its time and reason", "[unit]") {
  ObservedTasks tasks;
  tasks.now_us = 5;
  TaskId ok_id = 0;
  {
    Task ok(tasks.registry(), "ok");
    ok_id = ok.id();
  }
  Task failed(tasks.registry(), "failed");
  failed.Finish(Status::IOError("disk", "gone"));
  failed.Finish(Status::OK());
  failed.SetStatus("too late");
  Task cancelled(tasks.registry(), "cancelled");
  REQUIRE(tasks.registry()->Cancel(cancelled.id(), "too slow").ok());
  cancelled.Finish(cancelled.CheckCancelled());
  // It was done before it noticed.
  Task unaware(tasks.registry(), "unaware");
  REQUIRE(tasks.registry()->Cancel(unaware.id(), "too slow").ok());
  unaware.Finish(Status::OK());

  CHECK(tasks.Info(ok_id).outcome == TaskOutcome::kOk);
  CHECK(tasks.Info(ok_id).ended_us == 5);
  CHECK(tasks.Info(failed.id()).outcome == TaskOutcome::kFailed);
  CHECK(tasks.Info(failed.id()).error == "IO error: disk: gone");
  CHECK(tasks.Info(failed.id()).status.empty());
  CHECK(tasks.Info(cancelled.id()).outcome == TaskOutcome::kCancelled);
  CHECK(tasks.Info(cancelled.id()).error.find("too slow") != std::string::npos);
  CHECK(tasks.Info(unaware.id()).outcome == TaskOutcome::kOk);
}

TEST_CASE("task: a task that is moved is the same task", "[unit]") {
  ObservedTasks tasks;
  Task first(tasks.registry(), "first");
  const TaskId id = first.id();
  Task second(std::move(first));
  CHECK(second.id() == id);
  CHECK(tasks.Info(id).outcome == TaskOutcome::kRunning);
  Task third(tasks.registry(), "third");
  const TaskId ended = third.id();
  third = std::move(second);
  CHECK(tasks.Info(ended).outcome == TaskOutcome::kOk);
  CHECK(tasks.Info(id).outcome == TaskOutcome::kRunning);
}

TEST_CASE("task: without a registry it does nothing", "[unit]") {
  Task task(nullptr, "unseen", {{"a", "b"}});
  task.SetStatus("s");
  task.SetAttribute("k", "v");
  task.SetProgress(1, 2, "u");
  task.SetBlocker(Blocker::Lock("l"));
  CHECK(task.id() == 0);
  CHECK(task.CheckCancelled().ok());
  CHECK_FALSE(task.token().WaitFor(0));
  task.Finish(Status::Corruption("x"));
}

TEST_CASE("task: texts and attributes are bounded", "[unit]") {
  ObservedTasks tasks({.max_status_bytes = 4, .max_attribute_bytes = 8});
  Task task(tasks.registry(), "streams", {{"a", "123"}, {"b", "12345"}});
  task.SetStatus("status");
  task.SetProgress(1, 2, "bytes of it");
  task.SetBlocker(Blocker::Lock("mutex of it"));
  task.SetAttribute("a", "12345678");  // one too many
  task.SetAttribute("c", "123");
  const TaskInfo info = tasks.Info(task.id());
  CHECK(info.kind == "stre");
  CHECK(info.status == "stat");
  CHECK(info.progress.unit == "byte");
  CHECK(info.blocker.name == "mute");
  CHECK(info.attributes ==
        std::vector<std::pair<std::string, std::string>>{{"a", "123"}, {"c", "123"}});
  task.SetAttribute("c", "");
  task.SetAttribute("a", "123456");
  CHECK(tasks.Info(task.id()).attributes[0].second == "123456");
  task.Finish(Status::IOError("a long text"));
  CHECK(tasks.Info(task.id()).error.size() == 4);
}

TEST_CASE("task: a text is cut between characters", "[unit]") {
  CHECK(CutText("abc", 3) == "abc");
  CHECK(CutText("abcd", 3) == "abc");
  CHECK(CutText("a\xC3\xA9z", 2) == "a");
  CHECK(CutText("a\xC3\xA9z", 3) == "a\xC3\xA9");
  CHECK(CutText("\xF0\x9F\x98\x80", 3).empty());
}

TEST_CASE("task: scopes nest, and a scope is the parent of those inside it", "[unit]") {
  ObservedTasks tasks;
  CHECK(TaskScope::Current() == 0);
  {
    TaskScope outer(tasks.registry(), "outer");
    CHECK(TaskScope::Current() == outer->id());
    {
      TaskScope inner(tasks.registry(), "inner");
      CHECK(TaskScope::Current() == inner->id());
      CHECK(tasks.Info(inner->id()).parent == outer->id());
      TaskScope unseen(nullptr, "unseen");
      CHECK(TaskScope::Current() == inner->id());
    }
    CHECK(TaskScope::Current() == outer->id());
    TaskScope other(tasks.registry(), "other", {}, {.parent = 77});
    CHECK(tasks.Info(other->id()).parent == 77);
  }
  CHECK(TaskScope::Current() == 0);
}

TEST_CASE("task: a scope that an exception leaves has failed", "[unit]") {
  ObservedTasks tasks;
  TaskId left = 0;
  try {
    TaskScope scope(tasks.registry(), "throws");
    left = scope->id();
    throw std::runtime_error("x");
  } catch (const std::runtime_error&) {
    // A scope of a handler is not left by the exception that is handled.
    TaskScope handler(tasks.registry(), "handles");
    const TaskId handled = handler->id();
    handler->Finish(Status::OK());
    CHECK(tasks.Info(handled).outcome == TaskOutcome::kOk);
  }
  CHECK(tasks.Info(left).outcome == TaskOutcome::kFailed);
  CHECK(TaskScope::Current() == 0);
}

}  // namespace
}  // namespace slipstream::observe
