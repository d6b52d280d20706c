// Waiting for what no call of the library waits for, always with a deadline.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace slipstream::testing {

// Generous: a machine that runs other things must not fail a test.
inline constexpr std::chrono::milliseconds kPatience{20000};
inline constexpr uint64_t kPatienceUs = 20000000;

// Blocks for one look's distance. Nobody signals the condition: its timeout is all that is wanted.
inline void AwaitNextLook() {
  constexpr std::chrono::milliseconds kLook{5};
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock<std::mutex> lock(mutex);
  never.wait_for(lock, kLook);
}

// Looks at `condition` until it holds. Returns false if it does not within `patience`.
template <typename Condition>
bool Eventually(Condition condition, std::chrono::milliseconds patience = kPatience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    AwaitNextLook();
  }
  return true;
}

// Looks at `condition` for as long as `duration`. Returns false as soon as it does not hold.
template <typename Condition>
bool Throughout(std::chrono::milliseconds duration, Condition condition) {
  return !Eventually([&] { return !condition(); }, duration);
}

}  // namespace slipstream::testing
