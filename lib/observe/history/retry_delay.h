// How long to wait before what has failed is tried again.
// Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

namespace slipstream::observe {

// Twice as long each time, up to a limit.
class RetryDelay {
 public:
  // Microseconds.
  uint64_t Next() { return std::exchange(next_us_, std::min(2 * next_us_, kLongestUs)); }
  // After a success.
  void Reset() { next_us_ = kShortestUs; }

 private:
  static constexpr uint64_t kShortestUs = 100'000;
  static constexpr uint64_t kLongestUs = 10'000'000;
  uint64_t next_us_ = kShortestUs;
};

}  // namespace slipstream::observe
