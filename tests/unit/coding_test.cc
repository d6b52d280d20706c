#include "lib/core/coding.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace slipstream {
namespace {

using rocksdb::Slice;

// Values at every length boundary of a varint, and the extremes.
std::vector<uint64_t> BoundaryValues() {
  std::vector<uint64_t> values = {0, 1, UINT64_MAX};
  for (int bit = 0; bit < 64; ++bit) {
    const uint64_t power = uint64_t{1} << bit;
    values.push_back(power - 1);
    values.push_back(power);
    values.push_back(power + 1);
  }
  return values;
}

TEST_CASE("coding: fixed-width values are little-endian", "[unit]") {
  std::string bytes;
  PutFixed16(&bytes, 0x0201);
  PutFixed32(&bytes, 0x06050403);
  PutFixed64(&bytes, 0x0e0d0c0b0a090807);
  REQUIRE(bytes == std::string("\1\2\3\4\5\6\7\10\11\12\13\14\15\16"));
}

TEST_CASE("coding: fixed-width values come back", "[unit]") {
  for (const uint64_t value : BoundaryValues()) {
    std::string bytes;
    PutFixed16(&bytes, static_cast<uint16_t>(value));
    PutFixed32(&bytes, static_cast<uint32_t>(value));
    PutFixed64(&bytes, value);
    Slice input(bytes);
    uint16_t v16 = 0;
    uint32_t v32 = 0;
    uint64_t v64 = 0;
    REQUIRE(GetFixed16(&input, &v16));
    REQUIRE(GetFixed32(&input, &v32));
    REQUIRE(GetFixed64(&input, &v64));
    REQUIRE(v16 == static_cast<uint16_t>(value));
    REQUIRE(v32 == static_cast<uint32_t>(value));
    REQUIRE(v64 == value);
    REQUIRE(input.empty());
  }
}

TEST_CASE("coding: a short fixed-width value is refused and nothing changes", "[unit]") {
  const std::string bytes(7, 'x');
  uint16_t v16 = 16;
  uint32_t v32 = 32;
  uint64_t v64 = 64;
  Slice one(bytes.data(), 1);
  Slice three(bytes.data(), 3);
  Slice seven(bytes.data(), 7);
  REQUIRE_FALSE(GetFixed16(&one, &v16));
  REQUIRE_FALSE(GetFixed32(&three, &v32));
  REQUIRE_FALSE(GetFixed64(&seven, &v64));
  REQUIRE((v16 == 16 && v32 == 32 && v64 == 64));
  REQUIRE((one.size() == 1 && three.size() == 3 && seven.size() == 7));
}

TEST_CASE("coding: varints come back and every cut of them is refused", "[unit]") {
  for (const uint64_t value : BoundaryValues()) {
    std::string bytes;
    PutVarint64(&bytes, value);
    REQUIRE(bytes.size() <= kMaxVarint64Bytes);
    for (size_t cut = 0; cut < bytes.size(); ++cut) {
      Slice input(bytes.data(), cut);
      uint64_t got = 77;
      REQUIRE_FALSE(GetVarint64(&input, &got));
      REQUIRE((got == 77 && input.size() == cut));
    }
    Slice input(bytes);
    uint64_t got = 0;
    REQUIRE(GetVarint64(&input, &got));
    REQUIRE((got == value && input.empty()));

    Slice narrow_input(bytes);
    uint32_t narrow = 77;
    if (value <= UINT32_MAX) {
      REQUIRE(GetVarint32(&narrow_input, &narrow));
      REQUIRE(narrow == value);
    } else {
      REQUIRE_FALSE(GetVarint32(&narrow_input, &narrow));
      REQUIRE((narrow == 77 && narrow_input.size() == bytes.size()));
    }
  }
}

TEST_CASE("coding: an overlong varint is refused", "[unit]") {
  uint64_t wide = 0;
  uint32_t narrow = 0;
  const std::string eleven = std::string(10, '\x80') + '\0';
  Slice input(eleven);
  REQUIRE_FALSE(GetVarint64(&input, &wide));
  const std::string too_wide = std::string(9, '\xff') + '\2';
  input = Slice(too_wide);
  REQUIRE_FALSE(GetVarint64(&input, &wide));
  const std::string six_bytes_of_zero = std::string(5, '\x80') + '\0';
  input = Slice(six_bytes_of_zero);
  REQUIRE_FALSE(GetVarint32(&input, &narrow));
}

TEST_CASE("coding: length-prefixed slices come back and every cut of them is refused", "[unit]") {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{127}, size_t{128}, size_t{20000}}) {
    const std::string value(size, 'v');
    std::string bytes;
    PutLengthPrefixedSlice(&bytes, value);
    for (size_t cut = 0; cut < bytes.size(); cut += 1 + cut / 7) {
      Slice input(bytes.data(), cut);
      Slice got("before");
      REQUIRE_FALSE(GetLengthPrefixedSlice(&input, &got));
      REQUIRE((got == Slice("before") && input.size() == cut));
    }
    bytes += "tail";
    Slice input(bytes);
    Slice got;
    REQUIRE(GetLengthPrefixedSlice(&input, &got));
    REQUIRE((got == Slice(value) && input == Slice("tail")));
  }
}

}  // namespace
}  // namespace slipstream
