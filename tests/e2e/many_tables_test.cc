// Thousands of SST files: what they cost to a process that may open a few hundred files.
#include <sys/resource.h>

#include <memory>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/gated_storage.h"
#include "tests/e2e/replicas.h"

namespace slipstream::testing {
namespace {

using rocksdb::ReadOptions;
using rocksdb::WriteOptions;

constexpr uint64_t kTables = 2000;
// Of the whole process, where the leader and all followers live.
constexpr rlim_t kDescriptors = 500;
constexpr int kOpenTables = 30;
// Of objects, for each opening of the database: RocksDB looks into 16 tables at most.
constexpr uint64_t kOpenings = 32;

class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t soft) {
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before_) == 0);
    rlimit limit = before_;
    limit.rlim_cur = soft;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  }
  ~DescriptorLimit() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_;
};

void IngestTables(const LocalCluster& cluster, const LocalLeader& leader,
                  const rocksdb::ColumnFamilyOptions& family) {
  std::vector<std::string> paths;
  for (uint64_t i = 0; i < kTables; ++i) {
    paths.push_back(WriteTable(cluster.directory().path(NumberedKey(i) + ".sst"), family,
                               {{NumberedKey(i), "1"}}));
  }
  rocksdb::IngestExternalFileOptions ingest;
  ingest.move_files = true;
  RequireOk(leader.db()->IngestExternalFile(leader.families[0], paths, ingest));
  std::string tables;
  leader.db()->GetProperty("rocksdb.num-files-at-level6", &tables);
  REQUIRE(tables == std::to_string(kTables));
}

}  // namespace

TEST_CASE("files: thousands of SSTs, many more than may be open", "[e2e]") {
  const DescriptorLimit limit(kDescriptors);
  LocalCluster cluster(TemporaryDirectory::Place::kMemory);
  rocksdb::ColumnFamilyOptions family;
  family.disable_auto_compactions = true;
  const std::vector<rocksdb::ColumnFamilyDescriptor> families = {{"default", family}};
  rocksdb::DBOptions db_options = LocalCluster::db_options();
  db_options.max_open_files = kOpenTables;
  const auto leader_storage = std::make_shared<GatedStorage>(cluster.storage());
  LeaderOptions leader_options = cluster.leader_options();
  leader_options.storage = leader_storage;
  auto leader =
      std::make_unique<LocalLeader>(cluster.StartLeader(leader_options, db_options, families));
  const int port = leader->leader->port();
  leader_options.server_options.listen_address = "127.0.0.1:" + std::to_string(port);

  const auto storage = std::make_shared<GatedStorage>(cluster.storage());
  FollowerOptions options = cluster.follower_options(port);
  options.storage = storage;
  LocalFollower early = cluster.StartFollower(options, db_options, families);
  const auto compare = [&](const LocalFollower& follower) {
    CatchUp(*leader, follower);
    REQUIRE(Difference(leader->db(), leader->families, follower.db(), follower.families) == "");
    RequireOk(follower.follower->stats().status);
  };

  // It sees them come, at the price of one generation; it holds what it shows.
  IngestTables(cluster, *leader, family);
  CatchUp(*leader, early);
  CHECK(storage->opened() <= kOpenings);
  const std::unique_ptr<rocksdb::Iterator> held(early.db()->NewIterator(ReadOptions()));
  compare(early);

  // One that comes late, and generations that follow.
  uint64_t opened = storage->opened();
  LocalFollower late = cluster.StartFollower(options, db_options, families);
  CatchUp(*leader, late);
  CHECK(storage->opened() <= opened + kOpenings);
  opened = storage->opened();
  for (uint64_t round = 0; round < 3; ++round) {
    const uint64_t rebuilds = early.follower->stats().rebuilds;
    RequireOk(leader->db()->Put(WriteOptions(), NumberedKey(round), "2"));
    leader->Flush();
    REQUIRE(Eventually([&] { return early.follower->stats().rebuilds > rebuilds; }));
  }
  CatchUp(*leader, late);
  const uint64_t rebuilds = early.follower->stats().rebuilds + late.follower->stats().rebuilds;
  CHECK(storage->opened() <= opened + rebuilds * kOpenings);
  compare(late);
  compare(early);

  // The leader opens again; nobody looks at all objects.
  opened = leader_storage->opened();
  const uint64_t listed = leader_storage->listed();
  leader.reset();
  leader = std::make_unique<LocalLeader>(cluster.StartLeader(leader_options, db_options, families));
  CHECK(leader_storage->opened() <= opened + 2 * kOpenings);
  CHECK(leader_storage->listed() <= listed + 4);
  opened = storage->opened();
  compare(early);
  compare(late);
  uint64_t keys = 0;
  for (held->SeekToFirst(); held->Valid(); held->Next()) ++keys;
  RequireOk(held->status());
  CHECK(keys == kTables);
}

}  // namespace slipstream::testing
