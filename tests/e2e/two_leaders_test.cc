// Two leaders of one database: the newer one wins, and neither damages anything.
#include <filesystem>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"
#include "tests/e2e/node_process.h"
#include "tests/e2e/tcp_proxy.h"

namespace slipstream::testing {
namespace {

using rocksdb::Status;

const std::vector<std::string> kSmallBuffers{"write_buffer_bytes=262144", "lease_ms=300"};

void CheckNames(const std::string& text, const std::vector<std::string>& names) {
  INFO(text);
  for (const std::string& name : names) CHECK(text.find(name) != std::string::npos);
}

void CopyDirectory(const std::string& from, const std::string& to) {
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

std::unique_ptr<NodeProcess> LeaderNode(const NodeCluster& cluster, const std::string& directory,
                                        std::vector<std::string> extra = kSmallBuffers) {
  extra.push_back("directory=" + directory);
  extra.push_back("storage=" + cluster.directory().path("storage"));
  extra.push_back("database=test");
  return std::make_unique<NodeProcess>("leader", extra);
}

}  // namespace

TEST_CASE("two leaders: one that stalls, is replaced and wakes does no harm", "[e2e]") {
  NodeCluster cluster;
  auto old_leader = cluster.StartLeader(0, kSmallBuffers);
  auto old_follower = cluster.StartFollower(old_leader->port());
  old_follower->AwaitReady();
  old_leader->Ask("load 20000 100 1");
  RequireEqual(old_leader.get(), old_follower.get());
  // Removed and not yet deleted objects are there as well: the follower pins them.
  old_leader->Ask("compact");
  old_leader->Ask("start_load 100 2");
  const uint64_t begin = old_leader->Sequence();
  REQUIRE(Eventually([&] { return old_leader->Sequence() > begin + 5000; }));
  old_leader->process()->Suspend();
  const std::string copy = cluster.directory().path("copy");
  CopyDirectory(cluster.leader_path(), copy);

  auto new_leader = LeaderNode(cluster, copy);
  new_leader->AwaitReady();
  CHECK(new_leader->Stat("epoch") == 2);
  auto new_follower = cluster.StartFollower(new_leader->port());
  new_follower->AwaitReady();
  new_leader->Ask("load 5000 100 3");
  RequireEqual(new_leader.get(), new_follower.get());

  // It wakes in the middle of its load, and finds out.
  old_leader->process()->Continue();
  REQUIRE(Eventually([&] { return old_leader->Stat("fenced_by") == 2; }));
  CHECK(old_leader->Stat("healthy") == 0);
  const std::string refusal = old_leader->Answer("put default a 1");
  CHECK(refusal.starts_with("error Operation aborted"));
  CheckNames(refusal, {"epoch 1", "epoch 2", "reopen", copy});
  CHECK(old_leader->Answer("await_load").starts_with("error Operation aborted"));
  // What it compacts and would collect now is its own affair.
  const uint64_t deleted = old_leader->Stat("deleted_objects");
  old_leader->Ask("flush");
  old_leader->Ask("compact");
  CHECK(old_leader->Stat("pinned_objects") > 0);
  REQUIRE(Eventually([&] { return old_follower->Stat("connected") == 0; }));

  new_leader->Ask("load 5000 100 4");
  new_leader->Ask("compact");
  RequireEqual(new_leader.get(), new_follower.get());
  auto late = cluster.StartFollower(new_leader->port());
  late->AwaitReady();
  RequireEqual(new_leader.get(), late.get());
  CHECK(old_leader->Stat("deleted_objects") == deleted);
  // Its follower shows what it had.
  CHECK(old_follower->Stat("epoch") == 1);
  old_follower->Ask("hash");
  old_leader->Ask("quit");

  // The directory that was left behind is not opened again by mistake.
  auto again = LeaderNode(cluster, cluster.leader_path());
  CheckNames(again->AwaitRefusal(), {"left behind", copy, "epoch 2"});
  CHECK(new_leader->Stat("fenced_by") == 0);
  // The newer one is whole from the storage alone.
  const std::string contents = new_leader->Ask("hash");
  new_leader->Ask("quit");
  new_leader = LeaderNode(cluster, copy);
  new_leader->AwaitReady();
  CHECK(new_leader->Ask("hash") == contents);
}

TEST_CASE("two leaders: a fenced leader ends its streams and waits, and closes", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  RequireOk(leader.db()->Put(rocksdb::WriteOptions(), "a", "1"));
  RequireEqual(leader, follower);
  // Another leader's claim is all that it takes.
  RequireOk(cluster.storage()->PutIfAbsent("test/epoch/00000002",
                                           "slipstream epoch 1\nelsewhere:/db\ntoken\n"));
  Position unreachable = leader.leader->position();
  unreachable.offset += 1000000;
  const Status waited =
      leader.leader->WaitForFollowers(unreachable, 1, AckLevel::kApplied, kPatienceUs);
  CHECK(waited.IsAborted());
  CheckNames(waited.ToString(), {"epoch 1", "epoch 2", "elsewhere:/db"});
  const auto follower_is_told = [&] {
    const Status s = follower.follower->stats().status;
    return s.IsAborted() && s.ToString().find("fenced by epoch 2") != std::string::npos;
  };
  CHECK(Eventually(follower_is_told));
  CHECK(follower.Get(0, "a") == "1");

  const LeaderStats stats = leader.leader->stats();
  CHECK(stats.fenced_by == 2);
  CHECK(stats.replication.IsAborted());
  rocksdb::DB* db = leader.db();
  const rocksdb::WriteOptions write;
  rocksdb::WriteBatch batch;
  RequireOk(batch.Put("a", "2"));
  CHECK(db->Put(write, "a", "2").IsAborted());
  CHECK(db->Delete(write, "a").IsAborted());
  CHECK(db->SingleDelete(write, "a").IsAborted());
  CHECK(db->Merge(write, leader.families[2], "a", "2").IsAborted());
  CHECK(db->DeleteRange(write, leader.families[0], "a", "b").IsAborted());
  CHECK(db->PutEntity(write, leader.families[0], "a", {{"x", "y"}}).IsAborted());
  CHECK(db->Write(write, &batch).IsAborted());
  std::string value;
  RequireOk(db->Get(rocksdb::ReadOptions(), "a", &value));
  CHECK(value == "1");
  for (rocksdb::ColumnFamilyHandle* family : leader.families) delete family;
  leader.families.clear();
  RequireOk(leader.leader->Close());
  leader.Close();
  // Its own directory goes on: nothing was opened under the claim.
  LocalLeader next = cluster.StartLeader();
  CHECK(next.leader->position().epoch == 3);
}

TEST_CASE("two leaders: a follower never goes back to the older one", "[e2e]") {
  NodeCluster cluster;
  auto old_leader = cluster.StartLeader(0, kSmallBuffers);
  TcpProxy proxy(old_leader->port());
  auto follower = cluster.StartFollower(proxy.port(), {"stream_timeout_ms=1000"});
  follower->AwaitReady();
  old_leader->Ask("load 2000 100 1");
  RequireEqual(old_leader.get(), follower.get());
  old_leader->process()->Suspend();
  const std::string copy = cluster.directory().path("copy");
  CopyDirectory(cluster.leader_path(), copy);
  auto new_leader = LeaderNode(cluster, copy);
  new_leader->AwaitReady();
  new_leader->Ask("load 2000 100 2");
  proxy.Retarget(new_leader->port());
  proxy.Cut();
  RequireEqual(new_leader.get(), follower.get());
  CHECK(follower->Stat("epoch") == 2);

  // The address leads to the older one again, which does not know yet that it is older.
  proxy.Retarget(old_leader->port());
  proxy.Cut();
  old_leader->process()->Continue();
  REQUIRE(Eventually([&] { return old_leader->Stat("fenced_by") == 2; }));
  const uint64_t reconnects = follower->Stat("reconnects");
  REQUIRE(Eventually([&] { return follower->Stat("reconnects") >= reconnects + 2; }));
  CHECK(follower->Stat("connected") == 0);
  CHECK(follower->Stat("epoch") == 2);
  CHECK(follower->Ask("hash") == new_leader->Ask("hash"));
  proxy.Retarget(new_leader->port());
  proxy.Cut();
  new_leader->Ask("load 100 100 3");
  RequireEqual(new_leader.get(), follower.get());
}

TEST_CASE("two leaders: another database under the same name is refused", "[e2e]") {
  LocalCluster cluster;
  std::string identity;
  {
    LocalLeader leader = cluster.StartLeader();
    RequireOk(leader.db()->Put(rocksdb::WriteOptions(), "a", "1"));
    leader.Flush();
    RequireOk(leader.db()->GetDbIdentity(identity));
  }
  const std::string other = cluster.directory().path("other");
  const bool exists = GENERATE(true, false);
  std::string other_identity = "no database";
  if (exists) {
    rocksdb::DB* db = nullptr;
    RequireOk(rocksdb::DB::Open(
        rocksdb::Options(LocalCluster::db_options(), rocksdb::ColumnFamilyOptions()), other, &db));
    RequireOk(db->GetDbIdentity(other_identity));
    delete db;
  }
  LocalLeader second;
  const Status s = Leader::Open(cluster.leader_options(), LocalCluster::db_options(), other,
                                TestColumnFamilies(), &second.families, &second.leader);
  CHECK(s.IsInvalidArgument());
  CheckNames(s.ToString(), {identity, other_identity, other, cluster.leader_path(), "epoch 1"});
  // It claimed nothing, so that it fences nobody.
  std::vector<std::string> epochs;
  RequireOk(cluster.storage()->List("test/epoch/", &epochs));
  CHECK(epochs == std::vector<std::string>{"test/epoch/00000001", "test/epoch/00000001.open"});
  LocalLeader leader = cluster.StartLeader();
  std::string value;
  RequireOk(leader.db()->Get(rocksdb::ReadOptions(), "a", &value));
  CHECK(value == "1");
}

TEST_CASE("two leaders: a copy whose objects are gone is refused", "[e2e]") {
  LocalCluster cluster;
  const std::string copy = cluster.directory().path("copy");
  rocksdb::DBOptions options = LocalCluster::db_options();
  options.max_open_files = 10;  // so that RocksDB opens no file to find out
  {
    LocalLeader leader = cluster.StartLeader();
    MixedLoad load(leader.db(), leader.families, 100, 1);
    for (int round = 0; round < 30; ++round) {
      RequireOk(load.Write(20));
      leader.Flush();
    }
    CopyDirectory(cluster.leader_path(), copy);
    leader.Compact();
    REQUIRE(Eventually([&] { return leader.leader->stats().pinned_objects == 0; }));
  }
  LocalLeader second;
  const Status s = Leader::Open(cluster.leader_options(), options, copy, TestColumnFamilies(),
                                &second.families, &second.leader);
  INFO(s.ToString());
  CHECK_FALSE(s.ok());
  CheckNames(s.ToString(), {".sst"});
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  RequireEqual(leader, follower);
}

}  // namespace slipstream::testing
