// Waiting for positions, and figures of how far behind a follower is.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "catch2/catch.hpp"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"

namespace slipstream::testing {
namespace {

using rocksdb::Status;
using rocksdb::WriteOptions;

// What no leader of these tests reaches.
Position Beyond(Position position) {
  position.offset += 1ull << 40;
  return position;
}

// No wrapped difference is smaller.
constexpr uint64_t kAbsurd = 1ull << 40;

}  // namespace

TEST_CASE("wait: a leader learns what its followers have received and applied", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  Leader* l = leader.leader.get();
  RequireOk(l->WaitForFollowers(l->position(), 0, AckLevel::kApplied, 0));
  CHECK(l->WaitForFollowers(l->position(), 1, AckLevel::kReceived, 1000).IsTimedOut());
  LocalFollower one = cluster.StartFollower(leader);
  LocalFollower two = cluster.StartFollower(leader);
  for (int i = 0; i < 20; ++i) {
    RequireOk(leader.db()->Put(WriteOptions(), "a", std::to_string(i)));
    const Position written = l->position();
    RequireOk(l->WaitForFollowers(written, 2, AckLevel::kReceived, kPatienceUs));
    RequireOk(l->WaitForFollowers(written, 2, AckLevel::kApplied, kPatienceUs));
    // Confirmed is shown: nothing more to wait for.
    CHECK(one.Get(0, "a") == std::to_string(i));
    CHECK(two.Get(0, "a") == std::to_string(i));
  }
  const Status late = l->WaitForFollowers(l->position(), 3, AckLevel::kApplied, 20000);
  INFO(late.ToString());
  CHECK(late.IsTimedOut());
  CHECK(late.ToString().find("2 of 3") != std::string::npos);
  CHECK(l->WaitForFollowers(Beyond(l->position()), 1, AckLevel::kApplied, 20000).IsTimedOut());
  Position old = l->position();
  --old.epoch;
  CHECK(l->WaitForFollowers(old, 1, AckLevel::kApplied, kPatienceUs).IsAborted());
}

TEST_CASE("wait: a follower waits for positions and refuses an empty one", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  Follower* f = follower.follower.get();
  RequireOk(leader.db()->Put(WriteOptions(), "a", "1"));
  const Position written = leader.leader->position();
  RequireOk(f->WaitFor(written, kPatienceUs));
  CHECK(follower.Get(0, "a") == "1");
  RequireOk(f->WaitFor(written, 0));
  CHECK(f->WaitFor(Position(), kPatienceUs).IsInvalidArgument());
  CHECK(f->WaitFor(Beyond(written), 0).IsTimedOut());
  const auto begin = std::chrono::steady_clock::now();
  CHECK(f->WaitFor(Beyond(written), 50000).IsTimedOut());
  CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(50));
  RequireOk(f->WaitForFreshness(1000000, kPatienceUs));
  CHECK(f->position() >= written);
  // A position of an epoch that is still to come may be reached.
  Position next = written;
  ++next.epoch;
  CHECK(f->WaitFor(next, 1000).IsTimedOut());
}

TEST_CASE("wait: closing a follower ends the waits on it", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  Follower* f = follower.follower.get();
  const Position never = Beyond(leader.leader->position());
  Status positions, freshness;
  std::thread first([&] { positions = f->WaitFor(never, 10 * kPatienceUs); });
  std::thread second([&] { freshness = f->WaitForFreshness(0, 10 * kPatienceUs); });
  const auto begin = std::chrono::steady_clock::now();
  RequireOk(f->Close());
  first.join();
  second.join();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(3));
  CHECK(positions.IsShutdownInProgress());
  // What is new this very moment may have been fresh before the close.
  CHECK((freshness.ok() || freshness.IsShutdownInProgress()));
  // Reads go on, and a second close does nothing.
  CHECK(follower.Get(0, "a") == "(not found)");
  RequireOk(f->Close());
}

TEST_CASE("wait: closing a leader ends the waits on it", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  Leader* l = leader.leader.get();
  const Position never = Beyond(l->position());
  Status waited;
  std::thread waiter(
      [&] { waited = l->WaitForFollowers(never, 1, AckLevel::kApplied, 10 * kPatienceUs); });
  for (rocksdb::ColumnFamilyHandle* family : leader.families) delete family;
  leader.families.clear();
  const auto begin = std::chrono::steady_clock::now();
  RequireOk(l->Close());
  waiter.join();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(3));
  CHECK(waited.IsAborted());
  CHECK(l->db() == nullptr);
  RequireOk(l->Close());
  CHECK(Eventually([&] { return !follower.follower->stats().connected; }));
}

TEST_CASE("wait: lag figures are sane during load and nil after it", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  std::atomic<bool> done{false};
  Status written;
  std::thread writer([&] {
    MixedLoad load(leader.db(), leader.families, 100, 1);
    for (int i = 0; i < 20 && written.ok(); ++i) {
      written = load.Write(1000);
      if (written.ok() && i % 5 == 4) {
        written = leader.db()->Flush(rocksdb::FlushOptions(), leader.families);
      }
    }
    done = true;
  });
  uint64_t samples = 0, absurd = 0, backwards = 0;
  Position last;
  while (!done) {
    const FollowerStats f = follower.follower->stats();
    for (uint64_t figure : {f.lag_bytes, f.lag_sequences, f.lag_us, f.staleness_us,
                            f.receive_queue_bytes, f.image_bytes, f.memtable_bytes}) {
      if (figure > kAbsurd) ++absurd;
    }
    if (f.applied < last) ++backwards;
    last = f.applied;
    for (const FollowerInfo& info : leader.leader->followers()) {
      for (uint64_t figure : {info.lag_bytes, info.lag_sequences, info.lag_us}) {
        if (figure > kAbsurd) ++absurd;
      }
    }
    ++samples;
  }
  writer.join();
  RequireOk(written);
  CHECK(samples > 0);
  CHECK(absurd == 0);
  CHECK(backwards == 0);
  RequireEqual(leader, follower);
  const Position end = leader.leader->position();
  RequireOk(leader.leader->WaitForFollowers(end, 1, AckLevel::kApplied, kPatienceUs));
  CHECK(Eventually([&] {
    const FollowerStats f = follower.follower->stats();
    const FollowerInfo info = leader.leader->followers().at(0);
    return f.lag_bytes == 0 && f.lag_sequences == 0 && f.lag_us == 0 && info.lag_bytes == 0 &&
           info.lag_sequences == 0 && info.lag_us == 0;
  }));
}

}  // namespace slipstream::testing
