// The leader's disk fails: what RocksDB takes back, followers take back, and the stream goes on.
#include <algorithm>
#include <cstdio>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/env.h"
#include "rocksdb/merge_operator.h"
#include "tests/e2e/local_cluster.h"
#include "tests/faults/fault_file_system.h"

namespace slipstream::testing {
namespace {

using rocksdb::Status;
using rocksdb::WriteOptions;

WriteOptions Synced() {
  WriteOptions options;
  options.sync = true;
  return options;
}

// A leader over a file system that fails on demand, with one follower.
struct FaultyCluster {
  FaultyCluster() { CatchUp(leader, follower); }

  // Repeats a write until RocksDB takes it again.
  void WriteUntilTaken(const std::string& key) {
    Status s;
    const bool taken = Eventually([&] {
      s = leader.db()->Put(WriteOptions(), key, "again");
      return s.ok();
    });
    INFO(s.ToString());
    REQUIRE(taken);
  }
  void AwaitIncarnation(uint64_t count) {
    const bool begun = Eventually([&] {
      const LeaderStats stats = leader.leader->stats();
      return stats.incarnations == count && stats.replication.ok();
    });
    INFO(leader.leader->stats().replication.ToString());
    REQUIRE(begun);
  }

  LocalLeader OpenLeader() {
    rocksdb::DBOptions options = LocalCluster::db_options();
    options.env = env.get();
    options.bgerror_resume_retry_interval = 1000;
    LocalLeader opened = cluster.StartLeader(cluster.leader_options(), options);
    // No memtable is empty: with empty ones RocksDB would go on in the WAL that has failed.
    for (auto* family : opened.families) {
      RequireOk(opened.db()->Put(WriteOptions(), family, "base", "1"));
    }
    return opened;
  }
  LocalFollower OpenFollower() {
    FollowerOptions options = cluster.follower_options(leader.leader->port());
    options.on_history_reset = [this](const HistoryReset& reset) { resets.push_back(reset); };
    return cluster.StartFollower(options);
  }

  std::shared_ptr<FaultFileSystem> fs = std::make_shared<FaultFileSystem>();
  std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(fs);
  LocalCluster cluster;
  std::vector<HistoryReset> resets;  // read when the follower has caught up
  LocalLeader leader = OpenLeader();
  LocalFollower follower = OpenFollower();
};

}  // namespace

TEST_CASE("disk_fault: the stream goes on in a new epoch after a WAL append has failed", "[e2e]") {
  FaultyCluster c;
  const Position before = c.leader.leader->position();
  c.fs->Arm({FileRole::kWal, FileCall::kAppend, 1, false, RetryableError(), 9});
  const Status failed = c.leader.db()->Put(WriteOptions(), "refused", "1");
  REQUIRE(failed.IsIOError());
  c.AwaitIncarnation(2);
  c.WriteUntilTaken("key");
  RequireEqual(c.leader, c.follower);
  CHECK(c.follower.Get(0, "refused") == "(not found)");
  CHECK(c.follower.Get(0, "key") == "again");

  const LeaderStats stats = c.leader.leader->stats();
  CHECK(stats.position.epoch == before.epoch + 1);
  CHECK(stats.last_break.ToString().find("a passing fault") != std::string::npos);
  const FollowerStats follower = c.follower.follower->stats();
  CHECK(follower.resyncs == 1);
  // Nothing that was shown was taken back.
  CHECK(follower.history_resets == 0);
  CHECK(c.resets.empty());
  RequireOk(c.follower.follower->WaitFor(before, 0));
}

TEST_CASE("disk_fault: what a failed WAL sync takes back, followers take back and say so",
          "[e2e]") {
  FaultyCluster c;
  const uint64_t kept = c.leader.db()->GetLatestSequenceNumber();
  FileFault fault{FileRole::kWal, FileCall::kSync, 1, false, RetryableError(), 0};
  // The sync fails only once the follower shows what was appended before it.
  bool shown = false;
  fault.before_failure = [&] {
    shown = Eventually([&] { return c.follower.Get(0, "taken back") == "1"; });
  };
  c.fs->Arm(std::move(fault));
  const Status failed = c.leader.db()->Put(Synced(), "taken back", "1");
  REQUIRE(failed.IsIOError());
  REQUIRE(shown);
  c.AwaitIncarnation(2);
  c.WriteUntilTaken("key");
  RequireEqual(c.leader, c.follower);
  CHECK(c.follower.Get(0, "taken back") == "(not found)");
  CHECK(c.follower.follower->stats().history_resets == 1);
  REQUIRE(c.resets.size() == 1);
  CHECK(c.resets[0].shown.sequence == kept + 1);
  CHECK(c.resets[0].resumed.sequence == kept);
}

TEST_CASE("disk_fault: nobody waits for what replication cannot reach", "[e2e]") {
  FaultyCluster c;
  c.fs->Arm({FileRole::kWal, FileCall::kAppend, 1, true, DiskFull(), 0});
  Leader* l = c.leader.leader.get();
  // One wait is under way when the log breaks.
  Position beyond = l->position();
  beyond.offset += 1000;
  auto waiting = std::async(std::launch::async, [&] {
    return l->WaitForFollowers(beyond, 1, AckLevel::kReceived, kPatienceUs);
  });
  REQUIRE(c.leader.db()->Put(WriteOptions(), "refused", "1").IsIOError());
  const Status ended = waiting.get();
  INFO(ended.ToString());
  CHECK(ended.IsAborted());
  CHECK(ended.ToString().find("disk full") != std::string::npos);
  CHECK_FALSE(l->stats().replication.ok());

  // A position of now covers writes that no follower of this epoch will see.
  const Position now = l->position();
  const Status s = l->WaitForFollowers(now, 1, AckLevel::kApplied, kPatienceUs);
  INFO(s.ToString());
  CHECK(s.IsAborted());
  // What followers had before is still confirmed, and shown.
  Position confirmed = now;
  --confirmed.offset;
  RequireOk(l->WaitForFollowers(confirmed, 1, AckLevel::kApplied, kPatienceUs));
  CHECK(c.follower.Get(0, "base") == "1");

  // A new follower is told why there is no image, and gets one once there is.
  FollowerOptions options = c.cluster.follower_options(l->port());
  options.open_timeout_ms = 300;
  std::unique_ptr<Follower> refused;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  const Status no_image =
      Follower::Open(options, rocksdb::DBOptions(), TestColumnFamilies(), &handles, &refused);
  INFO(no_image.ToString());
  CHECK(no_image.IsTimedOut());
  CHECK(no_image.ToString().find("disk full") != std::string::npos);

  auto reached = std::async(std::launch::async,
                            [&] { return c.follower.follower->WaitFor(now, kPatienceUs); });
  c.fs->Heal();
  RequireOk(c.leader.db()->Resume());
  c.AwaitIncarnation(2);
  // Not known to be part of the new epoch.
  CHECK(l->WaitForFollowers(now, 1, AckLevel::kApplied, kPatienceUs).IsAborted());
  c.WriteUntilTaken("key");
  RequireEqual(c.leader, c.follower);
  CHECK_FALSE(reached.get().IsTimedOut());
  LocalFollower late = c.cluster.StartFollower(c.leader);
  RequireEqual(c.leader, late);
}

TEST_CASE("disk_fault: a column family whose manifest record failed is shown nowhere", "[e2e]") {
  for (const FileCall call : {FileCall::kAppend, FileCall::kSync}) {
    INFO(ToString(call));
    FaultyCluster c;
    c.fs->Arm({FileRole::kManifest, call, 1, false, RetryableError(), 0});
    rocksdb::ColumnFamilyHandle* created = nullptr;
    REQUIRE_FALSE(
        c.leader.db()->CreateColumnFamily(rocksdb::ColumnFamilyOptions(), "extra", &created).ok());
    REQUIRE(created == nullptr);
    c.AwaitIncarnation(2);
    c.WriteUntilTaken("key");
    RequireEqual(c.leader, c.follower);
    CHECK(c.follower.follower->GetColumnFamily("extra") == nullptr);
    // Tried again, it is there.
    RequireOk(c.leader.db()->CreateColumnFamily(rocksdb::ColumnFamilyOptions(), "extra", &created));
    c.leader.families.push_back(created);
    RequireOk(c.leader.db()->Put(WriteOptions(), created, "in", "extra"));
    CatchUp(c.leader, c.follower);
    auto* extra = c.follower.follower->GetColumnFamily("extra");
    REQUIRE(extra != nullptr);
    std::string value;
    RequireOk(c.follower.db()->Get(rocksdb::ReadOptions(), extra, "in", &value));
    CHECK(value == "extra");
  }
}

TEST_CASE("disk_fault: tables removed while replication had stopped stay for who reads them",
          "[e2e]") {
  FaultyCluster c;
  const int kKeys = 200;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < kKeys; ++i) {
      RequireOk(c.leader.db()->Put(WriteOptions(), "k" + std::to_string(i), std::to_string(round)));
    }
    c.leader.Flush();
    for (auto* family : c.leader.families) {
      RequireOk(c.leader.db()->Put(WriteOptions(), family, "base", "1"));
    }
  }
  CatchUp(c.leader, c.follower);
  // Holds a generation that needs the tables of now.
  REQUIRE(Eventually([&] { return c.follower.follower->stats().live_generations == 1; }));
  std::unique_ptr<rocksdb::Iterator> reader(
      c.follower.db()->NewIterator(rocksdb::ReadOptions(), c.follower.families[0]));
  const std::vector<std::string> before = c.cluster.Tables();

  // An SST of the first compaction is followed by a manifest record that fails: RocksDB removes
  // tables while the log is broken.
  c.fs->Arm({FileRole::kWal, FileCall::kAppend, 1, true, DiskFull(), 0});
  REQUIRE_FALSE(c.leader.db()->Put(WriteOptions(), "refused", "1").ok());
  c.fs->Heal();
  RequireOk(c.leader.db()->Resume());
  c.leader.Compact();
  c.AwaitIncarnation(2);
  c.WriteUntilTaken("key");
  RequireEqual(c.leader, c.follower);
  REQUIRE(c.leader.leader->stats().pinned_objects > 0);
  int found = 0;
  for (reader->SeekToFirst(); reader->Valid(); reader->Next()) ++found;
  RequireOk(reader->status());
  CHECK(found == kKeys + 1);
  reader.reset();
  // Then they go, and nothing else does.
  REQUIRE(Eventually([&] { return c.leader.leader->stats().pinned_objects == 0; }));
  const std::vector<std::string> after = c.cluster.Tables();
  CHECK(after.size() == c.leader.leader->stats().live_objects);
  for (const std::string& name : before) {
    CHECK(std::find(after.begin(), after.end(), name) == after.end());
  }
  RequireEqual(c.leader, c.follower);
}

TEST_CASE("disk_fault: a leader that was overtaken while its disk was broken does not go on",
          "[e2e]") {
  FaultyCluster c;
  c.fs->Arm({FileRole::kWal, FileCall::kAppend, 1, true, DiskFull(), 0});
  REQUIRE_FALSE(c.leader.db()->Put(WriteOptions(), "refused", "1").ok());
  const uint64_t epoch = c.leader.leader->position().epoch;
  char claim[64];
  snprintf(claim, sizeof(claim), "test/epoch/%08llu", static_cast<unsigned long long>(epoch + 1));
  RequireOk(c.cluster.storage()->PutIfAbsent(claim, "another leader"));
  c.fs->Heal();
  RequireOk(c.leader.db()->Resume());
  CHECK(Eventually([&] { return c.leader.leader->stats().fenced_by == epoch + 1; }));
  INFO(c.leader.leader->stats().replication.ToString());
  CHECK(c.leader.leader->stats().replication.IsAborted());
  CHECK(c.leader.leader->stats().incarnations == 1);
  CHECK(c.leader.leader->position().epoch == epoch);
}

}  // namespace slipstream::testing
