#include "lib/core/rebuild_policy.h"

#include <catch2/catch.hpp>

namespace slipstream {
namespace {

constexpr RebuildBudget kBudget{1000, 5000000};
constexpr uint64_t kMiB = 1 << 20;

// Nothing to replay, so that the budget alone counts.
RebuildInputs Free(uint64_t generation_wal_bytes, uint64_t manifest_moved_us_ago) {
  RebuildInputs in;
  in.generation_wal_bytes = generation_wal_bytes;
  in.manifest_moved_us_ago = manifest_moved_us_ago;
  return in;
}

TEST_CASE("rebuild_policy: nothing has moved, nothing is rebuilt", "[unit]") {
  REQUIRE_FALSE(ShouldRebuild(kBudget, Free(0, 0)));
  REQUIRE_FALSE(ShouldRebuild(kBudget, Free(1 << 30, 0)));
  REQUIRE_FALSE(ShouldRebuild({1000, 0}, Free(0, 0)));
}

TEST_CASE("rebuild_policy: enough flushed bytes are shed", "[unit]") {
  REQUIRE_FALSE(ShouldRebuild(kBudget, Free(999, 1)));
  REQUIRE(ShouldRebuild(kBudget, Free(1000, 1)));
  RebuildInputs in = Free(1499, 1);
  in.live_wal_bytes = 500;
  REQUIRE_FALSE(ShouldRebuild(kBudget, in));
  in.generation_wal_bytes = 1500;
  REQUIRE(ShouldRebuild(kBudget, in));
  // The image can have grown beyond what the generation holds.
  in.live_wal_bytes = kMiB;
  REQUIRE_FALSE(ShouldRebuild(kBudget, in));
}

TEST_CASE("rebuild_policy: a generation that is behind the manifest does not get old", "[unit]") {
  REQUIRE_FALSE(ShouldRebuild(kBudget, Free(0, 4999999)));
  REQUIRE(ShouldRebuild(kBudget, Free(0, 5000000)));
  REQUIRE(ShouldRebuild({1000, 0}, Free(0, 1)));
}

TEST_CASE("rebuild_policy: what is replayed is a quarter of what is applied", "[unit]") {
  RebuildInputs in = Free(100 * kMiB, 5000000);
  in.live_wal_bytes = 10 * kMiB;
  in.build_cpu_us = 100000;
  in.applied_wal_bytes = 40 * kMiB - 1;
  REQUIRE_FALSE(ShouldRebuild(kBudget, in));
  in.applied_wal_bytes = 40 * kMiB;
  REQUIRE(ShouldRebuild(kBudget, in));
}

TEST_CASE("rebuild_policy: opening files alone takes a tenth of the time", "[unit]") {
  RebuildInputs in = Free(100 * kMiB, 5000000);
  in.live_wal_bytes = kMiB;
  REQUIRE(ShouldRebuild(kBudget, in));
  in.build_cpu_us = 1000000;  // thousands of column families
  in.last_build_us_ago = 9999999;
  REQUIRE_FALSE(ShouldRebuild(kBudget, in));
  in.last_build_us_ago = 10000000;
  REQUIRE(ShouldRebuild(kBudget, in));
  // A few, and much to replay.
  in.build_wal_bytes = 1000 * kMiB;
  in.last_build_us_ago = 10000;
  REQUIRE(ShouldRebuild(kBudget, in));
}

TEST_CASE("rebuild_policy: where little is written it takes a hundredth of the time", "[unit]") {
  RebuildInputs in = Free(100 * kMiB, 5000000);
  in.live_wal_bytes = 10 * kMiB;
  in.build_cpu_us = 100000;
  in.last_build_us_ago = 9999999;
  REQUIRE_FALSE(ShouldRebuild(kBudget, in));
  in.last_build_us_ago = 10000000;
  REQUIRE(ShouldRebuild(kBudget, in));
  // It still takes a reason.
  in.manifest_moved_us_ago = 4999999;
  in.generation_wal_bytes = in.live_wal_bytes;
  REQUIRE_FALSE(ShouldRebuild(kBudget, in));
}

// Sixteen column families, the fastest of which gets half of all bytes and each further one half of
// what the one before gets. Each flushes at 4 MiB; the WALs are kept for the slowest.
TEST_CASE("rebuild_policy: with uneven column families the replays stay a quarter", "[unit]") {
  constexpr int kFamilies = 16;
  constexpr uint64_t kStep = 64 << 10;
  double unflushed[kFamilies] = {};
  uint64_t applied = 0;
  uint64_t replayed = 0;
  uint64_t builds = 0;
  RebuildInputs in;
  for (uint64_t now_us = 10000; applied < 4000 * kMiB; now_us += 10000) {
    double live = 0;
    for (int i = 0; i < kFamilies; ++i) {
      unflushed[i] += kStep / static_cast<double>(2ull << std::min(i, kFamilies - 2));
      if (unflushed[i] > 4 * kMiB) {
        unflushed[i] = 0;
        if (in.manifest_moved_us_ago == 0) in.manifest_moved_us_ago = 1;
      }
      live += unflushed[i];
    }
    if (in.manifest_moved_us_ago != 0) in.manifest_moved_us_ago += 10000;
    applied += kStep;
    in.applied_wal_bytes += kStep;
    in.generation_wal_bytes += kStep;
    in.live_wal_bytes = static_cast<uint64_t>(live);
    in.last_build_us_ago += 10000;
    if (!ShouldRebuild({32 * kMiB, 5000000}, in)) continue;
    ++builds;
    replayed += in.live_wal_bytes;
    in = RebuildInputs();
    in.generation_wal_bytes = static_cast<uint64_t>(live);
    in.build_cpu_us = static_cast<uint64_t>(live / 50);  // 50 MB a second
  }
  INFO(builds << " builds replayed " << replayed << " of " << applied << " bytes");
  REQUIRE(builds >= 10);
  REQUIRE(replayed <= applied / 4);
}

}  // namespace
}  // namespace slipstream
