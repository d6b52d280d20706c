#include "lib/core/image_plan.h"

#include <catch2/catch.hpp>
#include <vector>

namespace slipstream {
namespace {

constexpr LogFileId kWal3{FrameFile::kWal, 3};
constexpr LogFileId kWal4{FrameFile::kWal, 4};
constexpr LogFileId kManifest{FrameFile::kManifest, 4};

struct Expected {
  LogFileId id;
  uint64_t from;
  uint64_t to;
};

void RequireParts(const ImagePlan& plan, const std::vector<Expected>& expected) {
  REQUIRE(plan.parts.size() == expected.size());
  uint64_t bytes = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    REQUIRE(plan.parts[i].id == expected[i].id);
    REQUIRE(plan.parts[i].from == expected[i].from);
    REQUIRE(plan.parts[i].to == expected[i].to);
    bytes += expected[i].to - expected[i].from;
  }
  REQUIRE(plan.bytes == bytes);
}

TEST_CASE("image_plan: who holds nothing is sent everything", "[unit]") {
  const ImagePlan plan = PlanImage({}, {{kWal3, 10}, {kWal4, 0}, {kManifest, 5}});
  REQUIRE(plan.from_scratch);
  RequireParts(plan, {{kManifest, 0, 5}, {kWal3, 0, 10}});
}

TEST_CASE("image_plan: who holds a part is sent the rest", "[unit]") {
  const ImagePlan plan =
      PlanImage({{kWal3, 10}, {kManifest, 2}}, {{kWal3, 10}, {kWal4, 7}, {kManifest, 5}});
  REQUIRE_FALSE(plan.from_scratch);
  RequireParts(plan, {{kManifest, 2, 5}, {kWal4, 0, 7}});
}

TEST_CASE("image_plan: who holds all of it is sent nothing", "[unit]") {
  const ImagePlan plan = PlanImage({{kWal3, 10}}, {{kWal3, 10}});
  REQUIRE_FALSE(plan.from_scratch);
  RequireParts(plan, {});
}

TEST_CASE("image_plan: files that are gone do not matter", "[unit]") {
  const ImagePlan plan = PlanImage({{kWal3, 1000}, {kManifest, 5}}, {{kManifest, 6}});
  REQUIRE_FALSE(plan.from_scratch);
  RequireParts(plan, {{kManifest, 5, 6}});
}

TEST_CASE("image_plan: who holds more than there is is sent everything anew", "[unit]") {
  const ImagePlan plan = PlanImage({{kWal3, 4}, {kManifest, 6}}, {{kWal3, 10}, {kManifest, 5}});
  REQUIRE(plan.from_scratch);
  RequireParts(plan, {{kManifest, 0, 5}, {kWal3, 0, 10}});
}

}  // namespace
}  // namespace slipstream
