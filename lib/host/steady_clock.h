// The clock in use. The pure core takes times as arguments; the edges read them here.
#pragma once

#include <chrono>
#include <cstdint>

namespace slipstream {

// Microseconds of a clock that never goes back; only differences mean anything.
inline uint64_t SteadyMicros() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace slipstream
