// Leaders and followers as processes, and what happens when some of them die.
#include <filesystem>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/node_process.h"

namespace slipstream::testing {
namespace {

// Column families are flushed every few thousand writes.
const std::vector<std::string> kSmallBuffers{"write_buffer_bytes=262144"};
const std::vector<std::string> kFrequentRebuilds{"rebuild_ms=20", "rebuild_bytes=65536"};

// Blocks until the leader's background load has written this many more.
void AwaitWrites(NodeProcess* leader, uint64_t count) {
  const uint64_t begin = leader->Sequence();
  REQUIRE(Eventually([&] { return leader->Sequence() >= begin + count; }));
}

}  // namespace

TEST_CASE("processes: two followers show exactly what the leader has", "[e2e]") {
  NodeCluster cluster;
  auto leader = cluster.StartLeader(0, kSmallBuffers);
  auto one = cluster.StartFollower(leader->port(), kFrequentRebuilds);
  auto two = cluster.StartFollower(leader->port());
  one->AwaitReady();
  two->AwaitReady();
  leader->Ask("put default a 1");
  leader->Ask("batch default b 2 reverse b 2 default c 3");
  leader->Ask("delete default a");
  leader->Ask("merge sums n 5");
  leader->Ask("merge sums n 6");
  RequireEqual(leader.get(), one.get());
  CHECK(one->Ask("get sums n") == "11");
  for (int round = 0; round < 4; ++round) {
    leader->Ask("load 8000 100 " + std::to_string(round));
    RequireEqual(leader.get(), one.get());
    RequireEqual(leader.get(), two.get());
    leader->Ask(round % 2 == 0 ? "flush" : "compact");
  }
  leader->Ask("delete_range default key000000 key010000");
  RequireEqual(leader.get(), one.get());
  RequireEqual(leader.get(), two.get());
  CHECK(one->Stat("resyncs") == 0);
  CHECK(one->Stat("sequence_gaps") == 0);
  CHECK(one->Stat("rebuilds") > 0);
}

TEST_CASE("processes: a follower killed in mid-load is replaced and the leader goes on", "[e2e]") {
  NodeCluster cluster;
  auto leader = cluster.StartLeader(0, kSmallBuffers);
  auto follower = cluster.StartFollower(leader->port(), kFrequentRebuilds);
  follower->AwaitReady();
  leader->Ask("start_load 100 1");
  AwaitWrites(leader.get(), 10000);
  follower->Kill();
  AwaitWrites(leader.get(), 10000);
  auto next = cluster.StartFollower(leader->port(), kFrequentRebuilds);
  next->AwaitReady();
  AwaitWrites(leader.get(), 10000);
  leader->Ask("stop_load");
  RequireEqual(leader.get(), next.get());
}

TEST_CASE("processes: followers outlive a leader killed in mid-load and its restart", "[e2e]") {
  NodeCluster cluster;
  auto leader = cluster.StartLeader(0, kSmallBuffers);
  const int port = leader->port();
  auto one = cluster.StartFollower(port, kFrequentRebuilds);
  auto two = cluster.StartFollower(port);
  one->AwaitReady();
  two->AwaitReady();
  for (int round = 0; round < 3; ++round) {
    leader->Ask("start_load 100 " + std::to_string(round));
    AwaitWrites(leader.get(), 10000);
    const std::string written = leader->Ask("position");
    leader->Kill();
    // Without a leader they go on answering.
    one->Ask("get default pair");

    leader = cluster.StartLeader(port, kSmallBuffers);
    const std::string reopened = leader->Ask("position");
    for (NodeProcess* follower : {one.get(), two.get()}) {
      follower->Ask("wait " + reopened + " 20000");
      // The kill took nothing back that had returned: its bytes were in the files.
      follower->Ask("wait " + written + " 0");
      CHECK(follower->Stat("history_resets") == 0);
      CHECK(follower->Stat("connected") == 1);
    }
    leader->Ask("load 2000 100 7");
    RequireEqual(leader.get(), one.get());
    RequireEqual(leader.get(), two.get());
  }
  CHECK(one->Stat("reconnects") >= 3);
}

TEST_CASE("processes: everything is killed at once and comes back", "[e2e]") {
  NodeCluster cluster;
  auto leader = cluster.StartLeader(0, kSmallBuffers);
  const int port = leader->port();
  auto one = cluster.StartFollower(port, kFrequentRebuilds);
  auto two = cluster.StartFollower(port);
  one->AwaitReady();
  two->AwaitReady();
  std::string written;
  for (int round = 0; round < 2; ++round) {
    leader->Ask("start_load 100 " + std::to_string(round));
    AwaitWrites(leader.get(), 10000);
    written = leader->Ask("position");
    for (NodeProcess* node : {one.get(), leader.get(), two.get()}) node->Kill();

    // Followers first: they have to wait for the leader.
    one = cluster.StartFollower(port, kFrequentRebuilds);
    two = cluster.StartFollower(port);
    leader = cluster.StartLeader(port, kSmallBuffers);
    one->AwaitReady();
    two->AwaitReady();
    one->Ask("wait " + written + " 20000");
    RequireEqual(leader.get(), one.get());
    RequireEqual(leader.get(), two.get());
  }
}

TEST_CASE("processes: a follower started before its leader serves once the leader is up", "[e2e]") {
  NodeCluster cluster;
  int port = 0;
  {
    auto leader = cluster.StartLeader();
    port = leader->port();
    leader->Ask("load 1000 100 1");
    leader->Ask("quit");
  }
  auto follower = cluster.StartFollower(port);
  auto leader = cluster.StartLeader(port);
  follower->AwaitReady();
  RequireEqual(leader.get(), follower.get());
}

TEST_CASE("processes: a follower that joins after many manifests is equal", "[e2e]") {
  NodeCluster cluster;
  auto leader = cluster.StartLeader(0, {"write_buffer_bytes=131072", "manifest_bytes=1"});
  auto early = cluster.StartFollower(leader->port(), kFrequentRebuilds);
  early->AwaitReady();
  for (int round = 0; round < 5; ++round) {
    leader->Ask("load 4000 100 " + std::to_string(round));
    leader->Ask("flush");
    if (round == 2) leader->Ask("compact");
  }
  auto late = cluster.StartFollower(leader->port());
  late->AwaitReady();
  RequireEqual(leader.get(), late.get());
  RequireEqual(leader.get(), early.get());
  leader->Ask("compact");
  leader->Ask("load 4000 100 6");
  RequireEqual(leader.get(), late.get());
  RequireEqual(leader.get(), early.get());
  CHECK(early->Stat("resyncs") == 0);
}

TEST_CASE("processes: what a leader lost of its WAL is taken back from followers", "[e2e]") {
  NodeCluster cluster;
  auto leader = cluster.StartLeader();
  const int port = leader->port();
  auto follower = cluster.StartFollower(port);
  follower->AwaitReady();
  leader->Ask("load 1000 100 1");
  const std::string kept = leader->Ask("position");
  leader->Ask("load 1000 100 2");
  const std::string lost = leader->Ask("position");
  follower->Ask("wait " + lost + " 20000");
  leader->Kill();

  std::filesystem::path wal;
  for (const auto& entry : std::filesystem::directory_iterator(cluster.leader_path())) {
    if (entry.path().extension() == ".log" && entry.path() > wal) wal = entry.path();
  }
  REQUIRE_FALSE(wal.empty());
  std::filesystem::resize_file(wal, std::filesystem::file_size(wal) - 2000);

  leader = cluster.StartLeader(port);
  follower->Ask("wait " + leader->Ask("position") + " 20000");
  CHECK(Eventually([&] { return follower->Stat("history_resets") == 1; }));
  follower->Ask("wait " + kept + " 0");
  CHECK(follower->Answer("wait " + lost + " 0").starts_with("error Operation aborted"));
  RequireEqual(leader.get(), follower.get());
  leader->Ask("load 1000 100 3");
  RequireEqual(leader.get(), follower.get());
}

TEST_CASE("processes: a snapshot of a follower outlives the leader", "[e2e]") {
  NodeCluster cluster;
  auto leader = cluster.StartLeader(0, kSmallBuffers);
  const int port = leader->port();
  auto follower = cluster.StartFollower(port, kFrequentRebuilds);
  follower->AwaitReady();
  leader->Ask("load 5000 100 1");
  RequireEqual(leader.get(), follower.get());
  follower->Ask("snapshot");
  const std::string before = follower->Ask("snapshot_hash");
  leader->Ask("start_load 100 2");
  AwaitWrites(leader.get(), 10000);
  leader->Kill();
  CHECK(follower->Ask("snapshot_hash") == before);
  leader = cluster.StartLeader(port, kSmallBuffers);
  leader->Ask("compact");
  RequireEqual(leader.get(), follower.get());
  CHECK(follower->Ask("snapshot_hash") == before);
  follower->Ask("release");
}

}  // namespace slipstream::testing
