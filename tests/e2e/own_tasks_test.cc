// What a leader and its followers do, in the process list.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "catch2/catch.hpp"
#include "slipstream/observe/task_registry.h"
#include "tests/e2e/gated_storage.h"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/tcp_proxy.h"

namespace slipstream::testing {
namespace {

using observe::Blocker;
using observe::TaskInfo;
using observe::TaskOutcome;
using rocksdb::Status;
using rocksdb::WriteOptions;

std::string AttributeOf(const TaskInfo& task, const std::string& key) {
  for (const auto& [name, value] : task.attributes) {
    if (name == key) return value;
  }
  return "";
}

class Tasks {
 public:
  Tasks() { RequireOk(observe::TaskRegistry::Create({}, &registry_)); }
  observe::TaskRegistry* registry() const { return registry_.get(); }

  std::vector<TaskInfo> Of(const std::string& kind) const {
    return registry_->List({.running = true, .finished = true, .accept = [&](const TaskInfo& task) {
                              return task.kind == kind;
                            }});
  }
  // The first one of the kind that `accept` likes, once there is one.
  template <typename Accept>
  TaskInfo Await(const std::string& kind, Accept accept) const {
    TaskInfo found;
    INFO(kind);
    const bool there = Eventually([&] {
      for (const TaskInfo& task : Of(kind)) {
        if (!accept(task)) continue;
        found = task;
        return true;
      }
      return false;
    });
    if (!there) {
      for (const TaskInfo& task : Of(kind)) UNSCOPED_INFO(task.status << " " << task.error);
    }
    REQUIRE(there);
    return found;
  }
  bool HadStatus(const TaskInfo& task, const std::string& status) const {
    std::vector<observe::StatusChange> history;
    RequireOk(registry_->History(task.id, &history));
    return std::any_of(history.begin(), history.end(),
                       [&](const auto& change) { return change.text.starts_with(status); });
  }

 private:
  std::unique_ptr<observe::TaskRegistry> registry_;
};

bool Runs(const TaskInfo& task) { return task.outcome == TaskOutcome::kRunning; }
bool Succeeded(const TaskInfo& task) { return task.outcome == TaskOutcome::kOk; }

Position Beyond(Position position) {
  position.offset += 1 << 30;
  return position;
}

// A leader and a follower, each with its own process list.
struct ObservedCluster {
  ObservedCluster() {
    leader_options = cluster.leader_options();
    leader_options.task_registry = leader_tasks.registry();
    rocksdb::DBOptions db_options = LocalCluster::db_options();
    db_options.enable_thread_tracking = true;
    leader.emplace(cluster.StartLeader(leader_options, db_options));
    follower_options = cluster.follower_options(leader->leader->port());
    follower_options.task_registry = follower_tasks.registry();
    follower_options.name = "reader";
  }
  void StartFollower() { follower.emplace(cluster.StartFollower(follower_options)); }
  void Put(const std::string& key) const { RequireOk(leader->db()->Put(WriteOptions(), key, key)); }
  // The leader's running stream.
  TaskInfo Stream() const { return leader_tasks.Await("stream", Runs); }

  Tasks leader_tasks, follower_tasks;  // outlive what is in them
  LocalCluster cluster;
  LeaderOptions leader_options;
  FollowerOptions follower_options;
  std::optional<LocalLeader> leader;
  std::optional<LocalFollower> follower;
};

}  // namespace

TEST_CASE("own_tasks: streams, images and the applier are in the process list", "[e2e]") {
  ObservedCluster c;
  for (int i = 0; i < 100; ++i) c.Put("key" + std::to_string(i));
  c.StartFollower();
  CatchUp(*c.leader, *c.follower);

  const TaskInfo stream =
      c.leader_tasks.Await("stream", [](const TaskInfo& t) { return t.status == "replicating"; });
  CHECK(Runs(stream));
  CHECK(stream.cancellable);
  CHECK(AttributeOf(stream, "database") == "test");
  CHECK(AttributeOf(stream, "follower") == c.follower->follower->stats().id);
  CHECK(AttributeOf(stream, "name") == "reader");
  CHECK(AttributeOf(stream, "address").find("127.0.0.1") != std::string::npos);
  CHECK(c.leader_tasks.HadStatus(stream, "sending the log files of an image"));
  CHECK(c.leader_tasks.HadStatus(stream, "sending the objects of an image"));

  const TaskInfo theirs = c.follower_tasks.Await("stream", Runs);
  CHECK(theirs.status == "replicating");
  CHECK(AttributeOf(theirs, "leader") == c.follower_options.leader_address);
  CHECK(c.follower_tasks.HadStatus(theirs, "receiving an image"));
  const TaskInfo image = c.follower_tasks.Await("image", Succeeded);
  CHECK(image.parent == theirs.id);
  CHECK(image.progress.total > 0);
  CHECK(image.progress.done == image.progress.total);
  const TaskInfo applier =
      c.follower_tasks.Await("applier", [](const TaskInfo& t) { return t.status == "idle"; });
  CHECK_FALSE(applier.cancellable);
  const TaskInfo build = c.follower_tasks.Await("build", Succeeded);
  CHECK(c.follower_tasks.HadStatus(build, "opening"));
  CHECK(build.parent == applier.id);  // the first one, which the applier waits for
  CHECK(AttributeOf(build, "generation") == "1");

  c.Put("one more");
  CatchUp(*c.leader, *c.follower);
  CHECK(c.follower_tasks.HadStatus(applier, "applying"));
  CHECK(c.follower_tasks.Await("applier", [](const TaskInfo& t) { return t.progress.done > 0; })
            .progress.unit == "keys");

  c.follower->Close();
  CHECK(c.follower_tasks.registry()->stats().running == 0);
  c.leader->Close();
  CHECK(c.leader_tasks.registry()->stats().running == 0);
}

TEST_CASE("own_tasks: flushes, compactions, uploads and deletions are in the process list",
          "[e2e]") {
  ObservedCluster c;
  c.StartFollower();
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 100; ++i) c.Put("key" + std::to_string(i));
    c.leader->Flush();
  }
  const TaskInfo flush = c.leader_tasks.Await("flush", Succeeded);
  CHECK(AttributeOf(flush, "column_family") == "default");
  CHECK_FALSE(flush.cancellable);
  const TaskInfo upload = c.leader_tasks.Await("upload", Succeeded);
  CHECK(AttributeOf(upload, "object").starts_with("test/sst/"));
  CHECK(upload.progress.done > 0);
  CHECK(c.leader_tasks.HadStatus(upload, "publishing"));
  c.leader->Compact();
  const TaskInfo compaction = c.leader_tasks.Await("compaction", Succeeded);
  CHECK(c.leader_tasks.HadStatus(compaction, "compacting 2 files of level 0"));
  // The compacted files leave the storage once the follower has another generation.
  const TaskInfo deletion = c.leader_tasks.Await("delete", Succeeded);
  CHECK(c.leader_tasks.HadStatus(deletion, "test/sst/"));
  CHECK(deletion.progress.unit == "objects");
  CHECK(c.leader->leader->stats().deleted_objects > 0);
}

TEST_CASE("own_tasks: a generation that readers hold is in the process list until they are gone",
          "[e2e]") {
  ObservedCluster c;
  c.StartFollower();
  const rocksdb::Snapshot* snapshot = c.follower->db()->GetSnapshot();
  for (int i = 0; i < 1000; ++i) c.Put("key" + std::to_string(i));
  c.leader->Flush();
  const TaskInfo held = c.follower_tasks.Await("retire", Runs);
  CHECK(held.status == "held by readers");
  CHECK(AttributeOf(held, "generation") == "1");
  c.follower->db()->ReleaseSnapshot(snapshot);
  c.follower_tasks.Await("retire",
                         [&](const TaskInfo& t) { return t.id == held.id && Succeeded(t); });
}

TEST_CASE("own_tasks: to cancel a leader's stream ends it, and its follower opens another",
          "[e2e]") {
  ObservedCluster c;
  c.StartFollower();
  const TaskInfo stream = c.Stream();
  RequireOk(c.leader_tasks.registry()->Cancel(stream.id, "enough"));
  const TaskInfo ended = c.leader_tasks.Await(
      "stream", [&](const TaskInfo& t) { return t.id == stream.id && !Runs(t); });
  CHECK(ended.outcome == TaskOutcome::kCancelled);
  // The follower was told why.
  const TaskInfo theirs =
      c.follower_tasks.Await("stream", [](const TaskInfo& t) { return !Runs(t); });
  CHECK(theirs.error.find("enough") != std::string::npos);
  CHECK(c.Stream().id != stream.id);
  c.Put("later");
  CatchUp(*c.leader, *c.follower);
}

TEST_CASE("own_tasks: to cancel a follower's stream ends it, and it opens another", "[e2e]") {
  ObservedCluster c;
  c.StartFollower();
  const TaskInfo stream = c.follower_tasks.Await("stream", Runs);
  const TaskInfo applier = c.follower_tasks.Await("applier", Runs);
  CHECK(c.follower_tasks.registry()->Cancel(applier.id, "no").IsNotSupported());
  RequireOk(c.follower_tasks.registry()->Cancel(stream.id, "enough"));
  c.follower_tasks.Await("stream", [&](const TaskInfo& t) {
    return t.id == stream.id && t.outcome == TaskOutcome::kCancelled;
  });
  c.follower_tasks.Await(
      "stream", [&](const TaskInfo& t) { return t.id != stream.id && t.status == "replicating"; });
  c.Put("later");
  CatchUp(*c.leader, *c.follower);
  CHECK(c.follower->follower->stats().reconnects == 1);
}

TEST_CASE("own_tasks: a wait tells what it is blocked by, and ends when it is cancelled", "[e2e]") {
  ObservedCluster c;
  c.StartFollower();
  const Position never = Beyond(c.leader->leader->position());
  const auto cancelled = [](const Tasks& tasks, const TaskInfo& wait, std::thread* waiter,
                            const Status& outcome) {
    const auto begin = std::chrono::steady_clock::now();
    RequireOk(tasks.registry()->Cancel(wait.id, "enough"));
    waiter->join();
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(2));
    INFO(outcome.ToString());
    CHECK(outcome.IsIncomplete());
    CHECK(outcome.ToString().find("enough") != std::string::npos);
    const TaskInfo ended = tasks.Await(wait.kind, [&](const TaskInfo& t) { return !Runs(t); });
    CHECK(ended.outcome == TaskOutcome::kCancelled);
  };
  const auto blocked_by = [](observe::TaskId id) {
    return [id](const TaskInfo& t) {
      return Runs(t) && t.blocker.kind == Blocker::Kind::kTask && t.blocker.task == id;
    };
  };

  Status outcome;
  std::thread reader([&] { outcome = c.follower->follower->WaitFor(never, 10 * kPatienceUs); });
  TaskInfo wait = c.follower_tasks.Await("wait_for_position",
                                         blocked_by(c.follower_tasks.Await("stream", Runs).id));
  CHECK(AttributeOf(wait, "position") == never.ToString());
  CHECK(wait.status == "waiting for the leader");
  cancelled(c.follower_tasks, wait, &reader, outcome);

  std::thread writer([&] {
    outcome = c.leader->leader->WaitForFollowers(never, 1, AckLevel::kApplied, 10 * kPatienceUs);
  });
  wait = c.leader_tasks.Await("wait_for_followers", blocked_by(c.Stream().id));
  CHECK(AttributeOf(wait, "level") == "applied");
  cancelled(c.leader_tasks, wait, &writer, outcome);
  // A second follower is missing altogether.
  std::thread pair([&] {
    outcome = c.leader->leader->WaitForFollowers(c.leader->leader->position(), 2,
                                                 AckLevel::kReceived, 10 * kPatienceUs);
  });
  wait = c.leader_tasks.Await("wait_for_followers", [](const TaskInfo& t) {
    return Runs(t) && t.blocker.kind == Blocker::Kind::kPeer;
  });
  CHECK(wait.blocker.name == "1 more followers");
  RequireOk(c.leader_tasks.registry()->Cancel(wait.id, "enough"));
  pair.join();
  CHECK(outcome.IsIncomplete());

  c.leader->Close();  // from now on reads get older
  std::thread fresh([&] { outcome = c.follower->follower->WaitForFreshness(0, 10 * kPatienceUs); });
  wait = c.follower_tasks.Await("wait_for_freshness", Runs);
  cancelled(c.follower_tasks, wait, &fresh, outcome);
}

TEST_CASE("own_tasks: waits that are over soon are not in the process list", "[e2e]") {
  ObservedCluster c;
  c.StartFollower();
  CatchUp(*c.leader, *c.follower);
  const Position here = c.leader->leader->position();
  for (int i = 0; i < 100; ++i) {
    RequireOk(c.follower->follower->WaitFor(here, kPatienceUs));
    CHECK(c.follower->follower->WaitFor(Beyond(here), 100).IsTimedOut());
    CHECK(
        c.leader->leader->WaitForFollowers(Beyond(here), 1, AckLevel::kApplied, 100).IsTimedOut());
  }
  CHECK(c.follower_tasks.Of("wait_for_position").empty());
  CHECK(c.leader_tasks.Of("wait_for_followers").empty());
  // One that lasts, and whose time is up, has not failed.
  CHECK(c.follower->follower->WaitFor(Beyond(here), 50000).IsTimedOut());
  const std::vector<TaskInfo> waits = c.follower_tasks.Of("wait_for_position");
  REQUIRE(waits.size() == 1);
  CHECK(Succeeded(waits[0]));
  CHECK(waits[0].status == "the time is up");
}

TEST_CASE("own_tasks: a build that the storage holds up is found from the reader that waits",
          "[e2e]") {
  ObservedCluster c;
  const auto gated = std::make_shared<GatedStorage>(c.cluster.storage());
  c.follower_options.storage = gated;
  c.Put("a");
  c.leader->Flush();
  c.StartFollower();
  gated->SetOpen(false);
  // Shown by a new generation alone, which has to read a file that is new.
  rocksdb::ColumnFamilyHandle* family = nullptr;
  for (int i = 0; i < 1000; ++i) c.Put("key" + std::to_string(i));
  c.leader->Flush();
  RequireOk(c.leader->db()->CreateColumnFamily(rocksdb::ColumnFamilyOptions(), "new", &family));
  Status outcome;
  const Position created = c.leader->leader->position();
  std::thread reader([&] { outcome = c.follower->follower->WaitFor(created, kPatienceUs); });
  const TaskInfo wait = c.follower_tasks.Await(
      "wait_for_position", [](const TaskInfo& t) { return t.status == "waiting for the applier"; });
  const TaskInfo applier = c.follower_tasks.Await(
      "applier", [&](const TaskInfo& t) { return t.status == "opening a generation"; });
  CHECK(wait.blocker.task == applier.id);
  const TaskInfo build = c.follower_tasks.Await(
      "build", [&](const TaskInfo& t) { return Runs(t) && t.parent == applier.id; });
  CHECK(build.status == "opening");
  gated->SetOpen(true);
  reader.join();
  RequireOk(outcome);
  RequireOk(c.leader->db()->DestroyColumnFamilyHandle(family));
}

TEST_CASE("own_tasks: a stream to a peer that is stuck ends when it is cancelled", "[e2e]") {
  ObservedCluster c;
  TcpProxy proxy(c.leader->leader->port());
  c.follower_options.leader_address = "127.0.0.1:" + std::to_string(proxy.port());
  c.StartFollower();
  const TaskInfo stream = c.Stream();
  proxy.Pause();
  // More than fits into the buffers on the way.
  const std::string value(1 << 20, 'v');
  for (int i = 0; i < 16; ++i) RequireOk(c.leader->db()->Put(WriteOptions(), "k", value));
  const auto begin = std::chrono::steady_clock::now();
  RequireOk(c.leader_tasks.registry()->Cancel(stream.id, "stuck"));
  c.leader_tasks.Await("stream", [&](const TaskInfo& t) {
    return t.id == stream.id && t.outcome == TaskOutcome::kCancelled;
  });
  // Without the cancellation the leader would have waited for five seconds.
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(4));
  CHECK_FALSE(c.leader->leader->followers().at(0).connected);
  proxy.Resume();
  CatchUp(*c.leader, *c.follower);
}

TEST_CASE("own_tasks: a stream that is there for longer than its leader is in no registry",
          "[e2e]") {
  auto tasks = std::make_unique<Tasks>();
  LocalCluster cluster;
  LeaderOptions options = cluster.leader_options();
  options.task_registry = tasks->registry();
  RequireOk(ReplicationServer::Start({}, &options.server));
  LocalLeader leader = cluster.StartLeader(options, LocalCluster::db_options());
  TcpProxy proxy(options.server->port());
  LocalFollower follower = cluster.StartFollower(cluster.follower_options(proxy.port()));
  tasks->Await("stream", Runs);
  proxy.Pause();
  const std::string value(1 << 20, 'v');
  for (int i = 0; i < 16; ++i) RequireOk(leader.db()->Put(WriteOptions(), "k", value));
  leader.Close();
  CHECK(tasks->registry()->stats().running == 0);
  tasks.reset();
  options.server->Stop();
}

TEST_CASE("own_tasks: a read that the storage holds up is in the process list, and stays there",
          "[e2e]") {
  ObservedCluster c;
  const auto gated = std::make_shared<GatedStorage>(c.cluster.storage());
  c.follower_options.storage = gated;
  c.follower_options.slow_read_us = 1;
  constexpr int kTables = 30;
  RequireOk(c.leader->db()->SetOptions({{"disable_auto_compactions", "true"}}));
  for (int i = 0; i < kTables; ++i) {
    c.Put("key" + std::to_string(i));
    c.leader->Flush();
  }
  // So few that most tables are opened by those who read them.
  rocksdb::DBOptions db_options = LocalCluster::db_options();
  db_options.max_open_files = 20;
  c.follower.emplace(c.cluster.StartFollower(c.follower_options, db_options));
  CatchUp(*c.leader, *c.follower);
  CHECK(c.follower_tasks.Of("read").empty());
  gated->SetOpen(false);
  Status outcome;
  std::thread reader([&] {
    std::string value;
    for (int i = 0; i < kTables && outcome.ok(); ++i) {
      outcome = c.follower->db()->Get(rocksdb::ReadOptions(), "key" + std::to_string(i), &value);
    }
  });
  const bool held = Eventually([&] { return gated->waiting() > 0; });
  const TaskInfo stuck = c.follower_tasks.Await("read", Runs);
  gated->SetOpen(true);
  reader.join();
  REQUIRE(held);
  RequireOk(outcome);
  CHECK(AttributeOf(stuck, "column_family") == "default");
  CHECK_FALSE(AttributeOf(stuck, "database").empty());
  c.follower_tasks.Await("read",
                         [&](const TaskInfo& t) { return t.id == stuck.id && Succeeded(t); });
}

TEST_CASE("own_tasks: reads are listed while they run, and forgotten if they were not slow",
          "[e2e]") {
  ObservedCluster c;
  c.follower_options.slow_read_us = 3'600'000'000;
  c.Put("a");
  c.StartFollower();
  CatchUp(*c.leader, *c.follower);
  std::string value;
  RequireOk(c.follower->db()->Get(rocksdb::ReadOptions(), "a", &value));
  {
    const std::unique_ptr<rocksdb::Iterator> it(
        c.follower->db()->NewIterator(rocksdb::ReadOptions()));
    it->SeekToFirst();
    REQUIRE(it->Valid());
    const std::vector<TaskInfo> reads = c.follower_tasks.Of("read");
    REQUIRE(reads.size() == 1);
    CHECK(Runs(reads[0]));
    CHECK(AttributeOf(reads[0], "operation") == "iterator");
    CHECK(c.follower_tasks.registry()->Cancel(reads[0].id, "too slow").IsNotSupported());
  }
  CHECK(c.follower_tasks.Of("read").empty());
  const rocksdb::Snapshot* snapshot = c.follower->db()->GetSnapshot();
  rocksdb::ReadOptions at;
  at.snapshot = snapshot;
  RequireOk(c.follower->db()->Get(at, "a", &value));
  c.follower->db()->ReleaseSnapshot(snapshot);
  CHECK(c.follower_tasks.Of("read").empty());
}

}  // namespace slipstream::testing
