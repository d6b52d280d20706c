#include "lib/follower/table_metadata.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <memory>
#include <string>

#include "rocksdb/cache.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/memory_allocator.h"
#include "rocksdb/statistics.h"
#include "tests/unit/scratch_database.h"

namespace slipstream {
namespace {

using rocksdb::BlockBasedTableOptions;
using rocksdb::NewBlockBasedTableFactory;
using rocksdb::TableFactory;
using testing::RequireOk;
using testing::ScratchDirectory;
using testing::ScratchOptions;

// RocksDB opens 16 by itself.
constexpr int kTables = 60;
constexpr int kKeys = 100;

// Counts what it has given and not got back.
class CountingAllocator : public rocksdb::MemoryAllocator {
 public:
  explicit CountingAllocator(std::atomic<int64_t>* blocks) : blocks_(blocks) {}
  const char* Name() const override { return "CountingAllocator"; }
  void* Allocate(size_t size) override {
    ++*blocks_;
    return malloc(size);
  }
  void Deallocate(void* block) override {
    --*blocks_;
    free(block);
  }

 private:
  std::atomic<int64_t>* const blocks_;
};

std::string KeyOf(int table, int i) {
  char key[32];
  snprintf(key, sizeof(key), "%03d-%06d", table, i);
  return key;
}

BlockBasedTableOptions TableOptions(size_t cache_bytes = 1 << 20) {
  BlockBasedTableOptions options;
  options.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  options.block_cache = rocksdb::NewLRUCache(cache_bytes);
  return options;
}

// A database of kTables tables, each of which is opened when it is read.
struct Tables {
  Tables() {
    options.statistics = rocksdb::CreateDBStatistics();
    options.max_open_files = 1000;
    options.skip_stats_update_on_db_open = true;
    options.table_factory.reset(NewBlockBasedTableFactory(TableOptions()));
    const auto db = testing::OpenDatabase(options, directory.path());
    for (int table = 0; table < kTables; ++table) Write(db.get(), table);
  }

  static void Write(rocksdb::DB* db, int table) {
    for (int i = 0; i < kKeys; ++i) {
      RequireOk(db->Put(rocksdb::WriteOptions(), KeyOf(table, i), std::string(100, 'v')));
    }
    RequireOk(db->Flush(rocksdb::FlushOptions()));
  }

  std::unique_ptr<rocksdb::DB> Open(const std::shared_ptr<TableFactory>& factory) {
    rocksdb::Options generation = options;
    generation.table_factory = factory;
    rocksdb::DB* db = nullptr;
    RequireOk(rocksdb::DB::OpenForReadOnly(generation, directory.path(), &db));
    return std::unique_ptr<rocksdb::DB>(db);
  }

  static void Read(rocksdb::DB* db, int tables = kTables) {
    std::string value;
    for (int table = 0; table < tables; ++table) {
      RequireOk(db->Get(rocksdb::ReadOptions(), KeyOf(table, 7), &value));
    }
  }

  uint64_t Ticker(rocksdb::Tickers ticker) const {
    return options.statistics->getTickerCount(ticker);
  }
  uint64_t loaded() const {
    return Ticker(rocksdb::BLOCK_CACHE_INDEX_ADD) + Ticker(rocksdb::BLOCK_CACHE_FILTER_ADD);
  }

  ScratchDirectory directory;
  rocksdb::Options options = ScratchOptions();
};

}  // namespace

TEST_CASE("table metadata: which factories share, and which are the host's own", "[unit]") {
  TableMetadata metadata;
  const auto shared = [&metadata](const BlockBasedTableOptions& options) {
    const std::shared_ptr<TableFactory> host(NewBlockBasedTableFactory(options));
    const auto factory = metadata.Sharing(host);
    CHECK(metadata.Sharing(host) == factory);
    return factory != host;
  };
  CHECK(shared(TableOptions()));
  CHECK(shared(BlockBasedTableOptions()));
  BlockBasedTableOptions options = TableOptions();
  options.cache_index_and_filter_blocks = true;
  CHECK_FALSE(shared(options));
  options = TableOptions();
  options.no_block_cache = true;
  options.block_cache = nullptr;
  CHECK_FALSE(shared(options));
  options = TableOptions();
  options.index_type = BlockBasedTableOptions::kTwoLevelIndexSearch;
  CHECK_FALSE(shared(options));
  options.partition_filters = true;
  CHECK_FALSE(shared(options));
  const std::shared_ptr<TableFactory> plain(rocksdb::NewPlainTableFactory());
  CHECK(metadata.Sharing(plain) == plain);
  CHECK(metadata.Sharing(nullptr) == nullptr);

  // What the host chose stays.
  options = TableOptions();
  options.block_size = 12345;
  const std::shared_ptr<TableFactory> host(NewBlockBasedTableFactory(options));
  const auto* chosen = metadata.Sharing(host)->GetOptions<BlockBasedTableOptions>();
  REQUIRE(chosen != nullptr);
  CHECK(chosen->block_size == 12345);
  CHECK(chosen->filter_policy == options.filter_policy);
  CHECK(chosen->block_cache->GetCapacity() == options.block_cache->GetCapacity());
}

TEST_CASE("table metadata: a table that is opened again is not loaded again", "[unit]") {
  Tables tables;
  TableMetadata metadata;
  const auto cache = rocksdb::NewLRUCache(0);  // keeps nothing that is not in use
  BlockBasedTableOptions options = TableOptions();
  options.block_cache = cache;
  if (GENERATE(false, true)) {
    tables.options.lowest_used_cache_tier = rocksdb::CacheTier::kVolatileTier;
  }
  const std::shared_ptr<TableFactory> host(NewBlockBasedTableFactory(options));
  const auto factory = metadata.Sharing(host);

  auto first = tables.Open(factory);
  Tables::Read(first.get());
  const uint64_t loaded = tables.loaded();
  CHECK(loaded == 2 * kTables);  // an index and a filter each
  const size_t used = metadata.bytes();
  CHECK(used > 0);
  CHECK(cache->GetPinnedUsage() < used);

  // At the same time, and one after the other.
  auto second = tables.Open(factory);
  Tables::Read(second.get());
  CHECK(tables.loaded() == loaded);
  metadata.OnNewGeneration();
  first.reset();
  second.reset();
  CHECK(metadata.bytes() >= used * 9 / 10);
  auto third = tables.Open(factory);
  Tables::Read(third.get());
  CHECK(tables.loaded() == loaded);

  // A new table is loaded, once.
  third.reset();
  Tables::Write(testing::OpenDatabase(tables.options, tables.directory.path()).get(), kTables);
  const uint64_t before = tables.loaded();
  for (int i = 0; i < 2; ++i) {
    auto next = tables.Open(factory);
    Tables::Read(next.get(), kTables + 1);
    metadata.OnNewGeneration();
  }
  CHECK(tables.loaded() == before + 2);
}

TEST_CASE("table metadata: no more is kept than was in use, and that not for ever", "[unit]") {
  Tables tables;
  TableMetadata metadata;
  const auto factory = metadata.Sharing(tables.options.table_factory);
  auto db = tables.Open(factory);
  Tables::Read(db.get());
  const size_t used = metadata.bytes();
  SECTION("nobody said that there is a successor") {
    db.reset();
    CHECK(metadata.bytes() < used / 10);
  }
  SECTION("successors use less") {
    metadata.OnNewGeneration();
    db = tables.Open(factory);
    Tables::Read(db.get(), 1);
    for (int i = 0; i < 100; ++i) metadata.OnNewGeneration();
    CHECK(metadata.bytes() < used / 2);
    CHECK(metadata.bytes() > used / 10);
    Tables::Read(db.get());
    CHECK(metadata.bytes() >= used * 9 / 10);
  }
}

TEST_CASE("table metadata: blocks go back to the host's allocator", "[unit]") {
  std::atomic<int64_t> blocks{0};
  {
    Tables tables;
    TableMetadata metadata;
    std::shared_ptr<TableFactory> factory;
    {
      BlockBasedTableOptions options = TableOptions();
      rocksdb::LRUCacheOptions cache;
      cache.capacity = 1 << 20;
      cache.memory_allocator = std::make_shared<CountingAllocator>(&blocks);
      options.block_cache = rocksdb::NewLRUCache(cache);
      factory = metadata.Sharing(std::shared_ptr<TableFactory>(NewBlockBasedTableFactory(options)));
    }
    auto db = tables.Open(factory);
    factory.reset();
    Tables::Read(db.get());
    CHECK(blocks > 0);
    metadata.OnNewGeneration();
  }
  CHECK(blocks == 0);
}

}  // namespace slipstream
