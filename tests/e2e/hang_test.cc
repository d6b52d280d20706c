// Peers that hang, and streams that stand still one way.
#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"
#include "tests/e2e/node_process.h"
#include "tests/e2e/tcp_proxy.h"

namespace slipstream::testing {
namespace {

FollowerInfo OnlyFollower(const LocalLeader& leader) {
  const std::vector<FollowerInfo> followers = leader.leader->followers();
  REQUIRE(followers.size() == 1);
  return followers[0];
}

}  // namespace

TEST_CASE("hang: a leader that hangs is noticed by its followers within their stream timeout",
          "[e2e]") {
  NodeCluster cluster;
  auto leader = cluster.StartLeader();
  auto follower = cluster.StartFollower(leader->port(), {"stream_timeout_ms=300"});
  follower->AwaitReady();
  leader->Ask("load 1000 100 1");
  RequireEqual(leader.get(), follower.get());
  leader->process()->Suspend();
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(Eventually([&] { return follower->Stat("connected") == 0; }));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(3));
  // It goes on serving what it has.
  follower->Ask("get default pair");
  leader->process()->Continue();
  REQUIRE(Eventually([&] { return follower->Stat("connected") == 1; }));
  leader->Ask("load 1000 100 2");
  RequireEqual(leader.get(), follower.get());
  CHECK(follower->Stat("history_resets") == 0);
}

TEST_CASE("hang: a follower that hangs is noticed by its leader", "[e2e]") {
  LocalCluster cluster;
  LeaderOptions options = cluster.leader_options();
  options.follower_lease_ms = 60000;
  LocalLeader leader = cluster.StartLeader(options, LocalCluster::db_options());
  NodeProcess follower("follower",
                       {"address=127.0.0.1:" + std::to_string(leader.leader->port()),
                        "storage=" + cluster.directory().path("storage"), "database=test"});
  follower.AwaitReady();
  RequireOk(leader.leader->WaitForFollowers(leader.leader->position(), 1, AckLevel::kApplied,
                                            kPatienceUs));
  // While it lives it is heard of, though nothing is written.
  CHECK(Throughout(std::chrono::milliseconds(600), [&] {
    return OnlyFollower(leader).silent_us < 500000 && OnlyFollower(leader).connected;
  }));
  follower.process()->Suspend();
  RequireOk(MixedLoad(leader.db(), leader.families, 100, 1).Write(200));
  REQUIRE(Eventually([&] { return OnlyFollower(leader).silent_us > 1000000; }));
  FollowerInfo before = OnlyFollower(leader);
  CHECK(before.lag_bytes > 0);
  CHECK(before.lag_sequences > 0);
  CHECK(before.lag_us > 500000);
  CHECK(leader.leader->WaitForFollowers(leader.leader->position(), 1, AckLevel::kReceived, 1000)
            .IsTimedOut());
  // Its lag grows, with writes and with time, until it is given up.
  RequireOk(MixedLoad(leader.db(), leader.families, 100, 2).Write(200));
  FollowerInfo after = OnlyFollower(leader);
  CHECK(after.lag_bytes > before.lag_bytes);
  CHECK(after.lag_sequences > before.lag_sequences);
  CHECK(after.lag_us > before.lag_us);
  REQUIRE(Eventually([&] { return !OnlyFollower(leader).connected; }));
  CHECK(OnlyFollower(leader).silent_us < 20000000);
  CHECK(OnlyFollower(leader).lag_sequences >= after.lag_sequences);
  follower.process()->Continue();
  REQUIRE(Eventually([&] {
    const FollowerInfo now = OnlyFollower(leader);
    return now.connected && now.lag_bytes == 0 && now.lag_us == 0 && now.silent_us < 500000;
  }));
}

TEST_CASE("hang: a follower that was forgotten and lost nothing is known again without a write",
          "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  TcpProxy proxy(leader.leader->port());
  LocalFollower follower = cluster.StartFollower(cluster.follower_options(proxy.port()));
  RequireOk(leader.db()->Put(rocksdb::WriteOptions(), "a", "1"));
  RequireEqual(leader, follower);
  proxy.Refuse();
  REQUIRE(Eventually([&] { return leader.leader->followers().empty(); }));
  proxy.Resume();
  RequireOk(leader.leader->WaitForFollowers(leader.leader->position(), 1, AckLevel::kApplied,
                                            kPatienceUs));
  CHECK(OnlyFollower(leader).serving);
  CHECK(OnlyFollower(leader).pin.epoch == 1);
  CHECK(follower.follower->stats().resyncs == 0);
}

TEST_CASE("hang: a stream that stands still towards the leader is given up by the leader",
          "[e2e]") {
  LocalCluster cluster;
  LeaderOptions options = cluster.leader_options();
  options.follower_lease_ms = 60000;
  LocalLeader leader = cluster.StartLeader(options, LocalCluster::db_options());
  TcpProxy proxy(leader.leader->port());
  LocalFollower follower = cluster.StartFollower(cluster.follower_options(proxy.port()));
  MixedLoad load(leader.db(), leader.families, 100, 1);
  RequireOk(load.Write(100));
  RequireEqual(leader, follower);
  proxy.Stall(TcpProxy::Way::kToTarget);
  RequireOk(load.Write(100));
  // The other way is open: the follower shows what the leader writes, and cannot say so.
  RequireEqual(leader, follower);
  CHECK(leader.leader->WaitForFollowers(leader.leader->position(), 1, AckLevel::kReceived, 100000)
            .IsTimedOut());
  REQUIRE(Eventually([&] { return !OnlyFollower(leader).connected; }));
  proxy.Resume();
  proxy.Cut();
  RequireOk(load.Write(100));
  RequireOk(leader.leader->WaitForFollowers(leader.leader->position(), 1, AckLevel::kApplied,
                                            kPatienceUs));
  RequireEqual(leader, follower);
}

TEST_CASE("hang: a stream that stands still towards the follower is given up by the follower",
          "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  TcpProxy proxy(leader.leader->port());
  FollowerOptions options = cluster.follower_options(proxy.port());
  options.stream_timeout_ms = 300;
  LocalFollower follower = cluster.StartFollower(options);
  RequireOk(leader.db()->Put(rocksdb::WriteOptions(), "a", "1"));
  RequireEqual(leader, follower);
  proxy.Stall(TcpProxy::Way::kFromTarget);
  REQUIRE(Eventually([&] { return !follower.follower->stats().connected; }));
  CHECK(follower.follower->stats().staleness_us > 0);
  proxy.Resume();
  RequireOk(leader.db()->Put(rocksdb::WriteOptions(), "a", "2"));
  RequireEqual(leader, follower);
  CHECK(follower.follower->stats().resyncs == 0);
}

TEST_CASE("hang: bytes that change on their way are never shown", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  TcpProxy proxy(leader.leader->port());
  FollowerOptions options = cluster.follower_options(proxy.port());
  options.stream_timeout_ms = 500;
  LocalFollower follower = cluster.StartFollower(options);
  MixedLoad load(leader.db(), leader.families, 100, 1);
  for (uint64_t i = 0; i < 20; ++i) {
    const auto way = i % 4 == 3 ? TcpProxy::Way::kToTarget : TcpProxy::Way::kFromTarget;
    RequireOk(load.Write(100));
    proxy.Corrupt(way, 7919 * i + 1);
    RequireOk(load.Write(300));
    if (i % 5 == 0) leader.Flush();
    RequireEqual(leader, follower);
  }
  CHECK(follower.follower->stats().reconnects >= 5);
}

TEST_CASE("hang: lag never wraps, whatever becomes of the stream and of the leader's history",
          "[e2e]") {
  LocalCluster cluster;
  LeaderOptions options = cluster.leader_options();
  LocalLeader leader = cluster.StartLeader(options, LocalCluster::db_options());
  options.server_options.listen_address = "127.0.0.1:" + std::to_string(leader.leader->port());
  TcpProxy proxy(leader.leader->port());
  LocalFollower follower = cluster.StartFollower(cluster.follower_options(proxy.port()));
  // More than is ever written here, in bytes, keys and microseconds.
  constexpr uint64_t kBytes = 1 << 30, kKeys = 10000000, kUs = 120000000;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> bad{0};
  std::thread sampler([&] {
    while (!stop) {
      const FollowerStats s = follower.follower->stats();
      if (s.lag_bytes > kBytes || s.lag_sequences > kKeys || s.lag_us > kUs) ++bad;
      AwaitNextLook();
    }
  });
  const auto check_leader = [&] {
    for (const FollowerInfo& f : leader.leader->followers()) {
      CHECK(f.lag_bytes <= kBytes);
      CHECK(f.lag_sequences <= kKeys);
      CHECK(f.lag_us <= kUs);
      CHECK(f.silent_us <= kUs);
    }
  };
  for (uint64_t epoch = 1; epoch <= 4; ++epoch) {
    MixedLoad load(leader.db(), leader.families, 100, epoch);
    for (int i = 0; i < 5; ++i) {
      RequireOk(load.Write(200));
      check_leader();
      if (i == 2) proxy.Cut();
    }
    CatchUp(leader, follower);
    check_leader();
    leader.Close();
    // The next epoch has less than the follower has shown, and its log begins at nothing.
    std::filesystem::path wal;
    for (const auto& entry : std::filesystem::directory_iterator(cluster.leader_path())) {
      if (entry.path().extension() == ".log" && entry.path() > wal) wal = entry.path();
    }
    const uint64_t size = std::filesystem::file_size(wal);
    std::filesystem::resize_file(wal, size - std::min<uint64_t>(size, 3000));
    LocalLeader next = cluster.StartLeader(options, LocalCluster::db_options());
    std::swap(leader.leader, next.leader);
    std::swap(leader.families, next.families);
    check_leader();
    RequireEqual(leader, follower);
    check_leader();
  }
  stop = true;
  sampler.join();
  CHECK(bad == 0);
  CHECK(follower.follower->stats().history_resets >= 1);
}

}  // namespace slipstream::testing
