#include "lib/host/steady_cond_var.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

namespace slipstream {
namespace {

TEST_CASE("steady_cond_var: a deadline is what is left of the steady clock", "[unit]") {
  const SteadyTime now = std::chrono::steady_clock::now();
  REQUIRE(DeadlineIn(UINT64_C(1000000)) >= now + std::chrono::seconds(1));
  REQUIRE(DeadlineIn(UINT64_C(1000000)) < now + std::chrono::seconds(1000));
  REQUIRE(DeadlineIn(absl::Seconds(1)) >= now + std::chrono::seconds(1));
  REQUIRE(DeadlineIn(absl::Seconds(-5)) >= now);
  REQUIRE(DeadlineIn(absl::Seconds(-5)) < now + std::chrono::seconds(1000));
}

TEST_CASE("steady_cond_var: no timeout is so long that it wraps", "[unit]") {
  REQUIRE(DeadlineIn(UINT64_MAX) == SteadyTime::max());
  REQUIRE(DeadlineIn(UINT64_MAX / 1000) == SteadyTime::max());
  REQUIRE(DeadlineIn(absl::InfiniteDuration()) == SteadyTime::max());
  REQUIRE(DeadlineIn(absl::Hours(24 * 365 * 50)) > DeadlineIn(absl::Hours(1)));
}

TEST_CASE("steady_cond_var: a wait ends at its deadline and holds the lock again", "[unit]") {
  absl::Mutex mutex;
  SteadyCondVar changed;
  absl::MutexLock lock(&mutex);
  const SteadyTime deadline = DeadlineIn(UINT64_C(2000));
  while (!changed.WaitUntil(&mutex, deadline)) {
  }
  REQUIRE(std::chrono::steady_clock::now() >= deadline);
  mutex.AssertHeld();
}

TEST_CASE("steady_cond_var: no signal is lost", "[unit]") {
  absl::Mutex mutex;
  SteadyCondVar changed;
  int turn = 0;
  constexpr int kTurns = 20000;
  const auto play = [&](int parity) {
    for (;;) {
      absl::MutexLock lock(&mutex);
      while (turn < kTurns && turn % 2 != parity) changed.Wait(&mutex);
      if (turn >= kTurns) return;
      ++turn;
      changed.Signal();
    }
  };
  std::thread other([&] { play(1); });
  play(0);
  other.join();
  REQUIRE(turn == kTurns);
}

TEST_CASE("steady_cond_var: one signal to all wakes all", "[unit]") {
  absl::Mutex mutex;
  SteadyCondVar changed;
  bool go = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      absl::MutexLock lock(&mutex);
      while (!go) changed.WaitUntil(&mutex, SteadyTime::max());
    });
  }
  {
    absl::MutexLock lock(&mutex);
    go = true;
    changed.SignalAll();
  }
  for (std::thread& t : threads) t.join();
}

}  // namespace
}  // namespace slipstream
