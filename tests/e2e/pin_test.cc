// Which files stay on the storage, and for how long.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"

namespace slipstream::testing {
namespace {

bool AllOf(const std::vector<std::string>& wanted, const std::vector<std::string>& have) {
  return std::includes(have.begin(), have.end(), wanted.begin(), wanted.end());
}

bool NoneOf(const std::vector<std::string>& unwanted, const std::vector<std::string>& have) {
  return std::none_of(unwanted.begin(), unwanted.end(), [&](const std::string& name) {
    return std::binary_search(have.begin(), have.end(), name);
  });
}

}  // namespace

TEST_CASE("pin: files that a snapshot of a live follower needs stay on the storage", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  MixedLoad load(leader.db(), leader.families, 100, 1);
  RequireOk(load.Write(1000));
  leader.Flush();
  CatchUp(leader, follower);
  REQUIRE(Eventually([&] { return follower.follower->stats().rebuilds > 0; }));
  const std::vector<std::string> needed = cluster.Tables();
  REQUIRE_FALSE(needed.empty());
  const rocksdb::Snapshot* snapshot = follower.db()->GetSnapshot();
  const ContentDigest before = follower.Digest(snapshot);

  for (int round = 0; round < 3; ++round) {
    const uint64_t rebuilds = follower.follower->stats().rebuilds;
    RequireOk(load.Write(1000));
    leader.Flush();
    leader.Compact();
    CatchUp(leader, follower);
    REQUIRE(Eventually([&] { return follower.follower->stats().rebuilds > rebuilds; }));
  }
  CHECK(leader.leader->stats().pinned_objects >= needed.size());
  CHECK(leader.leader->stats().pinned_bytes > 0);
  // Well beyond the lease, which a live follower does not need.
  CHECK(
      Throughout(std::chrono::milliseconds(1000), [&] { return AllOf(needed, cluster.Tables()); }));
  CHECK(follower.Digest(snapshot) == before);
  REQUIRE(leader.leader->followers().size() == 1);
  CHECK(leader.leader->followers()[0].live_generations >= 2);

  follower.db()->ReleaseSnapshot(snapshot);
  CHECK(Eventually([&] { return leader.leader->stats().pinned_objects == 0; }));
  CHECK(NoneOf(needed, cluster.Tables()));
  CHECK(leader.leader->stats().deleted_objects >= needed.size());
  CHECK(cluster.Tables().size() == leader.leader->stats().live_objects);
  RequireEqual(leader, follower);
}

TEST_CASE("pin: an iterator holds the files of its generation", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  MixedLoad load(leader.db(), leader.families, 100, 2);
  RequireOk(load.Write(1000));
  leader.Flush();
  CatchUp(leader, follower);
  REQUIRE(Eventually([&] { return follower.follower->stats().rebuilds > 0; }));
  const std::vector<std::string> needed = cluster.Tables();
  std::unique_ptr<rocksdb::Iterator> it(follower.db()->NewIterator(rocksdb::ReadOptions()));
  RequireOk(load.Write(1000));
  leader.Compact();
  RequireEqual(leader, follower);
  CHECK(
      Throughout(std::chrono::milliseconds(600), [&] { return AllOf(needed, cluster.Tables()); }));
  it->SeekToFirst();
  CHECK(it->Valid());
  it.reset();
  CHECK(Eventually([&] { return leader.leader->stats().pinned_objects == 0; }));
  CHECK(NoneOf(needed, cluster.Tables()));
}

TEST_CASE("pin: a follower that is gone pins files for its lease and no longer", "[e2e]") {
  LocalCluster cluster;
  LeaderOptions options = cluster.leader_options();
  options.follower_lease_ms = 1000;
  LocalLeader leader = cluster.StartLeader(options, LocalCluster::db_options());
  LocalFollower follower = cluster.StartFollower(leader);
  MixedLoad load(leader.db(), leader.families, 100, 3);
  RequireOk(load.Write(1000));
  leader.Flush();
  RequireEqual(leader, follower);
  follower.Close();
  const auto gone = std::chrono::steady_clock::now();
  RequireOk(load.Write(1000));
  leader.Flush();
  leader.Compact();
  CHECK(leader.leader->stats().pinned_objects > 0);
  CHECK(Eventually([&] { return leader.leader->stats().pinned_objects == 0; }));
  // The lease began a little before `gone` was taken.
  CHECK(std::chrono::steady_clock::now() - gone > std::chrono::milliseconds(500));
  CHECK(leader.leader->followers().empty());
  CHECK(cluster.Tables().size() == leader.leader->stats().live_objects);
}

TEST_CASE("pin: files of a follower outlast a restart of the leader", "[e2e]") {
  LocalCluster cluster;
  LeaderOptions leader_options = cluster.leader_options();
  leader_options.follower_lease_ms = 2000;
  LocalLeader first = cluster.StartLeader(leader_options, LocalCluster::db_options());
  leader_options.server_options.listen_address =
      "127.0.0.1:" + std::to_string(first.leader->port());
  LocalFollower follower = cluster.StartFollower(first);
  MixedLoad load(first.db(), first.families, 100, 4);
  RequireOk(load.Write(1000));
  first.Flush();
  CatchUp(first, follower);
  REQUIRE(Eventually([&] { return follower.follower->stats().rebuilds > 0; }));
  const std::vector<std::string> needed = cluster.Tables();
  const rocksdb::Snapshot* snapshot = follower.db()->GetSnapshot();
  const ContentDigest before = follower.Digest(snapshot);
  first.Close();

  LocalLeader second = cluster.StartLeader(leader_options, LocalCluster::db_options());
  // So that the compaction has something to merge the old files with.
  RequireOk(MixedLoad(second.db(), second.families, 100, 5).Write(1000));
  second.Compact();
  RequireEqual(second, follower);
  CHECK(AllOf(needed, cluster.Tables()));
  CHECK(
      Throughout(std::chrono::milliseconds(2500), [&] { return AllOf(needed, cluster.Tables()); }));
  CHECK(follower.Digest(snapshot) == before);
  follower.db()->ReleaseSnapshot(snapshot);
  CHECK(Eventually([&] { return second.leader->stats().pinned_objects == 0; }));
  CHECK(NoneOf(needed, cluster.Tables()));
}

}  // namespace slipstream::testing
