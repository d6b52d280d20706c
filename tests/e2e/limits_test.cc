// Memory stays bounded on both sides, and many databases share what can be shared.
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "slipstream/replication_server.h"
#include "tests/e2e/gated_storage.h"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"

namespace slipstream::testing {

TEST_CASE("limits: a follower that cannot apply stops reading, and the leader goes on", "[e2e]") {
  constexpr uint64_t kQueueBytes = 1 << 20, kMessageBytes = 1 << 20, kLogBytes = 4 << 20;
  LocalCluster cluster;
  LeaderOptions leader_options = cluster.leader_options();
  leader_options.replication_log_bytes = kLogBytes;
  LocalLeader leader = cluster.StartLeader(leader_options, LocalCluster::db_options());
  auto gate = std::make_shared<GatedStorage>(cluster.storage());
  FollowerOptions options = cluster.follower_options(leader.leader->port());
  options.storage = gate;
  options.receive_queue_bytes = kQueueBytes;
  options.stream_timeout_ms = 300;
  LocalFollower follower = cluster.StartFollower(options);
  MixedLoad load(leader.db(), leader.families, 1000, 1);
  RequireOk(load.Write(100));
  RequireEqual(leader, follower);
  const uint64_t reconnects = follower.follower->stats().reconnects;
  // A table that it has to open before it may go on.
  gate->SetOpen(false);
  leader.Flush();
  rocksdb::ColumnFamilyHandle* created = nullptr;
  RequireOk(leader.db()->CreateColumnFamily(rocksdb::ColumnFamilyOptions(), "created", &created));
  REQUIRE(Eventually([&] { return gate->waiting() > 0; }));
  for (int i = 0; i < 30; ++i) {
    RequireOk(load.Write(1000));
    CHECK(leader.leader->stats().replication_log_bytes <= kLogBytes);
    CHECK(follower.follower->stats().receive_queue_bytes <= kQueueBytes + kMessageBytes);
  }
  CHECK(leader.leader->stats().log_bytes > 4 * kLogBytes);
  // Its queue is full, which is no silence of the leader.
  CHECK(
      Eventually([&] { return follower.follower->stats().receive_queue_bytes > kQueueBytes / 2; }));
  CHECK(Throughout(std::chrono::milliseconds(700),
                   [&] { return follower.follower->stats().reconnects == reconnects; }));
  CHECK(follower.Get(0, "no such key") == "(not found)");
  gate->SetOpen(true);
  RequireEqual(leader, follower);
  CHECK(follower.follower->stats().receive_queue_bytes <= kQueueBytes + kMessageBytes);
  CHECK(follower.follower->stats().resyncs >= 1);
  RequireOk(leader.db()->DestroyColumnFamilyHandle(created));
}

TEST_CASE("limits: fifty databases are served by one server of one process", "[e2e]") {
  constexpr int kDatabases = 50;
  std::shared_ptr<ReplicationServer> server;
  RequireOk(ReplicationServer::Start(ReplicationServerOptions(), &server));
  LocalCluster cluster;
  struct Pair {
    std::unique_ptr<Leader> leader;
    std::unique_ptr<Follower> follower;
  };
  std::vector<Pair> pairs(kDatabases);
  for (int i = 0; i < kDatabases; ++i) {
    LeaderOptions options = cluster.leader_options();
    options.database = "database" + std::to_string(i);
    options.server = server;
    RequireOk(Leader::Open(
        options, rocksdb::Options(LocalCluster::db_options(), rocksdb::ColumnFamilyOptions()),
        cluster.directory().path(options.database), &pairs[i].leader));
    FollowerOptions follower_options = cluster.follower_options(server->port());
    follower_options.database = options.database;
    RequireOk(Follower::Open(follower_options, rocksdb::Options(), &pairs[i].follower));
  }
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < kDatabases; ++i) {
      rocksdb::DB* db = pairs[i].leader->db();
      RequireOk(db->Put(rocksdb::WriteOptions(), "who", std::to_string(i)));
      RequireOk(db->Put(rocksdb::WriteOptions(), "round", std::to_string(round)));
      if (round == 1) RequireOk(db->Flush(rocksdb::FlushOptions()));
    }
    for (int i = 0; i < kDatabases; ++i) {
      RequireOk(pairs[i].follower->WaitFor(pairs[i].leader->position(), kPatienceUs));
      std::string who, in_round;
      RequireOk(pairs[i].follower->db()->Get(rocksdb::ReadOptions(), "who", &who));
      RequireOk(pairs[i].follower->db()->Get(rocksdb::ReadOptions(), "round", &in_round));
      CHECK(who == std::to_string(i));
      CHECK(in_round == std::to_string(round));
      CHECK(pairs[i].follower->stats().resyncs == 0);
      CHECK(pairs[i].leader->followers().size() == 1);
    }
  }
  // One after another, in both orders, and the rest goes on.
  for (int i = 0; i < kDatabases; ++i) {
    if (i % 2 == 0) pairs[i].leader.reset();
    pairs[i].follower.reset();
    pairs[i].leader.reset();
    if (i % 10 != 0) continue;
    Pair& last = pairs.back();
    if (last.leader == nullptr) continue;
    RequireOk(last.leader->db()->Put(rocksdb::WriteOptions(), "left", std::to_string(i)));
    RequireOk(last.follower->WaitFor(last.leader->position(), kPatienceUs));
  }
}

}  // namespace slipstream::testing
