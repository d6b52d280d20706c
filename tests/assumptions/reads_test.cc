// What lets a read hold its generation, and generations share a block cache.

#include <memory>
#include <string>

#include "catch2/catch.hpp"
#include "rocksdb/cache.h"
#include "rocksdb/db.h"
#include "rocksdb/iterator.h"
#include "rocksdb/statistics.h"
#include "rocksdb/table.h"
#include "tests/assumptions/open_database.h"
#include "tests/assumptions/recorded_options.h"
#include "tests/assumptions/scratch_dir.h"

namespace slipstream {
namespace {

using Kind = FileEvent::Kind;

void PutAndFlush(const OpenDatabase& db, const std::string& value) {
  REQUIRE(db->Put(rocksdb::WriteOptions(), "key", value).ToString() == "OK");
  REQUIRE(db->Flush(rocksdb::FlushOptions()).ToString() == "OK");
}

TEST_CASE("reads: an iterator's cleanup runs after the iterator has released its version",
          "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  OpenDatabase db(recorded.Leader(), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  PutAndFlush(db, "1");

  struct Seen {
    OpenDatabase* db;
    uint64_t live_versions = 0;
  };
  Seen seen{.db = &db};
  std::unique_ptr<rocksdb::Iterator> iterator(db->NewIterator(rocksdb::ReadOptions()));
  iterator->SeekToFirst();
  REQUIRE(iterator->Valid());
  iterator->RegisterCleanup(
      [](void* arg, void*) {
        auto* in_cleanup = static_cast<Seen*>(arg);
        (*in_cleanup->db)
            ->GetIntProperty(rocksdb::DB::Properties::kNumLiveVersions, &in_cleanup->live_versions);
      },
      &seen, nullptr);
  PutAndFlush(db, "2");
  uint64_t while_open = 0;
  REQUIRE(db->GetIntProperty(rocksdb::DB::Properties::kNumLiveVersions, &while_open));
  REQUIRE(while_open == 2);

  CHECK(seen.live_versions == 0);
  iterator.reset();
  CHECK(seen.live_versions == 1);
}

TEST_CASE("reads: an iterator's cleanup may close the database", "[assumptions]") {
  // RocksDB would abort here if the iterator still held a column family or a memtable.
  const RecordedOptions recorded;
  const ScratchDir directory;
  OpenDatabase db(recorded.Leader(), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  PutAndFlush(db, "1");
  REQUIRE(db->Put(rocksdb::WriteOptions(), "in the memtable", "value").ToString() == "OK");

  std::unique_ptr<rocksdb::Iterator> iterator(db->NewIterator(rocksdb::ReadOptions()));
  iterator->SeekToFirst();
  REQUIRE(iterator->Valid());
  iterator->RegisterCleanup([](void* arg, void*) { static_cast<OpenDatabase*>(arg)->Close(); }, &db,
                            nullptr);
  iterator.reset();
  CHECK(db.get() == nullptr);
}

TEST_CASE("reads: a pinned value runs the cleanups that were registered on it", "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  OpenDatabase db(recorded.Leader(), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  PutAndFlush(db, "value");
  {
    rocksdb::PinnableSlice value;
    REQUIRE(db->Get(rocksdb::ReadOptions(), db.family(0), "key", &value).ToString() == "OK");
    REQUIRE(value.IsPinned());
    value.RegisterCleanup([](void* arg, void*) { static_cast<OpenDatabase*>(arg)->Close(); }, &db,
                          nullptr);
    CHECK(db.get() != nullptr);
  }
  CHECK(db.get() == nullptr);
}

TEST_CASE("reads: two databases with the same SST bytes share their cached blocks",
          "[assumptions]") {
  const RecordedOptions leader_options;
  const ScratchDir directory;
  const ScratchDir first_image;
  const ScratchDir second_image;
  {
    OpenDatabase leader(leader_options.Leader(), directory.path());
    REQUIRE(leader.status().ToString() == "OK");
    PutAndFlush(leader, "value");
    first_image.CopyFilesOf(directory);
    second_image.CopyFilesOf(directory);
  }
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(1 << 20);
  const std::shared_ptr<rocksdb::TableFactory> table_factory(
      rocksdb::NewBlockBasedTableFactory(table));

  // Two file systems, as two generations have; nothing but the cache connects the databases.
  const RecordedOptions first_options;
  rocksdb::Options options = first_options.Generation();
  options.table_factory = table_factory;
  const OpenDatabase first(options, first_image.path());
  REQUIRE(first.status().ToString() == "OK");
  std::string value;
  REQUIRE(first->Get(rocksdb::ReadOptions(), "key", &value).ToString() == "OK");

  const RecordedOptions second_options;
  options = second_options.Generation();
  options.table_factory =
      std::shared_ptr<rocksdb::TableFactory>(rocksdb::NewBlockBasedTableFactory(table));
  options.statistics = rocksdb::CreateDBStatistics();
  const OpenDatabase second(options, second_image.path());
  REQUIRE(second.status().ToString() == "OK");
  second_options.files()->ForgetEvents();
  REQUIRE(second->Get(rocksdb::ReadOptions(), "key", &value).ToString() == "OK");
  CHECK(value == "value");
  CHECK(options.statistics->getTickerCount(rocksdb::BLOCK_CACHE_DATA_HIT) == 1);
  CHECK(options.statistics->getTickerCount(rocksdb::BLOCK_CACHE_DATA_MISS) == 0);
  CHECK(second_options.files()->Names(Kind::kRead, ".sst").empty());
}

TEST_CASE("reads: kPersistedTier does not see what was written without the WAL", "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  const OpenDatabase db(recorded.Leader(), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  rocksdb::WriteOptions unlogged;
  unlogged.disableWAL = true;
  REQUIRE(db->Put(unlogged, "key", "value").ToString() == "OK");
  rocksdb::ReadOptions persisted;
  persisted.read_tier = rocksdb::kPersistedTier;
  std::string value;
  CHECK(db->Get(persisted, "key", &value).IsNotFound());
  CHECK(db->Get(rocksdb::ReadOptions(), "key", &value).ToString() == "OK");
}

}  // namespace
}  // namespace slipstream
