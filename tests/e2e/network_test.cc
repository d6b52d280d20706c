// Streams that are cut or stand still.
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"
#include "tests/e2e/node_process.h"
#include "tests/e2e/tcp_proxy.h"

namespace slipstream::testing {
namespace {

uint64_t ConnectedFollowers(const LocalLeader& leader) {
  uint64_t connected = 0;
  for (const FollowerInfo& f : leader.leader->followers()) connected += f.connected ? 1 : 0;
  return connected;
}

}  // namespace

TEST_CASE("network: a suspended follower neither slows the leader nor fills its memory", "[e2e]") {
  constexpr uint64_t kLogBytes = 4 << 20;
  NodeCluster cluster;
  auto leader = cluster.StartLeader(
      0, {"log_bytes=" + std::to_string(kLogBytes), "write_buffer_bytes=1048576"});
  auto suspended = cluster.StartFollower(leader->port());
  auto running = cluster.StartFollower(leader->port());
  suspended->AwaitReady();
  running->AwaitReady();
  leader->Ask("load 1000 1000 1");
  RequireEqual(leader.get(), suspended.get());
  suspended->process()->Suspend();
  // Several times what its memory and the sockets hold.
  leader->Ask("load 30000 1000 2");
  CHECK(leader->Stat("log_bytes") > 5 * kLogBytes);
  CHECK(leader->Stat("memory_bytes") <= kLogBytes);
  RequireEqual(leader.get(), running.get());
  CHECK(leader->Stat("memory_bytes") <= kLogBytes);
  suspended->process()->Continue();
  RequireEqual(leader.get(), suspended.get());
  CHECK(suspended->Stat("resyncs") >= 1);
  CHECK(leader->Stat("images_sent") >= 3);
  CHECK(suspended->Stat("sequence_gaps") == 0);
}

TEST_CASE("network: a follower goes on where its stream was cut", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  TcpProxy proxy(leader.leader->port());
  LocalFollower follower = cluster.StartFollower(cluster.follower_options(proxy.port()));
  MixedLoad load(leader.db(), leader.families, 100, 1);
  for (uint64_t cut = 1; cut <= 5; ++cut) {
    RequireOk(load.Write(500));
    proxy.Cut();
    RequireOk(load.Write(500));
    if (cut == 3) leader.Flush();
    RequireEqual(leader, follower);
    CHECK(follower.follower->stats().reconnects >= cut);
  }
  CHECK(follower.follower->stats().resyncs == 0);
  REQUIRE(leader.leader->followers().size() == 1);
  CHECK(leader.leader->followers()[0].connected);
}

TEST_CASE("network: a stream that stands still is given up and opened anew", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  TcpProxy proxy(leader.leader->port());
  FollowerOptions options = cluster.follower_options(proxy.port());
  options.stream_timeout_ms = 300;
  LocalFollower follower = cluster.StartFollower(options);
  RequireOk(leader.db()->Put(rocksdb::WriteOptions(), "a", "1"));
  CatchUp(leader, follower);
  proxy.Pause();
  RequireOk(leader.db()->Put(rocksdb::WriteOptions(), "a", "2"));
  CHECK(Eventually([&] { return follower.follower->WaitForFreshness(100000, 0).IsTimedOut(); }));
  CHECK(Eventually([&] { return !follower.follower->stats().connected; }));
  CHECK(follower.Get(0, "a") == "1");
  proxy.Cut();
  RequireEqual(leader, follower);
  CHECK(follower.Get(0, "a") == "2");
  CHECK(follower.follower->stats().reconnects >= 1);
  CHECK(follower.follower->stats().resyncs == 0);
}

TEST_CASE("network: a follower that was away for longer than its lease takes a fresh image",
          "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  TcpProxy proxy(leader.leader->port());
  LocalFollower follower = cluster.StartFollower(cluster.follower_options(proxy.port()));
  MixedLoad load(leader.db(), leader.families, 100, 1);
  RequireOk(load.Write(1000));
  leader.Flush();
  RequireEqual(leader, follower);
  proxy.Refuse();
  REQUIRE(Eventually([&] { return ConnectedFollowers(leader) == 0; }));
  const uint64_t deleted = leader.leader->stats().deleted_objects;
  RequireOk(load.Write(1000));
  leader.Flush();
  leader.Compact();
  // Nobody needs the old files once the lease is over.
  REQUIRE(Eventually([&] { return leader.leader->stats().pinned_objects == 0; }));
  CHECK(leader.leader->stats().deleted_objects > deleted);
  CHECK(leader.leader->followers().empty());
  proxy.Resume();
  RequireEqual(leader, follower);
  CHECK(follower.follower->stats().resyncs == 1);
  CHECK(follower.follower->stats().history_resets == 0);
}

TEST_CASE("network: a follower whose leader does not answer closes promptly", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  TcpProxy proxy(leader.leader->port());
  LocalFollower follower = cluster.StartFollower(cluster.follower_options(proxy.port()));
  const auto standing = GENERATE(true, false);
  if (standing) {
    proxy.Pause();
  } else {
    proxy.Refuse();
    REQUIRE(Eventually([&] { return !follower.follower->stats().connected; }));
  }
  const auto begin = std::chrono::steady_clock::now();
  follower.Close();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(3));
}

}  // namespace slipstream::testing
