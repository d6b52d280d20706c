// What readers hold over flushes, compactions and swaps of generations, in one process.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/wide_columns.h"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"

namespace slipstream::testing {
namespace {

using rocksdb::PinnableSlice;
using rocksdb::ReadOptions;
using rocksdb::Status;
using rocksdb::WriteOptions;

// Writes, flushes and compacts until the follower has swapped generations `count` times more.
void SwapGenerations(const LocalLeader& leader, const LocalFollower& follower, MixedLoad* load,
                     uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t rebuilds = follower.follower->stats().rebuilds;
    RequireOk(load->Write(300));
    leader.Flush();
    if (i % 2 == 1) leader.Compact();
    CatchUp(leader, follower);
    REQUIRE(Eventually([&] { return follower.follower->stats().rebuilds > rebuilds; }));
  }
}

// All keys and values from where the iterator stands to its end.
std::string Rest(rocksdb::Iterator* it) {
  std::string rest;
  for (; it->Valid(); it->Next()) {
    rest += it->key().ToString() + "=" + it->value().ToString() + "\n";
  }
  RequireOk(it->status());
  return rest;
}

}  // namespace

TEST_CASE("snapshot: snapshots stay valid and unchanged over swaps of generations", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  rocksdb::DB* db = follower.db();
  MixedLoad load(leader.db(), leader.families, 100, 1);
  std::vector<std::pair<const rocksdb::Snapshot*, ContentDigest>> held;
  for (int round = 0; round < 4; ++round) {
    RequireOk(load.Write(1000));
    const ContentDigest now = leader.Digest();
    CatchUp(leader, follower);
    const rocksdb::Snapshot* snapshot = db->GetSnapshot();
    CHECK(snapshot->GetSequenceNumber() == now.sequence);
    held.emplace_back(snapshot, now);
    SwapGenerations(leader, follower, &load, 3);
    for (const auto& [s, digest] : held) CHECK(follower.Digest(s) == digest);
  }
  CHECK(follower.follower->stats().live_generations >= 4);
  for (const auto& [snapshot, digest] : held) db->ReleaseSnapshot(snapshot);
  CHECK(Eventually([&] { return follower.follower->stats().live_generations == 1; }));
  RequireEqual(leader, follower);
}

TEST_CASE("snapshot: iterators stay valid and unchanged over swaps of generations", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  MixedLoad load(leader.db(), leader.families, 100, 2);
  RequireOk(load.Write(1000));
  leader.Flush();
  RequireOk(load.Write(500));
  CatchUp(leader, follower);
  for (rocksdb::ColumnFamilyHandle* family : follower.families) {
    const std::unique_ptr<rocksdb::Iterator> walked(
        follower.db()->NewIterator(ReadOptions(), family));
    walked->SeekToFirst();
    const std::string all = Rest(walked.get());
    // One that stands still in the middle, and one that begins after the swaps.
    const std::unique_ptr<rocksdb::Iterator> middle(
        follower.db()->NewIterator(ReadOptions(), family));
    const std::unique_ptr<rocksdb::Iterator> later(
        follower.db()->NewIterator(ReadOptions(), family));
    middle->SeekToFirst();
    std::string first;
    for (int i = 0; i < 20; ++i, middle->Next()) {
      first += middle->key().ToString() + "=" + middle->value().ToString() + "\n";
    }
    SwapGenerations(leader, follower, &load, 3);
    CHECK((first + Rest(middle.get()) == all));
    later->SeekToFirst();
    CHECK((Rest(later.get()) == all));
    // Refreshed it shows the present.
    RequireOk(later->Refresh());
    later->SeekToFirst();
    CHECK((Rest(later.get()) != all));
  }
  CHECK(Eventually([&] { return follower.follower->stats().live_generations == 1; }));
}

TEST_CASE("snapshot: pinned values stay valid and unchanged over swaps of generations", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  const std::string value(3000, 'v');
  RequireOk(leader.db()->Put(WriteOptions(), "flushed", value));
  RequireOk(leader.db()->PutEntity(WriteOptions(), leader.families[0], "entity",
                                   {{"", "1"}, {"long", value}}));
  leader.Flush();
  CatchUp(leader, follower);
  // From a table, so that the value is pinned and not copied.
  REQUIRE(Eventually([&] { return follower.follower->stats().rebuilds > 0; }));
  RequireOk(leader.db()->Put(WriteOptions(), "in memory", value));
  CatchUp(leader, follower);
  PinnableSlice flushed, in_memory;
  rocksdb::PinnableWideColumns entity;
  rocksdb::DB* db = follower.db();
  RequireOk(db->Get(ReadOptions(), follower.families[0], "flushed", &flushed));
  RequireOk(db->Get(ReadOptions(), follower.families[0], "in memory", &in_memory));
  RequireOk(db->GetEntity(ReadOptions(), follower.families[0], "entity", &entity));

  RequireOk(leader.db()->Put(WriteOptions(), "flushed", "other"));
  RequireOk(leader.db()->Delete(WriteOptions(), "in memory"));
  RequireOk(leader.db()->Delete(WriteOptions(), "entity"));
  MixedLoad load(leader.db(), leader.families, 100, 3);
  SwapGenerations(leader, follower, &load, 4);
  CHECK(follower.Get(0, "flushed") == "other");
  CHECK(follower.Get(0, "in memory") == "(not found)");
  CHECK((flushed == value));
  CHECK((in_memory == value));
  REQUIRE(entity.columns().size() == 2);
  CHECK((entity.columns()[1].value() == value));
  flushed.Reset();
  in_memory.Reset();
  CHECK(Eventually([&] { return follower.follower->stats().live_generations == 1; }));
}

TEST_CASE("snapshot: readers never see a batch torn, nor time run backwards", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  RequireOk(WritePair(leader, 0));
  CatchUp(leader, follower);
  std::atomic<bool> done{false};
  std::atomic<uint64_t> torn{0}, backwards{0}, failed{0}, reads{0};
  const auto check_pair = [&](const std::vector<std::string>& values, uint64_t* last) {
    if (values[0] != values[1]) ++torn;
    const uint64_t n = std::stoull("0" + values[0]);
    if (n < *last) ++backwards;
    *last = n;
    ++reads;
  };
  const auto read_with_snapshot = [&] {
    for (uint64_t last = 0; !done;) {
      ReadOptions options;
      options.snapshot = follower.db()->GetSnapshot();
      std::vector<std::string> values(2);
      for (size_t i = 0; i < 2; ++i) {
        if (!follower.db()->Get(options, follower.families[i], "pair", &values[i]).ok()) ++failed;
      }
      follower.db()->ReleaseSnapshot(options.snapshot);
      check_pair(values, &last);
    }
  };
  const auto read_many = [&] {
    for (uint64_t last = 0; !done;) {
      std::vector<std::string> values;
      for (const Status& s :
           follower.db()->MultiGet(ReadOptions(), {follower.families[0], follower.families[1]},
                                   {"pair", "pair"}, &values)) {
        if (!s.ok()) ++failed;
      }
      check_pair(values, &last);
    }
  };
  std::vector<std::thread> readers;
  readers.emplace_back(read_with_snapshot);
  readers.emplace_back(read_many);
  // Failures are reported once no other thread runs.
  uint64_t last_pair = 0;
  const Status written = WritePairs(leader, follower, 20000, &last_pair);
  const Status caught_up = follower.follower->WaitFor(leader.leader->position(), kPatienceUs);
  done = true;
  for (std::thread& reader : readers) reader.join();
  RequireOk(written);
  RequireOk(caught_up);
  CHECK(torn == 0);
  CHECK(backwards == 0);
  CHECK(failed == 0);
  CHECK(reads > 0);
  CHECK(follower.Get(0, "pair") == std::to_string(last_pair));
}

}  // namespace slipstream::testing
