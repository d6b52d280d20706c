#include "lib/core/epoch_table.h"

#include <catch2/catch.hpp>
#include <optional>

namespace slipstream {
namespace {

TEST_CASE("epoch_table: the lowest start of the epochs in between decides", "[unit]") {
  const EpochTable table({{4, 100}, {5, 250}, {6, 180}, {7, 300}});
  REQUIRE(table.LowestStart(3, 4) == 100);
  REQUIRE(table.LowestStart(4, 5) == 250);
  // What epoch 5 had kept, epoch 6 took back.
  REQUIRE(table.LowestStart(4, 6) == 180);
  REQUIRE(table.LowestStart(4, 7) == 180);
  REQUIRE(table.LowestStart(6, 7) == 300);
  REQUIRE(table.LowestStart(3, 7) == 100);
}

TEST_CASE("epoch_table: an epoch without a known start makes the answer unknown", "[unit]") {
  const EpochTable table({{4, 100}, {6, 180}, {7, 300}});
  REQUIRE(table.LowestStart(4, 6) == std::nullopt);
  REQUIRE(table.LowestStart(2, 4) == std::nullopt);
  REQUIRE(table.LowestStart(7, 8) == std::nullopt);
  REQUIRE(table.LowestStart(4, 5) == std::nullopt);
  REQUIRE(table.LowestStart(5, 7) == 180);
  REQUIRE(EpochTable().LowestStart(1, 2) == std::nullopt);
}

TEST_CASE("epoch_table: nothing lies between an epoch and itself", "[unit]") {
  const EpochTable table({{4, 100}});
  REQUIRE(table.LowestStart(4, 4) == std::nullopt);
}

}  // namespace
}  // namespace slipstream
