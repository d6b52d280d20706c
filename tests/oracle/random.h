// The source of every choice that a seed makes; the same on every machine.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace slipstream::oracle {

// SplitMix64. Threads: thread-compatible; each thread of a run has its own.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // 0 to n - 1. REQUIRES: n > 0.
  uint64_t Below(uint64_t n) { return Next() % n; }
  // REQUIRES: low <= high.
  uint64_t Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  bool Percent(uint64_t percent) { return Below(100) < percent; }
  // As Between, but each power of two is as likely as the next: small numbers are common.
  // REQUIRES: 0 < low <= high.
  uint64_t Skewed(uint64_t low, uint64_t high) {
    int bits = 0;
    while ((low << (bits + 1)) <= high && bits < 62) ++bits;
    const uint64_t top = low << Below(bits + 1);
    return std::min(high, Between(top, 2 * top - 1));
  }
  template <typename T>
  const T& OneOf(const std::vector<T>& values) {
    return values[Below(values.size())];
  }
  // The index of one weight, as likely as it is large. REQUIRES: one of them is not 0.
  size_t Weighted(const std::vector<uint64_t>& weights) {
    uint64_t sum = 0;
    for (uint64_t w : weights) sum += w;
    uint64_t at = Below(sum);
    size_t i = 0;
    while (at >= weights[i]) at -= weights[i++];
    return i;
  }
  // Half of the bytes repeat, so that compression has something to do.
  std::string Bytes(size_t n) {
    std::string bytes;
    bytes.reserve(n + 16);
    while (bytes.size() < n) {
      const uint64_t r = Next();
      bytes.append(reinterpret_cast<const char*>(&r), sizeof(r));
      bytes.append(8, static_cast<char>('a' + r % 26));
    }
    bytes.resize(n);
    return bytes;
  }

 private:
  uint64_t state_;
};

}  // namespace slipstream::oracle
