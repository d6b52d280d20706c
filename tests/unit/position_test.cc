#include "slipstream/position.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <random>
#include <string>

#include "lib/core/quoted_text.h"
#include "tests/unit/random_seed.h"

namespace slipstream {
namespace {

TEST_CASE("position: printed positions come back", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  const auto any_width = [&random] { return random() >> (random() % 64); };
  for (int i = 0; i < 1000; ++i) {
    const Position before{any_width(), any_width(), any_width()};
    Position after;
    REQUIRE(Position::Parse(before.ToString(), &after).ok());
    REQUIRE(after == before);
    REQUIRE(after.sequence == before.sequence);
  }
}

TEST_CASE("position: the extremes print as documented", "[unit]") {
  REQUIRE(Position{}.ToString() == "0:0:0");
  REQUIRE(Position{3, 1048576, 90210}.ToString() == "3:1048576:90210");
  const Position last{UINT64_MAX, UINT64_MAX, UINT64_MAX};
  Position after;
  REQUIRE(Position::Parse(last.ToString(), &after).ok());
  REQUIRE(after == last);
}

TEST_CASE("position: anything else is refused with the text and changes nothing", "[unit]") {
  for (const std::string text : {"",
                                 ":",
                                 "::",
                                 "1",
                                 "1:2",
                                 "1:2:",
                                 ":2:3",
                                 "1::3",
                                 "1:2:3:",
                                 "1:2:3:4",
                                 "1:2:3 ",
                                 " 1:2:3",
                                 "1: 2:3",
                                 "+1:2:3",
                                 "-1:2:3",
                                 "1:-2:3",
                                 "0x1:2:3",
                                 "01:2:3",
                                 "1:00:3",
                                 "1:2:3\n",
                                 "1.0:2:3",
                                 "18446744073709551616:0:0",
                                 "1:2:99999999999999999999",
                                 "a:b:c",
                                 "1;2;3"}) {
    INFO("text: " << text);
    Position out{7, 8, 9};
    const rocksdb::Status s = Position::Parse(text, &out);
    REQUIRE(s.IsInvalidArgument());
    REQUIRE(s.ToString().find(Quoted(text)) != std::string::npos);
    REQUIRE((out.epoch == 7 && out.offset == 8 && out.sequence == 9));
  }
  Position out;
  REQUIRE(Position::Parse(std::string("1:2:3\0", 6), &out).IsInvalidArgument());
  REQUIRE(Position::Parse(std::string(100000, '1'), &out).ToString().size() < 600);
}

TEST_CASE("position: the epoch orders before the offset, and the sequence does not", "[unit]") {
  REQUIRE(Position{1, 500, 9} < Position{2, 0, 0});
  REQUIRE(Position{2, 4, 9} < Position{2, 5, 0});
  REQUIRE(Position{2, 5, 1} == Position{2, 5, 2});
  REQUIRE_FALSE(Position{2, 5, 1} < Position{2, 5, 2});
  REQUIRE(Position{2, 5, 1} >= Position{2, 5, 2});
  REQUIRE(Position{} < Position{1, 0, 0});
}

}  // namespace
}  // namespace slipstream
