// Leaders whose RocksDB keeps WAL records in a buffer until FlushWAL.
#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/sst_file_writer.h"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"

namespace slipstream::testing {
namespace {

using rocksdb::Status;
using rocksdb::WriteOptions;

LocalLeader StartManualLeader(const LocalCluster& cluster) {
  rocksdb::DBOptions options = LocalCluster::db_options();
  options.manual_wal_flush = true;
  return cluster.StartLeader(cluster.leader_options(), options);
}

// A file with one key, which overlaps what is there: ingesting it takes a sequence number.
std::string MarkerFile(const LocalCluster& cluster, int number) {
  const std::string path = cluster.directory().path("marker" + std::to_string(number));
  rocksdb::SstFileWriter writer{rocksdb::EnvOptions(), rocksdb::Options()};
  RequireOk(writer.Open(path));
  RequireOk(writer.Put("marker", std::to_string(number)));
  RequireOk(writer.Finish());
  return path;
}

// Threads that run `body` until this object is destroyed or Stop is called.
class Background {
 public:
  Background() = default;
  ~Background() { Stop(); }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  template <typename Body>
  void Run(Body body) {
    threads_.emplace_back([this, body] {
      while (!stop_) body();
    });
  }
  void Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

// 0 if the key is not there, -1 after an error.
int Number(rocksdb::DB* db, const rocksdb::Snapshot* snapshot, const std::string& key) {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  std::string value;
  const Status s = db->Get(options, key, &value);
  if (s.IsNotFound()) return 0;
  return s.ok() ? std::stoi(value) : -1;
}

}  // namespace

TEST_CASE("manual_wal_flush: followers see writes with the next FlushWAL", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = StartManualLeader(cluster);
  LocalFollower follower = cluster.StartFollower(leader);
  RequireOk(leader.db()->Put(WriteOptions(), "a", "1"));
  // What is in the buffer is not in the position either.
  CatchUp(leader, follower);
  CHECK(follower.Get(0, "a") == "(not found)");
  RequireOk(leader.db()->FlushWAL(GENERATE(false, true)));
  CatchUp(leader, follower);
  CHECK(follower.Get(0, "a") == "1");
  // A flush of memtables brings what is in them along.
  RequireOk(leader.db()->Put(WriteOptions(), "b", "2"));
  leader.Flush();
  CatchUp(leader, follower);
  CHECK(follower.Get(0, "b") == "2");
  RequireEqual(leader, follower);
}

TEST_CASE("manual_wal_flush: barriers by the handle come after the writes before them", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = StartManualLeader(cluster);
  LocalFollower follower = cluster.StartFollower(leader);
  std::atomic<int> failed{0};
  std::atomic<int> torn{0};
  Background background;
  for (int w = 0; w < 2; ++w) {
    background.Run([&, key = "writer" + std::to_string(w)] {
      for (int i = 0; i < 10; ++i) {
        if (!leader.db()->Put(WriteOptions(), key, std::to_string(i)).ok()) ++failed;
      }
      AwaitNextLook();  // not more than a follower can rebuild with
    });
  }
  background.Run([&] {
    const rocksdb::Snapshot* snapshot = follower.db()->GetSnapshot();
    if (Number(follower.db(), snapshot, "before") < Number(follower.db(), snapshot, "marker")) {
      ++torn;
    }
    follower.db()->ReleaseSnapshot(snapshot);
  });
  for (int round = 1; round <= 12; ++round) {
    RequireOk(leader.db()->Put(WriteOptions(), "before", std::to_string(round)));
    RequireOk(leader.db()->IngestExternalFile({MarkerFile(cluster, round)},
                                              rocksdb::IngestExternalFileOptions()));
    CatchUp(leader, follower);
    CHECK(Number(follower.db(), nullptr, "marker") == round);
    CHECK(Number(follower.db(), nullptr, "before") == round);
    rocksdb::ColumnFamilyHandle* family = nullptr;
    RequireOk(leader.db()->Put(WriteOptions(), "before", std::to_string(100 + round)));
    RequireOk(leader.db()->CreateColumnFamily(rocksdb::ColumnFamilyOptions(), "late", &family));
    CatchUp(leader, follower);
    CHECK(Number(follower.db(), nullptr, "before") == 100 + round);
    RequireOk(leader.db()->Put(WriteOptions(), family, "x", "y"));
    RequireOk(leader.db()->DropColumnFamily(family));
    RequireOk(leader.db()->DestroyColumnFamilyHandle(family));
  }
  background.Stop();
  CHECK(failed == 0);
  CHECK(torn == 0);
  RequireOk(leader.leader->stats().replication);
  RequireOk(leader.db()->FlushWAL(false));
  RequireEqual(leader, follower);
  CHECK(follower.follower->stats().resyncs == 0);
  CHECK(follower.follower->stats().sequence_gaps == 0);
}

TEST_CASE("manual_wal_flush: a barrier round the handle is never shown too early", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = StartManualLeader(cluster);
  LocalFollower follower = cluster.StartFollower(leader);
  rocksdb::DB* root = leader.db()->GetRootDB();
  // With an empty buffer there is nothing to miss, but that does not show in the files.
  RequireOk(leader.db()->Put(WriteOptions(), "marker", "0"));
  RequireOk(leader.db()->FlushWAL(false));
  CatchUp(leader, follower);
  CHECK(leader.leader->stats().incarnations == 1);

  std::atomic<int> torn{0};
  Background background;
  background.Run([&] {
    const rocksdb::Snapshot* snapshot = follower.db()->GetSnapshot();
    if (Number(follower.db(), snapshot, "before") < Number(follower.db(), snapshot, "marker")) {
      ++torn;
    }
    follower.db()->ReleaseSnapshot(snapshot);
  });
  for (int round = 1; round <= 3; ++round) {
    RequireOk(leader.db()->Put(WriteOptions(), "before", std::to_string(round)));
    RequireOk(root->IngestExternalFile({MarkerFile(cluster, round)},
                                       rocksdb::IngestExternalFileOptions()));
    RequireOk(leader.db()->Put(WriteOptions(), "after", std::to_string(round)));
    RequireOk(leader.db()->FlushWAL(false));
    // The stream goes on in a new epoch.
    const auto incarnations = static_cast<uint64_t>(round) + 1;
    REQUIRE(Eventually([&] { return leader.leader->stats().incarnations == incarnations; }));
    const Status s = leader.leader->stats().last_break;
    INFO(s.ToString());
    CHECK(s.IsNotSupported());
    CHECK(s.ToString().find("manual_wal_flush") != std::string::npos);
    RequireEqual(leader, follower);
    CHECK(follower.Get(0, "after") == std::to_string(round));
    CHECK(follower.Get(0, "marker") == std::to_string(round));
  }
  background.Stop();
  CHECK(torn == 0);
  CHECK(follower.follower->stats().history_resets == 0);
}

}  // namespace slipstream::testing
