// Opening and closing, many times over.
#include <malloc.h>

#include <filesystem>
#include <string>

#include "catch2/catch.hpp"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"

namespace slipstream::testing {
namespace {

size_t EntriesOf(const std::string& directory) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}

size_t OpenDescriptors() { return EntriesOf("/proc/self/fd"); }
size_t Threads() { return EntriesOf("/proc/self/task"); }

// Bytes that this process has allocated and not freed.
size_t AllocatedBytes() { return mallinfo2().uordblks; }

void RequireNothingIsLeft(uint64_t cycles) {
  LocalCluster cluster;
  const auto cycle = [&](uint64_t seed) {
    LocalLeader leader = cluster.StartLeader();
    LocalFollower follower = cluster.StartFollower(leader);
    RequireOk(MixedLoad(leader.db(), leader.families, 100, seed).Write(50));
    if (seed % 8 == 0) leader.Flush();
    RequireEqual(leader, follower);
    // Both orders.
    if (seed % 2 == 0) leader.Close();
    follower.Close();
  };
  // RocksDB and gRPC start some threads once for all.
  constexpr uint64_t kWarmUps = 16;
  // gRPC's pool of threads breathes by a few.
  constexpr size_t kSlack = 5;
  for (uint64_t i = 0; i < kWarmUps; ++i) cycle(i);
  const size_t descriptors = OpenDescriptors();
  const size_t threads = Threads();
  const size_t allocated = AllocatedBytes();
  for (uint64_t i = 0; i < cycles; ++i) cycle(i);
  CHECK(Eventually([&] { return OpenDescriptors() <= descriptors + kSlack; }));
  CHECK(Eventually([&] { return Threads() <= threads + kSlack; }));
  CHECK(OpenDescriptors() <= descriptors + kSlack);
  CHECK(Threads() <= threads + kSlack);
  // An epoch is remembered for ever, in a few bytes.
  [[maybe_unused]] constexpr size_t kBytesPerCycle = 1024, kSlackBytes = 1 << 20;
  INFO("allocated " << allocated << " bytes before " << cycles << " cycles");
#ifndef __SANITIZE_ADDRESS__
  CHECK(AllocatedBytes() <= allocated + kSlackBytes + cycles * kBytesPerCycle);
#endif
  // On the storage there are the objects of the database, and on the disk its files.
  LocalLeader leader = cluster.StartLeader();
  CHECK(Eventually([&] {
    const LeaderStats s = leader.leader->stats();
    return s.pinned_objects == 0 && cluster.Tables().size() == s.live_objects;
  }));
}

}  // namespace

TEST_CASE("lifecycle: opening and closing leaves nothing behind", "[e2e]") {
  RequireNothingIsLeft(200);
}

TEST_CASE("lifecycle: opening and closing a thousand times leaves nothing behind", "[.][soak]") {
  RequireNothingIsLeft(1000);
}

TEST_CASE("lifecycle: a leader opened again continues its database", "[e2e]") {
  LocalCluster cluster;
  LeaderOptions options = cluster.leader_options();
  LocalFollower follower;
  for (uint64_t epoch = 1; epoch <= 5; ++epoch) {
    LocalLeader leader = cluster.StartLeader(options, LocalCluster::db_options());
    options.server_options.listen_address = "127.0.0.1:" + std::to_string(leader.leader->port());
    CHECK(leader.leader->position().epoch == epoch);
    if (epoch == 1) {
      LocalFollower first = cluster.StartFollower(leader);
      std::swap(follower.follower, first.follower);
      std::swap(follower.families, first.families);
    }
    RequireEqual(leader, follower);
    RequireOk(MixedLoad(leader.db(), leader.families, 100, epoch).Write(500));
    if (epoch % 2 == 0) leader.Flush();
    RequireEqual(leader, follower);
  }
  CHECK(follower.follower->stats().history_resets == 0);
}

}  // namespace slipstream::testing
