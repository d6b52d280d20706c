// Nothing depends on the wall clock: it is set forward and back while leader and follower work.
#include <atomic>
#include <chrono>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "catch2/catch.hpp"
#include "lib/host/steady_cond_var.h"
#include "tests/clock/jumping_clock.h"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"
#include "tests/e2e/tcp_proxy.h"

namespace slipstream::testing {
namespace {

constexpr int64_t kHour = 3600;

// Sets the clock right again.
struct ClockReset {
  ~ClockReset() { SetWallClockAhead(0); }
};

using Clock = std::chrono::steady_clock;

uint64_t Connected(const LocalLeader& leader) {
  uint64_t connected = 0;
  for (const FollowerInfo& f : leader.leader->followers()) connected += f.connected ? 1 : 0;
  return connected;
}

}  // namespace

TEST_CASE("clock: the clock of this program can be set, and Abseil's waits follow it", "[clock]") {
  const ClockReset reset;
  std::atomic<bool> done{false};
  std::latch waits(2);
  std::thread waiter([&] {
    absl::Mutex mutex;
    absl::CondVar never;
    absl::MutexLock lock(&mutex);
    waits.arrive_and_wait();
    never.WaitWithTimeout(&mutex, absl::Milliseconds(1000));
    done = true;
  });
  waits.arrive_and_wait();
  // Long enough for it to begin its wait, and shorter than the wait.
  CHECK(Throughout(std::chrono::milliseconds(500), [&] { return !done; }));
  SetWallClockAhead(-kHour);
  // This is what would happen to the library: an hour of it.
  CHECK(Throughout(std::chrono::milliseconds(1500), [&] { return !done; }));
  SetWallClockAhead(0);
  CHECK(Eventually([&] { return done.load(); }));
  waiter.join();
}

TEST_CASE("clock: our own waits do not", "[clock]") {
  const ClockReset reset;
  absl::Mutex mutex;
  SteadyCondVar never;
  std::thread setter([] {
    AwaitNextLook();
    SetWallClockAhead(-kHour);
  });
  const Clock::time_point begin = Clock::now();
  {
    absl::MutexLock lock(&mutex);
    const SteadyTime deadline = DeadlineIn(absl::Milliseconds(100));
    while (!never.WaitUntil(&mutex, deadline)) {
    }
  }
  CHECK(Clock::now() - begin >= std::chrono::milliseconds(100));
  CHECK(Clock::now() - begin < std::chrono::seconds(3));
  setter.join();
}

TEST_CASE("clock: jumps change nothing for leader and follower", "[clock]") {
  const ClockReset reset;
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  TcpProxy proxy(leader.leader->port());
  FollowerOptions options = cluster.follower_options(proxy.port());
  options.stream_timeout_ms = 1000;
  LocalFollower follower = cluster.StartFollower(options);
  MixedLoad load(leader.db(), leader.families, 100, 1);
  for (const int64_t ahead : {kHour, -kHour, 24 * kHour, -24 * kHour, INT64_C(0), INT64_C(-1)}) {
    INFO("the clock is " << ahead << " s ahead");
    SetWallClockAhead(ahead);
    const Clock::time_point begin = Clock::now();
    RequireOk(load.Write(300));
    RequireEqual(leader, follower);
    RequireOk(leader.leader->WaitForFollowers(leader.leader->position(), 1, AckLevel::kApplied,
                                              kPatienceUs));
    RequireOk(follower.follower->WaitForFreshness(500000, kPatienceUs));
    CHECK(follower.follower->stats().staleness_us < 60000000);
    CHECK(follower.follower->stats().lag_us < 60000000);
    // Waits that end in time, and not before it.
    Position beyond = leader.leader->position();
    ++beyond.offset;
    const Clock::time_point wait = Clock::now();
    CHECK(follower.follower->WaitFor(beyond, 50000).IsTimedOut());
    CHECK(leader.leader->WaitForFollowers(beyond, 1, AckLevel::kReceived, 50000).IsTimedOut());
    CHECK(Clock::now() - wait >= std::chrono::milliseconds(100));
    CHECK(Clock::now() - begin < std::chrono::seconds(10));
    CHECK(follower.follower->stats().reconnects == 0);
  }
}

TEST_CASE("clock: a stream that breaks is opened anew after a jump", "[clock]") {
  const ClockReset reset;
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  TcpProxy proxy(leader.leader->port());
  FollowerOptions options = cluster.follower_options(proxy.port());
  options.stream_timeout_ms = 1000;
  LocalFollower follower = cluster.StartFollower(options);
  MixedLoad load(leader.db(), leader.families, 100, 1);
  for (const int64_t ahead : {kHour, -kHour}) {
    INFO("the clock is " << ahead << " s ahead");
    proxy.Refuse();
    REQUIRE(Eventually([&] { return !follower.follower->stats().connected; }));
    SetWallClockAhead(ahead);
    // The lease ends by time that passes.
    REQUIRE(Eventually([&] { return leader.leader->followers().empty(); }));
    RequireOk(load.Write(300));
    const Clock::time_point begin = Clock::now();
    proxy.Resume();
    RequireEqual(leader, follower);
    CHECK(Clock::now() - begin < std::chrono::seconds(8));
    // A silent stream is noticed.
    proxy.Pause();
    SetWallClockAhead(-ahead);
    REQUIRE(Eventually([&] { return !follower.follower->stats().connected; }));
    REQUIRE(Eventually([&] { return Connected(leader) == 0; }));
    proxy.Resume();
    RequireOk(load.Write(300));
    RequireEqual(leader, follower);
  }
  SetWallClockAhead(-24 * kHour);
  const Clock::time_point begin = Clock::now();
  follower.Close();
  leader.Close();
  CHECK(Clock::now() - begin < std::chrono::seconds(5));
}

}  // namespace slipstream::testing
