// The seed of random unit tests: a fresh one each run, or the one in SLIPSTREAM_SEED. A test prints
// it with INFO, so that a failure can be replayed.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>

namespace slipstream::testing {

inline uint64_t RandomSeed() {
  if (const char* text = std::getenv("SLIPSTREAM_SEED"); text != nullptr) {
    return std::strtoull(text, nullptr, 10);
  }
  return std::random_device()();
}

}  // namespace slipstream::testing
