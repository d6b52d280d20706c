// What the memtable options of a generation have to mind.

#include <memory>
#include <string>

#include "catch2/catch.hpp"
#include "rocksdb/db.h"
#include "rocksdb/memtablerep.h"
#include "tests/assumptions/open_database.h"
#include "tests/assumptions/recorded_options.h"
#include "tests/assumptions/scratch_dir.h"

namespace slipstream {
namespace {

uint64_t MemtableBytes(const OpenDatabase& db) {
  // The property is brought up to date by a write.
  REQUIRE(db->Put(rocksdb::WriteOptions(), "key", "value").ToString() == "OK");
  uint64_t bytes = 0;
  REQUIRE(db->GetIntProperty(rocksdb::DB::Properties::kCurSizeActiveMemTable, &bytes));
  return bytes;
}

TEST_CASE("memtable: its bloom filter takes a share of write_buffer_size at once",
          "[assumptions]") {
  const RecordedOptions recorded;
  rocksdb::Options options = recorded.Leader();
  options.memtable_prefix_bloom_size_ratio = 0.25;
  options.memtable_whole_key_filtering = true;
  for (const size_t mebibytes : {4, 16, 64}) {
    const ScratchDir directory;
    options.write_buffer_size = mebibytes << 20;
    const OpenDatabase db(options, directory.path());
    REQUIRE(db.status().ToString() == "OK");
    const uint64_t filter_bytes = options.write_buffer_size / 4;
    const uint64_t bytes = MemtableBytes(db);
    CHECK(bytes >= filter_bytes);
    CHECK(bytes < filter_bytes + (3 << 20));
  }
}

TEST_CASE("memtable: its arena block is an eighth of write_buffer_size, up to 1 MiB",
          "[assumptions]") {
  const RecordedOptions recorded;
  rocksdb::Options options = recorded.Leader();
  const struct {
    size_t write_buffer_size;
    size_t arena_block_size;
  } cases[] = {{1 << 20, 128 << 10}, {8 << 20, 1 << 20}, {size_t{32} << 30, 1 << 20}};
  for (const auto& expected : cases) {
    const ScratchDir directory;
    options.write_buffer_size = expected.write_buffer_size;
    const OpenDatabase db(options, directory.path());
    REQUIRE(db.status().ToString() == "OK");
    CHECK(db->GetOptions().arena_block_size == expected.arena_block_size);
  }
}

TEST_CASE("memtable: a given arena block size is not scaled", "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  rocksdb::Options options = recorded.Leader();
  options.write_buffer_size = size_t{32} << 30;
  options.arena_block_size = 64 << 10;
  const OpenDatabase db(options, directory.path());
  REQUIRE(db.status().ToString() == "OK");
  CHECK(db->GetOptions().arena_block_size == 64 << 10);
}

TEST_CASE("memtable: one without concurrent inserts is refused, unless they are switched off",
          "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  rocksdb::Options options = recorded.Leader();
  options.memtable_factory = std::make_shared<rocksdb::VectorRepFactory>();
  REQUIRE_FALSE(options.memtable_factory->IsInsertConcurrentlySupported());
  {
    options.allow_concurrent_memtable_write = true;
    const OpenDatabase db(options, directory.path());
    CHECK(db.status().IsInvalidArgument());
  }
  options.allow_concurrent_memtable_write = false;
  const OpenDatabase db(options, directory.path());
  CHECK(db.status().ToString() == "OK");
}

}  // namespace
}  // namespace slipstream
