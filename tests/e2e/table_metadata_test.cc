// Index and filter blocks through the generations of a follower.
#include <memory>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/cache.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/statistics.h"
#include "rocksdb/table.h"
#include "tests/e2e/replicas.h"

namespace slipstream::testing {
namespace {

using rocksdb::ReadOptions;
using rocksdb::WriteOptions;

// RocksDB opens 16 by itself, while the generation before is still open.
constexpr uint64_t kTables = 40;
constexpr uint64_t kKeys = 100;

std::string KeyOf(uint64_t table, uint64_t i) { return NumberedKey(table) + NumberedKey(i); }

void WriteTableOf(const LocalLeader& leader, uint64_t table) {
  for (uint64_t i = 0; i < kKeys; ++i) {
    RequireOk(leader.db()->Put(WriteOptions(), KeyOf(table, i), std::to_string(table)));
  }
  leader.Flush();
}

}  // namespace

TEST_CASE("files: a new generation loads no index or filter that an older one had", "[e2e]") {
  LocalCluster cluster(TemporaryDirectory::Place::kMemory);
  const auto cache = rocksdb::NewLRUCache(0);
  rocksdb::BlockBasedTableOptions table_options;
  table_options.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table_options.block_cache = cache;
  rocksdb::ColumnFamilyOptions family;
  family.disable_auto_compactions = true;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table_options));
  const std::vector<rocksdb::ColumnFamilyDescriptor> families = {{"default", family}};
  LocalLeader leader =
      cluster.StartLeader(cluster.leader_options(), LocalCluster::db_options(), families);
  for (uint64_t table = 0; table < kTables; ++table) WriteTableOf(leader, table);
  rocksdb::DBOptions db_options;
  db_options.statistics = rocksdb::CreateDBStatistics();
  LocalFollower follower =
      cluster.StartFollower(cluster.follower_options(leader.leader->port()), db_options, families);
  const auto read = [&](uint64_t tables) {
    for (uint64_t table = 0; table < tables; ++table) {
      CHECK(follower.Get(0, KeyOf(table, table), nullptr) == std::to_string(table));
    }
  };
  const auto loaded = [&] {
    return db_options.statistics->getTickerCount(rocksdb::BLOCK_CACHE_INDEX_ADD) +
           db_options.statistics->getTickerCount(rocksdb::BLOCK_CACHE_FILTER_ADD);
  };
  CatchUp(leader, follower);
  read(kTables);
  CHECK(loaded() == 2 * kTables);
  const uint64_t bytes = follower.follower->stats().table_metadata_bytes;
  CHECK(bytes > 0);
  CHECK(cache->GetUsage() < bytes);

  for (uint64_t round = 0; round < 3; ++round) {
    const uint64_t rebuilds = follower.follower->stats().rebuilds;
    const uint64_t before = loaded();
    WriteTableOf(leader, kTables + round);
    REQUIRE(Eventually([&] { return follower.follower->stats().rebuilds > rebuilds; }));
    CatchUp(leader, follower);
    // Until the one before is closed: nothing is left of what it alone had.
    REQUIRE(Eventually([&] { return follower.follower->stats().live_generations == 1; }));
    read(kTables + round + 1);
    CHECK(loaded() == before + 2);
  }
}

}  // namespace slipstream::testing
