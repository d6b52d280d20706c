#include "lib/core/crc32c.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/random_seed.h"

namespace slipstream {
namespace {

using Extend = uint32_t (*)(uint32_t, const char*, size_t);

// Every implementation that this machine can run.
std::vector<Extend> Implementations() {
  std::vector<Extend> all = {&Crc32cExtend, &crc32c_internal::ExtendPortable};
  if (crc32c_internal::AccelerationSupported()) {
    all.push_back(&crc32c_internal::ExtendAccelerated);
  }
  return all;
}

// One bit at a time from the definition, as the judge of the others.
uint32_t BitByBit(const std::string& data) {
  uint32_t state = 0xffffffffu;
  for (const char c : data) {
    state ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1) * 0x82f63b78u);
  }
  return ~state;
}

TEST_CASE("crc32c: the vectors of RFC 3720 section B.4 come out", "[unit]") {
  std::string ascending;
  std::string descending;
  for (int i = 0; i < 32; ++i) {
    ascending.push_back(static_cast<char>(i));
    descending.push_back(static_cast<char>(31 - i));
  }
  const std::string zeros(32, '\0');
  const std::string ones(32, '\xff');
  for (const Extend extend : Implementations()) {
    REQUIRE(extend(0, zeros.data(), zeros.size()) == 0x8a9136aau);
    REQUIRE(extend(0, ones.data(), ones.size()) == 0x62a8ab43u);
    REQUIRE(extend(0, ascending.data(), ascending.size()) == 0x46dd794eu);
    REQUIRE(extend(0, descending.data(), descending.size()) == 0x113fdb5cu);
    REQUIRE(extend(0, "123456789", 9) == 0xe3069283u);
    REQUIRE(extend(0, "", 0) == 0);
  }
}

TEST_CASE("crc32c: all implementations agree at every size and alignment", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  std::string data(3 * 2048 * 4 + 64, '\0');
  for (char& c : data) c = static_cast<char>(random());
  std::vector<size_t> sizes;
  for (size_t n = 0; n <= 1300; ++n) sizes.push_back(n);
  for (size_t lanes = 1; lanes <= 4; ++lanes) {
    for (size_t n = lanes * 6144 - 9; n <= lanes * 6144 + 9; ++n) sizes.push_back(n);
  }
  const std::vector<Extend> implementations = Implementations();
  for (const size_t n : sizes) {
    const size_t start = random() % 17;
    const uint32_t expected = BitByBit(data.substr(start, n));
    for (const Extend extend : implementations) {
      INFO("n=" << n << " start=" << start);
      REQUIRE(extend(0, data.data() + start, n) == expected);
    }
  }
}

TEST_CASE("crc32c: extending piece by piece equals one pass", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  std::string data(70000, '\0');
  for (char& c : data) c = static_cast<char>(random());
  for (const Extend extend : Implementations()) {
    const uint32_t expected = extend(0, data.data(), data.size());
    for (int round = 0; round < 20; ++round) {
      uint32_t crc = 0;
      for (size_t at = 0; at < data.size();) {
        const size_t n = std::min<size_t>(data.size() - at, random() % 9000);
        crc = extend(crc, data.data() + at, n);
        at += n;
      }
      REQUIRE(crc == expected);
    }
  }
}

TEST_CASE("crc32c: masking changes the value and is undone by unmasking", "[unit]") {
  const uint32_t crc = Crc32c("foo", 3);
  REQUIRE(Crc32cMask(crc) != crc);
  REQUIRE(Crc32cMask(Crc32cMask(crc)) != crc);
  REQUIRE(Crc32cUnmask(Crc32cMask(crc)) == crc);
  REQUIRE(Crc32cUnmask(Crc32cUnmask(Crc32cMask(Crc32cMask(crc)))) == crc);
  REQUIRE(Crc32cMask(0) == kCrc32cMaskDelta);
}

}  // namespace
}  // namespace slipstream
