// Contents that other ways to replicate get wrong.
#include <string>

#include "catch2/catch.hpp"
#include "rocksdb/wide_columns.h"
#include "tests/e2e/local_cluster.h"

namespace slipstream::testing {
namespace {

using rocksdb::WriteOptions;

// Until the follower has opened a generation from the flushed file.
void AwaitRebuild(const LocalFollower& follower, uint64_t rebuilds_before) {
  REQUIRE(Eventually([&] { return follower.follower->stats().rebuilds > rebuilds_before; }));
}

}  // namespace

TEST_CASE("content: merge operands are counted once before and after a flush", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  for (int i = 0; i < 10; ++i) {
    RequireOk(leader.db()->Merge(WriteOptions(), leader.families[2], "n", "1"));
  }
  CatchUp(leader, follower);
  CHECK(follower.Get(2, "n") == "10");
  const uint64_t rebuilds = follower.follower->stats().rebuilds;
  leader.Flush();
  CatchUp(leader, follower);
  CHECK(follower.Get(2, "n") == "10");
  AwaitRebuild(follower, rebuilds);
  CHECK(follower.Get(2, "n") == "10");
  RequireOk(leader.db()->Merge(WriteOptions(), leader.families[2], "n", "1"));
  RequireEqual(leader, follower);
  CHECK(follower.Get(2, "n") == "11");
}

TEST_CASE("content: a deleted key does not come back", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  RequireOk(leader.db()->Put(WriteOptions(), "a", "1"));
  RequireOk(leader.db()->Put(WriteOptions(), "b", "1"));
  leader.Flush();
  RequireOk(leader.db()->Delete(WriteOptions(), "a"));
  RequireOk(leader.db()->DeleteRange(WriteOptions(), leader.families[0], "b", "c"));
  for (int round = 0; round < 4; ++round) {
    CatchUp(leader, follower);
    CHECK(follower.Get(0, "a") == "(not found)");
    CHECK(follower.Get(0, "b") == "(not found)");
    const uint64_t rebuilds = follower.follower->stats().rebuilds;
    RequireOk(leader.db()->Put(WriteOptions(), "other", std::to_string(round)));
    leader.Flush();
    AwaitRebuild(follower, rebuilds);
    // With the last of these no trace of the two is left in the files.
    if (round == 2) leader.Compact();
  }
  RequireEqual(leader, follower);
}

TEST_CASE("content: entities replicate like other writes", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  RequireOk(leader.db()->PutEntity(WriteOptions(), leader.families[0], "e",
                                   {{"", "0"}, {"x", "1"}, {"y", "2"}}));
  RequireOk(leader.db()->Put(WriteOptions(), "after", "1"));
  for (int round = 0; round < 2; ++round) {
    RequireEqual(leader, follower);
    CHECK(follower.Get(0, "after") == "1");
    CHECK(follower.Get(0, "e") == "0");
    rocksdb::PinnableWideColumns columns;
    RequireOk(
        follower.db()->GetEntity(rocksdb::ReadOptions(), follower.families[0], "e", &columns));
    REQUIRE(columns.columns().size() == 3);
    CHECK((columns.columns()[2].value() == "2"));
    leader.Flush();
  }
}

TEST_CASE("content: a rewritten database leaves nothing of the old one behind", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 500; ++i) {
      const std::string key = std::to_string(i * (round + 1));
      RequireOk(leader.db()->Put(WriteOptions(), key, std::to_string(round)));
    }
    RequireEqual(leader, follower);
    RequireOk(leader.db()->DeleteRange(WriteOptions(), leader.families[0], "", "~"));
    // An empty range consumes a sequence number and inserts nothing.
    RequireOk(leader.db()->DeleteRange(WriteOptions(), leader.families[0], "a", "a"));
    if (round != 1) leader.Flush();
    RequireEqual(leader, follower);
    CHECK(follower.Digest().entries == 0);
  }
}

}  // namespace slipstream::testing
