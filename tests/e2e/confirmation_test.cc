// When a follower confirms what it has, seen from the wire.
#include <string>
#include <thread>

#include "catch2/catch.hpp"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/raw_follower.h"

namespace slipstream::testing {

using rocksdb::Status;
using rocksdb::WriteOptions;

TEST_CASE("confirmation: a follower is asked to confirm while somebody waits, and only then",
          "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  Leader* l = leader.leader.get();
  RawFollower follower(l->port());
  follower.SendHello(RawFollower::GoodHello());
  v1::LeaderMessage message;
  while (follower.Read(&message) && !message.has_image_end()) {
  }
  RequireOk(leader.db()->Put(WriteOptions(), "a", "1"));
  while (follower.Read(&message) && !message.has_frames()) {
  }
  CHECK_FALSE(message.frames().confirm());
  // It has everything: whoever waits now has no message that could ask, but a heartbeat.
  const Position written = l->position();
  Status waited;
  std::thread waiter(
      [&] { waited = l->WaitForFollowers(written, 1, AckLevel::kApplied, kPatienceUs); });
  while (follower.Read(&message) && !(message.has_heartbeat() && message.heartbeat().confirm())) {
  }
  CHECK(message.heartbeat().sent() == written.offset);
  v1::Ack ack;
  ack.mutable_applied()->set_epoch(written.epoch);
  ack.mutable_applied()->set_offset(written.offset);
  follower.SendAck(ack);
  waiter.join();
  RequireOk(waited);
  // Messages ask by themselves while somebody waits.
  std::thread hopeful([&] {
    waited = l->WaitForFollowers(Position{written.epoch, 1ull << 40, 0}, 1, AckLevel::kReceived,
                                 10 * kPatienceUs);
  });
  do {
    RequireOk(leader.db()->Put(WriteOptions(), "a", "2"));
    while (follower.Read(&message) && !message.has_frames()) {
    }
  } while (message.has_frames() && !message.frames().confirm());
  CHECK(message.frames().confirm());
  for (rocksdb::ColumnFamilyHandle* family : leader.families) delete family;
  leader.families.clear();
  RequireOk(l->Close());
  hopeful.join();
  CHECK(waited.IsAborted());
}

}  // namespace slipstream::testing
