#include "lib/core/padded_number.h"

#include <catch2/catch.hpp>
#include <string>

namespace slipstream {
namespace {

TEST_CASE("padded_number: numbers have at least their width", "[unit]") {
  REQUIRE(Padded(0, 6) == "000000");
  REQUIRE(Padded(123, 6) == "000123");
  REQUIRE(Padded(999999, 6) == "999999");
  REQUIRE(Padded(1000000, 6) == "1000000");
  REQUIRE(Padded(UINT64_MAX, 6) == "18446744073709551615");
  REQUIRE(Padded(7, 0) == "7");
}

TEST_CASE("padded_number: what is printed is parsed", "[unit]") {
  for (const uint64_t n : {0ull, 1ull, 99999ull, 999999ull, 1000000ull, UINT64_MAX + 0ull}) {
    uint64_t parsed = 42;
    REQUIRE(ParsePadded(Padded(n, 6), 6, &parsed));
    REQUIRE(parsed == n);
  }
}

TEST_CASE("padded_number: everything else is refused and changes nothing", "[unit]") {
  for (const std::string text :
       {"", "1", "00001", "0000001", "00000a", "+00001", "-00001", " 00001", "00001 ", "0x0001",
        "18446744073709551616", "99999999999999999999999"}) {
    uint64_t parsed = 42;
    INFO(text);
    REQUIRE_FALSE(ParsePadded(text, 6, &parsed));
    REQUIRE(parsed == 42);
  }
  uint64_t parsed = 42;
  REQUIRE_FALSE(ParsePadded(std::string("00001\0", 6), 6, &parsed));
  REQUIRE_FALSE(ParsePadded("", 0, &parsed));
}

}  // namespace
}  // namespace slipstream
