#include "lib/leader/replicable_options.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "slipstream/replay_memtable.h"

namespace slipstream {
namespace {

using rocksdb::ColumnFamilyDescriptor;
using rocksdb::Status;

const std::vector<ColumnFamilyDescriptor> kFamilies = {{"default", rocksdb::ColumnFamilyOptions()},
                                                       {"other", rocksdb::ColumnFamilyOptions()}};

void RequireRefused(const Status& s, const std::string& option) {
  INFO(s.ToString());
  REQUIRE(s.IsInvalidArgument());
  REQUIRE(s.ToString().find(option) != std::string::npos);
}

TEST_CASE("replicable_options: RocksDB's defaults are allowed", "[unit]") {
  REQUIRE(CheckReplicable(rocksdb::DBOptions(), "/db", kFamilies).ok());
  REQUIRE(CheckReplicable(rocksdb::DBOptions(), "/db", {}).ok());
}

TEST_CASE("replicable_options: recycled log files are refused", "[unit]") {
  rocksdb::DBOptions options;
  options.recycle_log_file_num = 1;
  RequireRefused(CheckReplicable(options, "/db", kFamilies), "recycle_log_file_num = 1");
}

TEST_CASE("replicable_options: a compressed WAL is refused", "[unit]") {
  rocksdb::DBOptions options;
  options.wal_compression = rocksdb::kZSTD;
  RequireRefused(CheckReplicable(options, "/db", kFamilies), "wal_compression");
}

TEST_CASE("replicable_options: writes through mapped memory are refused", "[unit]") {
  rocksdb::DBOptions options;
  options.allow_mmap_writes = true;
  RequireRefused(CheckReplicable(options, "/db", kFamilies), "allow_mmap_writes");
}

TEST_CASE("replicable_options: two write queues are refused", "[unit]") {
  rocksdb::DBOptions options;
  options.two_write_queues = true;
  RequireRefused(CheckReplicable(options, "/db", kFamilies), "two_write_queues");
}

TEST_CASE("replicable_options: other directories for tables are refused", "[unit]") {
  rocksdb::DBOptions options;
  options.db_paths.emplace_back("/db", 1000);
  REQUIRE(CheckReplicable(options, "/db", kFamilies).ok());
  options.db_paths.emplace_back("/slow", 1000);
  RequireRefused(CheckReplicable(options, "/db", kFamilies), "db_paths = /slow");
}

TEST_CASE("replicable_options: other directories for a column family are refused", "[unit]") {
  std::vector<ColumnFamilyDescriptor> families = kFamilies;
  families[1].options.cf_paths.emplace_back("/db", 1000);
  REQUIRE(CheckReplicable(rocksdb::DBOptions(), "/db", families).ok());
  families[1].options.cf_paths[0].path = "/elsewhere";
  RequireRefused(CheckReplicable(rocksdb::DBOptions(), "/db", families),
                 "cf_paths of \"other\" = /elsewhere");
}

TEST_CASE("replicable_options: the replay memtable refuses what contradicts it", "[unit]") {
  std::vector<ColumnFamilyDescriptor> families = kFamilies;
  families[1].options.comparator = rocksdb::ReverseBytewiseComparator();
  RequireRefused(CheckReplayMemTable({}, families), "\"default\" = SkipListFactory");
  REQUIRE(SetReplayMemTable(&families).ok());
  REQUIRE(CheckReplayMemTable({}, families).ok());

  rocksdb::DBOptions options;
  options.unordered_write = true;
  RequireRefused(CheckReplayMemTable(options, families), "unordered_write = true");

  // Bytes are not what this column family is ordered by.
  families[1].options.memtable_factory = families[0].options.memtable_factory;
  RequireRefused(CheckReplayMemTable({}, families), "\"other\" = ReplayMemTableFactory:bytewise");
  // One for any comparator fits every column family.
  for (auto& cf : families) cf.options.memtable_factory = NewReplayMemTableFactory();
  REQUIRE(CheckReplayMemTable({}, families).ok());

  families[1].options.memtable_factory = std::make_shared<rocksdb::VectorRepFactory>();
  RequireRefused(SetReplayMemTable(&families), "\"other\": memtable_factory = VectorRepFactory");
}

}  // namespace
}  // namespace slipstream
