// Closing in the middle of anything.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/gated_storage.h"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/message_proxy.h"
#include "tests/e2e/mixed_load.h"

namespace slipstream::testing {
namespace {

using Clock = std::chrono::steady_clock;
using rocksdb::Status;

constexpr std::chrono::seconds kPrompt{3};

}  // namespace

TEST_CASE("close: a follower that is closed during a build ends its waits at once", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  auto gate = std::make_shared<GatedStorage>(cluster.storage());
  FollowerOptions options = cluster.follower_options(leader.leader->port());
  options.storage = gate;
  LocalFollower follower = cluster.StartFollower(options);
  RequireOk(MixedLoad(leader.db(), leader.families, 100, 1).Write(300));
  RequireEqual(leader, follower);
  gate->SetOpen(false);
  leader.Flush();
  const bool at_barrier = GENERATE(false, true);
  rocksdb::ColumnFamilyHandle* created = nullptr;
  if (at_barrier) {
    RequireOk(leader.db()->CreateColumnFamily(rocksdb::ColumnFamilyOptions(), "new", &created));
  }
  REQUIRE(Eventually([&] { return gate->waiting() > 0; }));
  Position never = leader.leader->position();
  never.offset += 1000000;
  Status waited, freshness;
  std::thread waiter([&] { waited = follower.follower->WaitFor(never, 10 * kPatienceUs); });
  std::thread other([&] {
    // Two closes at once are one.
    follower.follower->Close().PermitUncheckedError();
  });
  const Clock::time_point begin = Clock::now();
  std::thread closer([&] { follower.follower->Close().PermitUncheckedError(); });
  waiter.join();
  CHECK(waited.IsShutdownInProgress());
  CHECK(Clock::now() - begin < kPrompt);
  // The build is in the hands of the storage, which closing has to wait for.
  gate->SetOpen(true);
  closer.join();
  other.join();
  CHECK(Clock::now() - begin < kPrompt);
  // Reads go on.
  CHECK(follower.Get(0, "no such key") == "(not found)");
  if (created != nullptr) RequireOk(leader.db()->DestroyColumnFamilyHandle(created));
}

TEST_CASE("close: either side is closed during an image", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  RequireOk(MixedLoad(leader.db(), leader.families, 1000, 1).Write(3000));
  MessageProxy proxy(leader.leader->port());
  // Nothing of an image but its beginning arrives.
  std::atomic<int> begun{0};
  proxy.SetTamper([&](const v1::LeaderMessage& m) -> std::vector<v1::LeaderMessage> {
    if (m.has_image_begin()) ++begun;
    if (m.has_frames() || m.has_image_end()) return {};
    return {m};
  });
  FollowerOptions options = cluster.follower_options(proxy.port());
  options.open_timeout_ms = 1000;
  Status opened;
  std::thread opener([&] {
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    std::unique_ptr<Follower> follower;
    opened =
        Follower::Open(options, rocksdb::DBOptions(), TestColumnFamilies(), &handles, &follower);
  });
  REQUIRE(Eventually([&] { return begun > 0; }));
  if (GENERATE(false, true)) {
    const Clock::time_point begin = Clock::now();
    leader.Close();
    CHECK(Clock::now() - begin < kPrompt);
  }
  // Open gives up by its own timeout, which closes what it had begun.
  opener.join();
  INFO(opened.ToString());
  CHECK(opened.IsTimedOut());
}

TEST_CASE("close: a leader is closed while many write, wait and join", "[e2e]") {
  for (uint64_t round = 0; round < 5; ++round) {
    LocalCluster cluster;
    LocalLeader leader = cluster.StartLeader();
    const int port = leader.leader->port();
    LocalFollower follower = cluster.StartFollower(leader);
    RequireOk(MixedLoad(leader.db(), leader.families, 100, round).Write(500));
    std::atomic<bool> stop{false};
    Position never = leader.leader->position();
    never.offset += UINT64_C(1) << 40;
    Leader* l = leader.leader.get();
    Status waited;
    std::thread waiter(
        [&] { waited = l->WaitForFollowers(never, 1, AckLevel::kApplied, 10 * kPatienceUs); });
    std::thread joiner([&] {
      while (!stop) {
        FollowerOptions options = cluster.follower_options(port);
        options.open_timeout_ms = 50;
        std::unique_ptr<Follower> joined;
        Follower::Open(options, rocksdb::Options(), &joined).PermitUncheckedError();
      }
    });
    std::thread lister([&] {
      while (!stop) {
        l->followers();
        l->stats();
        follower.follower->stats();
      }
    });
    for (rocksdb::ColumnFamilyHandle* family : leader.families) delete family;
    leader.families.clear();
    const Clock::time_point begin = Clock::now();
    RequireOk(l->Close());
    CHECK(Clock::now() - begin < kPrompt);
    waiter.join();
    CHECK(waited.IsAborted());
    stop = true;
    joiner.join();
    lister.join();
    CHECK(follower.Get(0, "no such key") == "(not found)");
  }
}

}  // namespace slipstream::testing
