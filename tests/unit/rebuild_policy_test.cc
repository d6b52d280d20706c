#include "lib/core/rebuild_policy.h"

#include <catch2/catch.hpp>

namespace slipstream {
namespace {

constexpr RebuildBudget kBudget{1000, 5000000};

TEST_CASE("rebuild_policy: nothing has moved, nothing is rebuilt", "[unit]") {
  REQUIRE_FALSE(ShouldRebuild(kBudget, {0, 0, 0}));
  REQUIRE_FALSE(ShouldRebuild(kBudget, {1 << 30, 1 << 30, 0}));
  // The image can have grown beyond what the generation holds.
  REQUIRE_FALSE(ShouldRebuild(kBudget, {0, 1 << 30, 0}));
}

TEST_CASE("rebuild_policy: enough flushed bytes are shed", "[unit]") {
  REQUIRE_FALSE(ShouldRebuild(kBudget, {999, 0, 0}));
  REQUIRE(ShouldRebuild(kBudget, {1000, 0, 0}));
  REQUIRE_FALSE(ShouldRebuild(kBudget, {1499, 500, 0}));
  REQUIRE(ShouldRebuild(kBudget, {1500, 500, 0}));
}

TEST_CASE("rebuild_policy: as much is shed as has to be replayed", "[unit]") {
  REQUIRE_FALSE(ShouldRebuild(kBudget, {39999, 20000, 0}));
  REQUIRE(ShouldRebuild(kBudget, {40000, 20000, 0}));
}

TEST_CASE("rebuild_policy: a generation that is behind the manifest does not get old", "[unit]") {
  REQUIRE_FALSE(ShouldRebuild(kBudget, {0, 0, 4999999}));
  REQUIRE(ShouldRebuild(kBudget, {0, 0, 5000000}));
  REQUIRE(ShouldRebuild(kBudget, {0, 1 << 30, 5000000}));
  // Without an interval too it takes a change of the manifest.
  REQUIRE_FALSE(ShouldRebuild({1000, 0}, {0, 0, 0}));
  REQUIRE(ShouldRebuild({1000, 0}, {0, 0, 1}));
}

}  // namespace
}  // namespace slipstream
