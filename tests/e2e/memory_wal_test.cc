// A leader whose WAL is in memory alone.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/transaction_log.h"
#include "rocksdb/utilities/checkpoint.h"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"
#include "tests/e2e/node_process.h"

namespace slipstream::testing {
namespace {

using rocksdb::Status;
using rocksdb::WriteOptions;

LeaderOptions MemoryOptions(const LocalCluster& cluster) {
  LeaderOptions options = cluster.leader_options();
  options.wal = WalMode::kMemoryOnly;
  return options;
}

size_t LocalWals(const std::string& path) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().extension() == ".log") ++count;
  }
  return count;
}

const std::vector<std::string> kMemoryNode{"wal=memory", "write_buffer_bytes=1048576"};

}  // namespace

TEST_CASE("memory WAL: followers have everything and the disk has no WAL", "[e2e]") {
  LocalCluster cluster;
  LeaderOptions options = MemoryOptions(cluster);
  options.replication_log_bytes = 4 << 20;
  LocalLeader leader = cluster.StartLeader(options, LocalCluster::db_options());
  LocalFollower follower = cluster.StartFollower(leader);
  MixedLoad load(leader.db(), leader.families, 1000, 1);
  RequireOk(load.Write(8000));
  // More than the replication log keeps: whoever comes now is served from the WAL in memory.
  const LeaderStats stats = leader.leader->stats();
  CHECK(stats.replication_log_bytes <= 4 << 20);
  CHECK(stats.memory_wal_bytes > 5 << 20);
  RequireEqual(leader, follower);
  LocalFollower late = cluster.StartFollower(leader);
  RequireEqual(leader, late);
  CHECK(LocalWals(cluster.leader_path()) == 0);

  WriteOptions synced;
  synced.sync = true;
  RequireOk(leader.db()->Put(synced, "a", "1"));
  RequireOk(leader.db()->SyncWAL());
  RequireOk(leader.db()->FlushWAL(true));
  // What is flushed takes no memory any more.
  leader.Flush();
  RequireOk(load.Write(10));
  REQUIRE(Eventually([&] { return leader.leader->stats().memory_wal_bytes <= 1 << 20; }));
  leader.Compact();
  RequireOk(load.Write(100));
  RequireEqual(leader, follower);
  RequireEqual(leader, late);
  CHECK(LocalWals(cluster.leader_path()) == 0);
  CHECK(follower.follower->stats().resyncs == 0);
}

TEST_CASE("memory WAL: a close loses nothing, unless it is told not to flush", "[e2e]") {
  LocalCluster cluster;
  rocksdb::DBOptions db_options = LocalCluster::db_options();
  const bool flush = GENERATE(true, false);
  db_options.avoid_flush_during_shutdown = !flush;
  ContentDigest flushed, all;
  {
    LocalLeader leader = cluster.StartLeader(MemoryOptions(cluster), db_options);
    RequireOk(MixedLoad(leader.db(), leader.families, 100, 1).Write(500));
    leader.Flush();
    flushed = leader.Digest();
    RequireOk(MixedLoad(leader.db(), leader.families, 100, 2).Write(500));
    all = leader.Digest();
  }
  LocalLeader leader = cluster.StartLeader(MemoryOptions(cluster), db_options);
  const ContentDigest found = leader.Digest();
  CHECK(found.entries == (flush ? all : flushed).entries);
  CHECK(found.hash == (flush ? all : flushed).hash);
  LocalFollower follower = cluster.StartFollower(leader);
  RequireEqual(leader, follower);
}

TEST_CASE("memory WAL: a close flushes memtables that have just become full", "[e2e]") {
  LocalCluster cluster;
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors = TestColumnFamilies();
  for (auto& d : descriptors) d.options.write_buffer_size = 64 << 10;
  for (int round = 0; round < 20; ++round) {
    INFO("round " << round);
    LocalLeader leader =
        cluster.StartLeader(MemoryOptions(cluster), LocalCluster::db_options(), descriptors);
    std::string value;
    if (round > 0) {
      RequireOk(leader.db()->Get(rocksdb::ReadOptions(), "last", &value));
      CHECK(value == std::to_string(round - 1));
    }
    // The memtable is to be flushed when this is in it, by whoever writes next: that is the close.
    rocksdb::WriteBatch batch;
    for (int i = 0; i < 60; ++i) {
      RequireOk(batch.Put("key" + std::to_string(i), std::string(2000, 'x')));
    }
    RequireOk(batch.Put("last", std::to_string(round)));
    RequireOk(leader.db()->Write(WriteOptions(), &batch));
  }
}

TEST_CASE("memory WAL: after a crash what was flushed is there and followers go back", "[e2e]") {
  NodeCluster cluster;
  auto leader = cluster.StartLeader(0, kMemoryNode);
  const int port = leader->port();
  auto follower = cluster.StartFollower(port, {"rebuild_ms=20", "rebuild_bytes=65536"});
  follower->AwaitReady();
  for (int round = 0; round < 3; ++round) {
    leader->Ask("load 3000 100 " + std::to_string(round));
    leader->Ask("flush");
    const std::string flushed = leader->Ask("hash");
    leader->Ask("put default lost " + std::to_string(round));
    leader->Ask("put reverse lost " + std::to_string(round));
    // One column family is ahead of the others: nothing that its WAL says is there any more.
    leader->Ask("put sums kept " + std::to_string(round));
    leader->Ask("flush_one sums");
    leader->Ask("put default lost_too " + std::to_string(round));
    RequireEqual(leader.get(), follower.get());
    leader->Kill();

    leader = cluster.StartLeader(port, kMemoryNode);
    CHECK(leader->Answer("get default lost").starts_with("error NotFound"));
    CHECK(leader->Answer("get default lost_too").starts_with("error NotFound"));
    CHECK(leader->Answer("get reverse lost").starts_with("error NotFound"));
    CHECK(leader->Ask("get sums kept") == std::to_string(round));
    leader->Ask("delete sums kept");
    RequireEqual(leader.get(), follower.get());
    // Apart from that it is what was flushed; sequence numbers are counted on.
    CHECK(leader->Ask("hash").substr(0, flushed.rfind(' ')) ==
          flushed.substr(0, flushed.rfind(' ')));
    // Counted a moment after reads show it.
    const auto resets = static_cast<uint64_t>(round) + 1;
    CHECK(Eventually([&] { return follower->Stat("history_resets") == resets; }));
  }
}

TEST_CASE("memory WAL: what one column family lost is taken back, though another kept more",
          "[e2e]") {
  LocalCluster cluster;
  rocksdb::DBOptions db_options = LocalCluster::db_options();
  db_options.avoid_flush_during_shutdown = true;  // as after a crash
  ReplicationServerOptions listen;
  std::shared_ptr<ReplicationServer> server;
  RequireOk(ReplicationServer::Start(listen, &server));
  LeaderOptions options = MemoryOptions(cluster);
  options.server = server;
  auto leader = std::make_unique<LocalLeader>(cluster.StartLeader(options, db_options));
  std::vector<HistoryReset> resets;
  FollowerOptions follower_options = cluster.follower_options(server->port());
  follower_options.on_history_reset = [&](const HistoryReset& reset) { resets.push_back(reset); };
  LocalFollower follower = cluster.StartFollower(follower_options);

  RequireOk(leader->db()->Put(WriteOptions(), "kept", "1"));
  leader->Flush();
  const uint64_t kept = leader->db()->GetLatestSequenceNumber();
  const bool lose = GENERATE(true, false);
  if (lose) RequireOk(leader->db()->Put(WriteOptions(), "lost", "1"));
  RequireOk(leader->db()->Put(WriteOptions(), leader->families[1], "kept too", "1"));
  RequireOk(leader->db()->Flush(rocksdb::FlushOptions(), leader->families[1]));
  const uint64_t newest = leader->db()->GetLatestSequenceNumber();
  const Position shown = leader->leader->position();
  RequireOk(follower.follower->WaitFor(shown, kPatienceUs));

  leader.reset();
  leader = std::make_unique<LocalLeader>(cluster.StartLeader(options, db_options));
  // The column family that was flushed last stands where all did.
  CHECK(leader->db()->GetLatestSequenceNumber() == newest);
  RequireEqual(*leader, follower);
  CHECK(follower.Get(0, "kept") == "1");
  CHECK(follower.Get(0, "lost") == "(not found)");
  const Status s = follower.follower->WaitFor(shown, 0);
  INFO(s.ToString());
  CHECK(s.IsAborted() == lose);
  CHECK(s.ok() != lose);
  CHECK(follower.follower->stats().history_resets == (lose ? 1 : 0));
  REQUIRE(resets.size() == (lose ? 1 : 0));
  if (lose) {
    CHECK(resets[0].shown.sequence == newest);
    CHECK(resets[0].resumed.sequence == kept);
  }
}

TEST_CASE("memory WAL: WALs on disk are recovered and go", "[e2e]") {
  LocalCluster cluster;
  ContentDigest before;
  {
    LocalLeader leader = cluster.StartLeader();
    RequireOk(MixedLoad(leader.db(), leader.families, 100, 1).Write(500));
    before = leader.Digest();
  }
  REQUIRE(LocalWals(cluster.leader_path()) > 0);
  {
    LocalLeader leader = cluster.StartLeader(MemoryOptions(cluster), LocalCluster::db_options());
    CHECK(leader.Digest() == before);
    LocalFollower follower = cluster.StartFollower(leader);
    RequireEqual(leader, follower);
    RequireOk(leader.db()->Put(WriteOptions(), "after", "1"));
    RequireEqual(leader, follower);
    CHECK(LocalWals(cluster.leader_path()) == 0);
    before = leader.Digest();
  }
  // And back.
  LocalLeader leader = cluster.StartLeader();
  CHECK(leader.Digest().hash == before.hash);
  RequireOk(leader.db()->Put(WriteOptions(), "again", "1"));
  CHECK(LocalWals(cluster.leader_path()) > 0);
}

TEST_CASE("memory WAL: RocksDB reads it as a file", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader(MemoryOptions(cluster), LocalCluster::db_options());
  RequireOk(MixedLoad(leader.db(), leader.families, 100, 1).Write(100));
  const rocksdb::SequenceNumber from = leader.db()->GetLatestSequenceNumber() + 1;
  RequireOk(leader.db()->Put(WriteOptions(), "a", "1"));
  rocksdb::VectorLogPtr wals;
  RequireOk(leader.db()->GetSortedWalFiles(wals));
  CHECK(wals.size() == 1);
  std::unique_ptr<rocksdb::TransactionLogIterator> updates;
  RequireOk(leader.db()->GetUpdatesSince(from, &updates));
  REQUIRE(updates->Valid());
  CHECK(updates->GetBatch().sequence == from);
  updates.reset();

  rocksdb::Checkpoint* created = nullptr;
  RequireOk(rocksdb::Checkpoint::Create(leader.db(), &created));
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(created);
  const std::string path = cluster.directory().path("checkpoint");
  // With the WAL copied instead of a flush.
  RequireOk(checkpoint->CreateCheckpoint(path, UINT64_MAX));
  rocksdb::DB* opened = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  RequireOk(
      rocksdb::DB::Open(rocksdb::DBOptions(), path, TestColumnFamilies(), &families, &opened));
  const std::unique_ptr<rocksdb::DB> db(opened);
  ContentDigest digest;
  RequireOk(DigestOf(db.get(), families, nullptr, &digest));
  CHECK(digest == leader.Digest());
  for (rocksdb::ColumnFamilyHandle* family : families) delete family;
}

TEST_CASE("memory WAL: options that need WALs on disk are refused", "[e2e]") {
  LocalCluster cluster;
  rocksdb::DBOptions db_options = LocalCluster::db_options();
  std::string name;
  SECTION("avoid_flush_during_recovery") {
    db_options.avoid_flush_during_recovery = true;
    name = "avoid_flush_during_recovery = true";
  }
  SECTION("track_and_verify_wals_in_manifest") {
    db_options.track_and_verify_wals_in_manifest = true;
    name = "track_and_verify_wals_in_manifest = true";
  }
  SECTION("WAL_ttl_seconds") {
    db_options.WAL_ttl_seconds = 60;
    name = "WAL_ttl_seconds";
  }
  SECTION("WAL_size_limit_MB") {
    db_options.WAL_size_limit_MB = 60;
    name = "WAL_size_limit_MB";
  }
  LocalLeader leader;
  const Status s = Leader::Open(MemoryOptions(cluster), db_options, cluster.leader_path(),
                                TestColumnFamilies(), &leader.families, &leader.leader);
  INFO(s.ToString());
  CHECK(s.IsInvalidArgument());
  CHECK(s.ToString().find(name) != std::string::npos);
  CHECK(s.ToString().find("kMemoryOnly") != std::string::npos);
}

}  // namespace slipstream::testing
