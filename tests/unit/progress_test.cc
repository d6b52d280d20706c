#include "lib/follower/progress.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <latch>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lib/host/steady_clock.h"

namespace slipstream {
namespace {

using rocksdb::Status;

constexpr uint64_t kForeverUs = 60000000;

TEST_CASE("progress: within an epoch the offset decides", "[unit]") {
  Progress progress;
  REQUIRE(progress.WaitFor(Position{}, 0).IsInvalidArgument());
  REQUIRE(progress.WaitFor(Position{3, 0, 0}, 0).IsTimedOut());
  progress.AppliedNewEpoch(Position{3, 100, 10});
  REQUIRE(progress.WaitFor(Position{3, 100, 999}, 0).ok());
  const Status s = progress.WaitFor(Position{3, 101, 1}, 0);
  REQUIRE(s.IsTimedOut());
  REQUIRE(s.ToString().find("3:100:10") != std::string::npos);
  REQUIRE(progress.WaitFor(Position{3, 101, 1}, 1000).IsTimedOut());
  REQUIRE(progress.WaitFor(Position{4, 0, 0}, 0).IsTimedOut());
  progress.Applied(Position{3, 101, 11});
  REQUIRE(progress.WaitFor(Position{3, 101, 1}, 0).ok());
  REQUIRE(progress.applied() == Position{3, 101, 11});
}

TEST_CASE("progress: a position of an older epoch is covered if no later one took it back",
          "[unit]") {
  Progress progress;
  progress.SetEpochs(EpochTable({{2, 50}, {3, 80}, {4, 70}}));
  progress.AppliedNewEpoch(Position{4, 5, 70});
  REQUIRE(progress.WaitFor(Position{1, 999, 50}, 0).ok());
  REQUIRE(progress.WaitFor(Position{1, 1, 51}, 0).IsAborted());
  REQUIRE(progress.WaitFor(Position{2, 999, 70}, 0).ok());
  REQUIRE(progress.WaitFor(Position{2, 999, 71}, 0).IsAborted());
  REQUIRE(progress.WaitFor(Position{3, 999, 70}, 0).ok());
  REQUIRE(progress.WaitFor(Position{3, 999, 71}, 0).IsAborted());
  // Nobody knows any more where epoch 1 began.
  REQUIRE(progress.WaitFor(Position{0 + 1, 0, 0}, 0).ok());
  progress.SetEpochs(EpochTable(std::vector<EpochStart>{{4, 70}}));
  REQUIRE(progress.WaitFor(Position{1, 0, 1}, 0).IsAborted());
}

TEST_CASE("progress: a wait ends when its position is applied", "[unit]") {
  Progress progress;
  progress.AppliedNewEpoch(Position{1, 0, 0});
  for (uint64_t offset = 1; offset < 100; ++offset) {
    std::latch start(2);
    Status s;
    std::thread waiter([&] {
      start.arrive_and_wait();
      s = progress.WaitFor(Position{1, offset, 0}, kForeverUs);
    });
    start.arrive_and_wait();
    progress.Applied(Position{1, offset, offset});
    waiter.join();
    REQUIRE(s.ok());
  }
}

TEST_CASE("progress: a wait ends when a new epoch lost its position", "[unit]") {
  for (int i = 0; i < 20; ++i) {
    Progress progress;
    progress.AppliedNewEpoch(Position{1, 10, 10});
    std::latch start(2);
    Status s;
    std::thread waiter([&] {
      start.arrive_and_wait();
      s = progress.WaitFor(Position{1, 20, 20}, kForeverUs);
    });
    start.arrive_and_wait();
    progress.SetEpochs(EpochTable({{1, 0}, {2, 15}}));
    progress.AppliedNewEpoch(Position{2, 5, 15});
    waiter.join();
    REQUIRE(s.IsAborted());
  }
}

TEST_CASE("progress: what a new epoch took back is told once", "[unit]") {
  Progress progress;
  progress.SetEpochs(EpochTable({{1, 0}, {2, 90}, {3, 95}}));
  REQUIRE_FALSE(progress.AppliedNewEpoch(Position{1, 10, 80}));  // the first one
  progress.Applied(Position{1, 20, 90});
  REQUIRE_FALSE(progress.AppliedNewEpoch(Position{2, 5, 92}));
  progress.Applied(Position{2, 30, 100});
  const std::optional<HistoryReset> reset = progress.AppliedNewEpoch(Position{3, 4, 97});
  REQUIRE(reset);
  REQUIRE(reset->shown == Position{2, 30, 100});
  REQUIRE(reset->shown.sequence == 100);
  REQUIRE(reset->resumed.epoch == 3);
  REQUIRE(reset->resumed.sequence == 95);
  REQUIRE(progress.applied() == Position{3, 4, 97});
  REQUIRE_FALSE(progress.AppliedNewEpoch(Position{3, 8, 98}));
}

TEST_CASE("progress: numbers that a new epoch used again are a reset too", "[unit]") {
  Progress progress;
  progress.SetEpochs(EpochTable({{1, 0}, {2, 50}}));
  progress.AppliedNewEpoch(Position{1, 10, 60});
  // It has come further than this follower ever was, on another way.
  const auto reset = progress.AppliedNewEpoch(Position{2, 900, 1000});
  REQUIRE(reset);
  REQUIRE(reset->resumed.sequence == 50);
}

TEST_CASE("progress: without a known start the missing is reported", "[unit]") {
  Progress progress;
  progress.AppliedNewEpoch(Position{1, 10, 60});
  REQUIRE_FALSE(progress.AppliedNewEpoch(Position{5, 10, 60}));
  const auto reset = progress.AppliedNewEpoch(Position{9, 10, 59});
  REQUIRE(reset);
  REQUIRE(reset->resumed.sequence == 59);
}

TEST_CASE("progress: an acknowledgement tells what was received and applied", "[unit]") {
  Progress progress;
  Ack ack;
  progress.Fill(&ack);
  REQUIRE_FALSE(ack.serving);
  progress.AppliedNewEpoch(Position{1, 10, 10});
  progress.Received(Position{1, 30, 30});
  progress.Applied(Position{1, 20, 20});
  progress.Fill(&ack);
  REQUIRE(ack.serving);
  REQUIRE(ack.received == Position{1, 30, 0});
  REQUIRE(ack.applied == Position{1, 20, 0});
  // What is applied was received.
  progress.Applied(Position{1, 40, 40});
  progress.Fill(&ack);
  REQUIRE(ack.received == Position{1, 40, 0});
}

TEST_CASE("progress: lag is what the leader has and reads do not show", "[unit]") {
  Progress progress;
  const uint64_t now_us = SteadyMicros();
  progress.AppliedNewEpoch(Position{1, 10, 10});
  FollowerStats stats;
  progress.LeaderAt(Position{1, 10, 10}, now_us);
  progress.Fill(&stats);
  REQUIRE(stats.lag_bytes == 0);
  REQUIRE(stats.lag_sequences == 0);
  REQUIRE(stats.lag_us == 0);

  progress.LeaderAt(Position{1, 110, 60}, now_us - 5000000);
  progress.LeaderAt(Position{1, 120, 70}, now_us - 1000000);
  stats = FollowerStats();
  progress.Fill(&stats);
  REQUIRE(stats.leader == Position{1, 120, 0});
  REQUIRE(stats.lag_bytes == 110);
  REQUIRE(stats.lag_sequences == 60);
  REQUIRE(stats.lag_us >= 5000000);

  progress.Applied(Position{1, 110, 60});
  stats = FollowerStats();
  progress.Fill(&stats);
  REQUIRE(stats.lag_bytes == 10);
  REQUIRE(stats.lag_us >= 1000000);
  REQUIRE(stats.lag_us < 5000000);

  progress.Applied(Position{1, 120, 70});
  stats = FollowerStats();
  progress.Fill(&stats);
  REQUIRE(stats.lag_bytes == 0);
  REQUIRE(stats.lag_us == 0);
}

TEST_CASE("progress: staleness is the age of what reads show", "[unit]") {
  Progress progress;
  REQUIRE(progress.WaitForFreshness(UINT64_MAX, 0).IsTimedOut());  // nothing is shown yet
  const uint64_t now_us = SteadyMicros();
  progress.AppliedNewEpoch(Position{1, 10, 10});
  REQUIRE(progress.WaitForFreshness(UINT64_MAX, 0).IsTimedOut());  // nor is the leader known
  progress.LeaderAt(Position{1, 10, 10}, now_us - 3000000);
  REQUIRE(progress.WaitForFreshness(kForeverUs, 0).ok());
  REQUIRE(progress.WaitForFreshness(2000000, 0).IsTimedOut());
  FollowerStats stats;
  progress.Fill(&stats);
  REQUIRE(stats.staleness_us >= 3000000);
  REQUIRE(stats.staleness_us < kForeverUs);
  // The leader has more: that it was seen makes reads no fresher, that it is shown does.
  progress.LeaderAt(Position{1, 20, 20}, now_us);
  REQUIRE(progress.WaitForFreshness(2000000, 0).IsTimedOut());
  progress.Applied(Position{1, 20, 20});
  REQUIRE(progress.WaitForFreshness(kForeverUs, 0).ok());
  progress.Fill(&stats);
  REQUIRE(stats.staleness_us < 3000000 + (SteadyMicros() - now_us));
}

TEST_CASE("progress: a wait for freshness ends when reads catch up", "[unit]") {
  for (int i = 0; i < 20; ++i) {
    Progress progress;
    progress.AppliedNewEpoch(Position{1, 10, 10});
    std::latch start(2);
    Status s;
    std::thread waiter([&] {
      start.arrive_and_wait();
      s = progress.WaitForFreshness(kForeverUs, kForeverUs);
    });
    start.arrive_and_wait();
    progress.LeaderAt(Position{1, 20, 20}, SteadyMicros());
    progress.Applied(Position{1, 20, 20});
    waiter.join();
    REQUIRE(s.ok());
  }
}

TEST_CASE("progress: very many sightings take bounded memory and stay right", "[unit]") {
  Progress progress;
  const uint64_t now_us = SteadyMicros();
  progress.AppliedNewEpoch(Position{1, 0, 0});
  constexpr uint64_t kMany = 20000;
  for (uint64_t i = 1; i <= kMany; ++i) {
    progress.LeaderAt(Position{1, i, i}, now_us - kMany * 1000 + i * 1000);
  }
  progress.Applied(Position{1, kMany - 1, 0});
  FollowerStats stats;
  progress.Fill(&stats);
  REQUIRE(stats.lag_us > 0);
  progress.Applied(Position{1, kMany, 0});
  progress.Fill(&stats);
  REQUIRE(progress.WaitForFreshness(2 * kForeverUs, 0).ok());
  stats = FollowerStats();
  progress.Fill(&stats);
  REQUIRE(stats.lag_us == 0);
}

TEST_CASE("progress: changes wake those who look for them", "[unit]") {
  Progress progress;
  progress.WaitForChange(progress.version(), absl::ZeroDuration());
  const std::vector<std::function<void()>> changes = {[&] {
                                                        progress.Received(Position{1, 5, 5});
                                                      },
                                                      [&] {
                                                        progress.Applied(Position{1, 5, 5});
                                                      },
                                                      [&] {
                                                        progress.AppliedNewEpoch(Position{2, 5, 5});
                                                      },
                                                      [&] { progress.BumpVersion(); }};
  for (const auto& change : changes) {
    const uint64_t seen = progress.version();
    std::thread watcher([&] { progress.WaitForChange(seen, absl::InfiniteDuration()); });
    change();
    watcher.join();
    REQUIRE(progress.version() != seen);
  }
}

TEST_CASE("progress: a change is urgent while the leader waits for it", "[unit]") {
  Progress progress;
  Ack ack;
  uint64_t seen = 0;
  const auto tell = [&] {
    seen = progress.version();
    progress.Fill(&ack);
  };
  const auto is_urgent = [&] { return progress.WaitForUrgency(seen, absl::ZeroDuration()); };
  progress.AppliedNewEpoch(Position{1, 10, 10});
  tell();
  progress.Received(Position{1, 20, 20});
  REQUIRE_FALSE(is_urgent());
  // Asked for what it has told, and for what it has received but not told.
  progress.ConfirmUpTo(Position{1, 10, 0});
  REQUIRE_FALSE(is_urgent());
  progress.ConfirmUpTo(Position{1, 20, 0});
  REQUIRE(is_urgent());
  tell();
  REQUIRE_FALSE(is_urgent());
  // Told as received; now as applied, each step of it.
  for (const uint64_t offset : {15, 20}) {
    std::thread watcher([&] { progress.WaitForUrgency(seen, absl::InfiniteDuration()); });
    progress.Applied(Position{1, offset, offset});
    watcher.join();
    REQUIRE(is_urgent());
    tell();
    REQUIRE_FALSE(is_urgent());
  }
  // What comes after nobody waits for.
  progress.Received(Position{1, 30, 30});
  progress.Applied(Position{1, 30, 30});
  REQUIRE_FALSE(is_urgent());
  progress.ConfirmUpTo(Position{1, 30, 0});
  REQUIRE(is_urgent());
  tell();
  // In a new epoch offsets begin again.
  progress.ConfirmUpTo(Position{2, 5, 0});
  progress.AppliedNewEpoch(Position{2, 4, 40});
  REQUIRE(is_urgent());
  tell();
  progress.Applied(Position{2, 5, 41});
  REQUIRE(is_urgent());
  tell();
  std::thread watcher([&] { progress.WaitForUrgency(seen, absl::InfiniteDuration()); });
  progress.BumpVersion();
  watcher.join();
}

TEST_CASE("progress: stopping ends all waits, now and later", "[unit]") {
  Progress progress;
  progress.AppliedNewEpoch(Position{1, 10, 10});
  std::atomic<int> stopped{0};
  std::latch start(4);
  std::vector<std::thread> waiters;
  waiters.emplace_back([&] {
    start.arrive_and_wait();
    stopped += progress.WaitFor(Position{1, 20, 0}, kForeverUs).IsShutdownInProgress() ? 1 : 0;
  });
  waiters.emplace_back([&] {
    start.arrive_and_wait();
    stopped += progress.WaitForFreshness(0, kForeverUs).IsShutdownInProgress() ? 1 : 0;
  });
  waiters.emplace_back([&] {
    start.arrive_and_wait();
    progress.WaitForChange(progress.version(), absl::InfiniteDuration());
    ++stopped;
  });
  start.arrive_and_wait();
  progress.Stop();
  for (std::thread& waiter : waiters) waiter.join();
  REQUIRE(stopped == 3);
  REQUIRE(progress.WaitFor(Position{1, 20, 0}, kForeverUs).IsShutdownInProgress());
  // What is covered is still covered.
  REQUIRE(progress.WaitFor(Position{1, 10, 0}, 0).ok());
}

TEST_CASE("progress: the applier's trouble comes before the stream's", "[unit]") {
  Progress progress;
  REQUIRE(progress.status().ok());
  progress.SetStreamStatus(Status::IOError("stream"));
  REQUIRE(progress.status().IsIOError());
  progress.SetApplyStatus(Status::Corruption("applier"));
  REQUIRE(progress.status().IsCorruption());
  progress.SetStreamStatus(Status::OK());
  FollowerStats stats;
  progress.Fill(&stats);
  REQUIRE(stats.status.IsCorruption());
  progress.SetApplyStatus(Status::OK());
  REQUIRE(progress.status().ok());
  progress.SetConnected(true);
  progress.Fill(&stats);
  REQUIRE(stats.connected);
}

}  // namespace
}  // namespace slipstream
