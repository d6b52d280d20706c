// Options that shape what is stored: comparators, timestamps, prefixes, table formats, caches.
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "lib/core/rocksdb_release.h"
#include "rocksdb/cache.h"
#include "rocksdb/convenience.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/memtablerep.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/table.h"
#include "rocksdb/utilities/db_ttl.h"
#include "tests/e2e/replicas.h"
#if SLIPSTREAM_ROCKSDB_9
#include "rocksdb/advanced_cache.h"
#endif

namespace slipstream::testing {
namespace {

using rocksdb::ColumnFamilyOptions;
using rocksdb::ReadOptions;
using rocksdb::Slice;
using rocksdb::WriteOptions;

ReplicasOptions WithOptions(const ColumnFamilyOptions& family) {
  ReplicasOptions options;
  options.families = {{rocksdb::kDefaultColumnFamilyName, family}};
  return options;
}

// Orders keys of exactly 8 bytes as numbers, and takes no others: a key that the host never wrote
// ends the process.
class NumberComparator : public rocksdb::Comparator {
 public:
  const char* Name() const override { return "slipstream.testing.Number"; }
  int Compare(const Slice& a, const Slice& b) const override {
    const uint64_t x = Number(a), y = Number(b);
    return x < y ? -1 : x > y ? 1 : 0;
  }
  void FindShortestSeparator(std::string*, const Slice&) const override {}
  void FindShortSuccessor(std::string*) const override {}

  static std::string Key(uint64_t n) {
    return std::string(reinterpret_cast<const char*>(&n), sizeof(n));
  }

 private:
  static uint64_t Number(const Slice& key) {
    if (key.size() != sizeof(uint64_t)) abort();
    uint64_t n;
    memcpy(&n, key.data(), sizeof(n));
    return n;
  }
};

std::string Timestamp(uint64_t n) { return NumberComparator::Key(n); }

const rocksdb::Comparator* ComparatorWithTimestamps() {
  const rocksdb::Comparator* comparator = nullptr;
  RequireOk(rocksdb::Comparator::CreateFromString(rocksdb::ConfigOptions(),
                                                  "leveldb.BytewiseComparator.u64ts", &comparator));
  REQUIRE(comparator->timestamp_size() == 8);
  return comparator;
}

}  // namespace

TEST_CASE("options: a comparator that takes only its own keys meets no others", "[e2e]") {
  static const NumberComparator comparator;
  ColumnFamilyOptions family;
  family.comparator = &comparator;
  ReplicasOptions options = WithOptions(family);
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  rocksdb::DB* db = replicas.db();
  rocksdb::ColumnFamilyHandle* cf = replicas.family(0);
  for (uint64_t i = 0; i < 300; ++i) {
    RequireOk(db->Put(WriteOptions(), NumberComparator::Key(i * 7919 % 300), std::to_string(i)));
  }
  RequireOk(
      db->DeleteRange(WriteOptions(), cf, NumberComparator::Key(5), NumberComparator::Key(9)));
  // Recovered, it stands lower than the leader: numbers have to be filled in.
  RequireOk(
      db->DeleteRange(WriteOptions(), cf, NumberComparator::Key(5), NumberComparator::Key(5)));
  replicas.RequireSame();
  RequireOk(db->Put(WriteOptions(), NumberComparator::Key(300), "last"));
  replicas.RequireSameThroughout();
}

TEST_CASE("options: user timestamps: writes, reads at a timestamp, and what was cut off", "[e2e]") {
  ColumnFamilyOptions family;
  family.comparator = ComparatorWithTimestamps();
  ReplicasOptions options;
  const bool in_default = GENERATE(false, true);
  options.families = {
      {rocksdb::kDefaultColumnFamilyName, in_default ? family : ColumnFamilyOptions()},
      {"timed", family}};
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  rocksdb::DB* db = replicas.db();
  rocksdb::ColumnFamilyHandle* timed = replicas.family(1);
  const auto require_same_at = [&](uint64_t t) {
    const std::string timestamp = Timestamp(t);
    const Slice slice(timestamp);
    ReadOptions read;
    read.timestamp = &slice;
    replicas.RequireSame(read);
  };
  for (uint64_t t = 1; t <= 30; ++t) {
    for (uint64_t i = 0; i < 20; ++i) {
      RequireOk(db->Put(WriteOptions(), timed, NumberedKey(i), Timestamp(t), std::to_string(t)));
    }
    RequireOk(db->Delete(WriteOptions(), timed, NumberedKey(t % 20), Timestamp(t)));
    if (in_default) {
      RequireOk(db->Put(WriteOptions(), replicas.family(0), "n", Timestamp(t), std::to_string(t)));
    }
    if (t % 9 == 0) replicas.leader.Flush();
  }
  for (const uint64_t t : {0, 1, 15, 30, 31}) require_same_at(t);

  // All versions of each key.
  const std::string newest = Timestamp(40), oldest = Timestamp(2);
  const Slice newest_slice(newest), oldest_slice(oldest);
  ReadOptions versions;
  versions.timestamp = &newest_slice;
  versions.iter_start_ts = &oldest_slice;
  const auto all_versions = [&](rocksdb::DB* of, rocksdb::ColumnFamilyHandle* cf) {
    const std::unique_ptr<rocksdb::Iterator> it(of->NewIterator(versions, cf));
    std::string all;
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      all += it->key().ToString(true) + "@" + it->timestamp().ToString(true) + "=" +
             it->value().ToString() + "\n";
    }
    RequireOk(it->status());
    return all;
  };
  const std::string all = all_versions(db, timed);
  REQUIRE(all.size() > 1000);
  CHECK((all_versions(replicas.early.db(), replicas.early.families[1]) == all));

  // The timestamp of what was found.
  std::string value, timestamp;
  ReadOptions at_newest;
  at_newest.timestamp = &newest_slice;
  RequireOk(replicas.early.db()->Get(at_newest, replicas.early.families[1], NumberedKey(1), &value,
                                     &timestamp));
  CHECK(value == "30");
  CHECK((timestamp == Timestamp(30)));
  const rocksdb::Status without =
      replicas.early.db()->Get(ReadOptions(), replicas.early.families[1], NumberedKey(1), &value);
  CHECK(without.IsInvalidArgument());

  if (in_default) {
    RequireOk(db->DeleteRange(WriteOptions(), replicas.family(0), "a", "a", Timestamp(31)));
    require_same_at(31);
    RequireOk(db->Put(WriteOptions(), replicas.family(0), "n", Timestamp(31), "31"));
  }
  RequireOk(db->IncreaseFullHistoryTsLow(timed, Timestamp(20)));
  CatchUp(replicas.leader, replicas.early);
  std::string low;
  RequireOk(replicas.early.db()->GetFullHistoryTsLow(replicas.early.families[1], &low));
  CHECK((low == Timestamp(20)));
  require_same_at(31);
  replicas.leader.Flush();
  rocksdb::CompactRangeOptions compact;
  const std::string cut_string = Timestamp(25);
  const Slice cut(cut_string);
  compact.full_history_ts_low = &cut;
  RequireOk(db->CompactRange(compact, timed, nullptr, nullptr));
  ReadOptions settled;
  settled.timestamp = &newest_slice;
  replicas.RequireSettled(settled);
  RequireOk(replicas.early.db()->GetFullHistoryTsLow(replicas.early.families[1], &low));
  CHECK((low == cut_string));
  std::string leaders, followers;
  REQUIRE(Eventually([&] {
    leaders = all_versions(db, timed);
    followers = all_versions(replicas.early.db(), replicas.early.families[1]);
    return leaders == followers;
  }));
  require_same_at(31);
}

#if SLIPSTREAM_ROCKSDB_9
TEST_CASE("options: user timestamps that a flush takes away", "[e2e]") {
  ColumnFamilyOptions family;
  family.comparator = ComparatorWithTimestamps();
  family.persist_user_defined_timestamps = false;
  ReplicasOptions options;
  options.families = {{rocksdb::kDefaultColumnFamilyName, ColumnFamilyOptions()},
                      {"timed", family}};
  options.leader_db.allow_concurrent_memtable_write = false;  // RocksDB wants it
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  rocksdb::DB* db = replicas.db();
  rocksdb::ColumnFamilyHandle* timed = replicas.family(1);
  const std::string newest = Timestamp(100);
  const Slice newest_slice(newest);
  ReadOptions at_newest;
  at_newest.timestamp = &newest_slice;
  for (uint64_t t = 1; t <= 30; ++t) {
    for (uint64_t i = 0; i < 20; ++i) {
      RequireOk(db->Put(WriteOptions(), timed, NumberedKey(i), Timestamp(t), std::to_string(t)));
    }
    RequireOk(db->Delete(WriteOptions(), timed, NumberedKey(t % 20), Timestamp(t)));
    if (t % 9 != 0) continue;
    replicas.RequireSame(at_newest);
    replicas.leader.Flush();
    replicas.RequireSettled(at_newest);
    // From here on nobody can say what there was up to here.
    std::string leaders, followers;
    RequireOk(db->GetFullHistoryTsLow(timed, &leaders));
    RequireOk(replicas.early.db()->GetFullHistoryTsLow(replicas.early.families[1], &followers));
    CHECK((leaders == Timestamp(t + 1)));
    CHECK((followers == leaders));
  }
  replicas.leader.Flush();
  RequireOk(db->CompactRange(rocksdb::CompactRangeOptions(), timed, nullptr, nullptr));
  replicas.RequireSettled(at_newest);
}

TEST_CASE("options: a follower that would keep timestamps which the leader drops is refused",
          "[e2e]") {
  ColumnFamilyOptions timed;
  timed.comparator = ComparatorWithTimestamps();
  timed.persist_user_defined_timestamps = false;
  LocalCluster cluster;
  rocksdb::DBOptions leader_db = LocalCluster::db_options();
  leader_db.allow_concurrent_memtable_write = false;
  LocalLeader leader =
      cluster.StartLeader(cluster.leader_options(), leader_db,
                          {{rocksdb::kDefaultColumnFamilyName, {}}, {"timed", timed}});
  timed.persist_user_defined_timestamps = true;
  LocalFollower refused;
  const rocksdb::Status s =
      Follower::Open(cluster.follower_options(leader.leader->port()), rocksdb::DBOptions(),
                     {{rocksdb::kDefaultColumnFamilyName, {}}, {"timed", timed}}, &refused.families,
                     &refused.follower);
  INFO(s.ToString());
  CHECK(s.IsInvalidArgument());
  CHECK(s.ToString().find("persist_user_defined_timestamps") != std::string::npos);
}
#endif

TEST_CASE("options: another size of timestamps under the same name is refused", "[e2e]") {
  class Sized : public rocksdb::Comparator {
   public:
    explicit Sized(size_t timestamp_size) : Comparator(timestamp_size) {}
    const char* Name() const override { return "slipstream.testing.Sized"; }
    int Compare(const Slice& a, const Slice& b) const override { return a.compare(b); }
    void FindShortestSeparator(std::string*, const Slice&) const override {}
    void FindShortSuccessor(std::string*) const override {}
  };
  static const Sized without(0), with(16);
  const bool leader_has = GENERATE(true, false);
  LocalCluster cluster;
  ColumnFamilyOptions sized;
  sized.comparator = leader_has ? &with : &without;
  LocalLeader leader =
      cluster.StartLeader(cluster.leader_options(), LocalCluster::db_options(),
                          {{rocksdb::kDefaultColumnFamilyName, {}}, {"sized", sized}});
  sized.comparator = leader_has ? &without : &with;
  LocalFollower refused;
  const rocksdb::Status s =
      Follower::Open(cluster.follower_options(leader.leader->port()), rocksdb::DBOptions(),
                     {{rocksdb::kDefaultColumnFamilyName, {}}, {"sized", sized}}, &refused.families,
                     &refused.follower);
  CHECK(s.IsInvalidArgument());
  for (const char* word : {"sized", "slipstream.testing.Sized", "16 bytes", "0 bytes"}) {
    CHECK(s.ToString().find(word) != std::string::npos);
  }
}

TEST_CASE("options: a follower of a database with TTL shows values with their times", "[e2e]") {
  LocalCluster cluster;
  std::unique_ptr<Leader> leader;
  RequireOk(Leader::Create(cluster.leader_options(), cluster.leader_path(), &leader));
  rocksdb::Options options(LocalCluster::db_options(), ColumnFamilyOptions());
  RequireOk(leader->Prepare(&options));
  rocksdb::DBWithTTL* opened = nullptr;
  RequireOk(rocksdb::DBWithTTL::Open(options, cluster.leader_path(), &opened, 1000000));
  std::unique_ptr<rocksdb::DBWithTTL> db(opened);
  RequireOk(leader->Serve(db.get()));
  LocalFollower follower =
      cluster.StartFollower(cluster.follower_options(leader->port()), rocksdb::DBOptions(),
                            {{rocksdb::kDefaultColumnFamilyName, ColumnFamilyOptions()}});
  for (int round = 0; round < 2; ++round) {
    RequireOk(db->Put(WriteOptions(), "a", "value"));
    RequireOk(follower.follower->WaitFor(leader->position(), kPatienceUs));
    const std::string raw = follower.Get(0, "a");
    CHECK(raw.size() == std::string("value").size() + 4);
    CHECK(raw.starts_with("value"));
    CHECK(Difference(db->GetBaseDB(), {db->DefaultColumnFamily()}, follower.db(),
                     follower.families) == "");
    RequireOk(db->Flush(rocksdb::FlushOptions()));
  }
  follower.Close();
  RequireOk(leader->Close());
}

TEST_CASE("options: prefix bloom filters and hash indexes", "[e2e]") {
  rocksdb::BlockBasedTableOptions table;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.index_type = GENERATE(rocksdb::BlockBasedTableOptions::kHashSearch,
                              rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch,
                              rocksdb::BlockBasedTableOptions::kBinarySearchWithFirstKey);
  table.whole_key_filtering = GENERATE(false, true);
  table.partition_filters =
      table.index_type == rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  family.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(7));
  family.memtable_prefix_bloom_size_ratio = 0.1;
  family.memtable_whole_key_filtering = true;
  Replicas replicas(WithOptions(family));
  for (uint64_t i = 0; i < 2000; i += 3) {
    RequireOk(replicas.db()->Put(WriteOptions(), NumberedKey(i), std::to_string(i)));
  }
  const auto scan = [&](rocksdb::DB* db, uint64_t from) {
    ReadOptions read;
    read.prefix_same_as_start = true;
    const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(read));
    std::string all;
    for (it->Seek(NumberedKey(from)); it->Valid(); it->Next()) all += it->key().ToString() + " ";
    RequireOk(it->status());
    return all;
  };
  for (int round = 0; round < 3; ++round) {
    CatchUp(replicas.leader, replicas.early);
    for (uint64_t from = 0; from < 2100; from += 37) {
      CHECK(scan(replicas.db(), from) == scan(replicas.early.db(), from));
    }
    replicas.RequireSettled();
    round == 0 ? replicas.leader.Flush() : replicas.leader.Compact();
  }
}

TEST_CASE("options: another prefix extractor than the leader's does not lose keys", "[e2e]") {
  rocksdb::BlockBasedTableOptions table;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.index_type = GENERATE(rocksdb::BlockBasedTableOptions::kHashSearch,
                              rocksdb::BlockBasedTableOptions::kBinarySearch);
  table.whole_key_filtering = false;
  ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  family.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(7));
  ReplicasOptions options = WithOptions(family);
  // Scans of a prefix follow the extractor of whoever reads: only it knows what it asks for.
  family.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(4));
  options.follower_families = {{rocksdb::kDefaultColumnFamilyName, family}};
  Replicas replicas(options);
  for (uint64_t i = 0; i < 2000; i += 3) {
    RequireOk(replicas.db()->Put(WriteOptions(), NumberedKey(i), std::to_string(i)));
  }
  for (int round = 0; round < 2; ++round) {
    replicas.RequireSettled();
    for (const bool same_prefix : {false, true}) {
      ReadOptions read;
      read.prefix_same_as_start = same_prefix;
      const std::unique_ptr<rocksdb::Iterator> it(replicas.early.db()->NewIterator(read));
      uint64_t n = 0;
      for (it->Seek("key0"); it->Valid(); it->Next()) ++n;
      RequireOk(it->status());
      CHECK(n == 667);
    }
    replicas.leader.Flush();
  }
}

TEST_CASE("options: plain tables, with and without the leader's prefix extractor", "[e2e]") {
  ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewPlainTableFactory());
  family.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(7));
  family.compression = rocksdb::kNoCompression;
  Replicas replicas(WithOptions(family));
  for (uint64_t i = 0; i < 500; ++i) {
    RequireOk(replicas.db()->Put(WriteOptions(), NumberedKey(i), std::to_string(i)));
  }
  replicas.leader.Flush();
  CatchUp(replicas.leader, replicas.early);
  REQUIRE(Eventually([&] { return replicas.early.follower->stats().rebuilds > 0; }));
  for (uint64_t i = 0; i < 500; ++i) {
    CHECK(replicas.early.Get(0, NumberedKey(i)) == std::to_string(i));
  }
  const std::unique_ptr<rocksdb::Iterator> it(replicas.early.db()->NewIterator(ReadOptions()));
  std::string prefix;
  for (it->Seek(NumberedKey(120)); it->Valid() && it->key().starts_with("key0001"); it->Next()) {
    prefix += it->value().ToString() + " ";
  }
  RequireOk(it->status());
  CHECK(prefix.starts_with("120 121 "));
  CHECK(prefix.ends_with(" 199 "));
}

TEST_CASE("options: followers with memtables of other kinds", "[e2e]") {
  const int kind = GENERATE(0, 1, 2);
  ReplicasOptions options = WithOptions(ColumnFamilyOptions());
  ColumnFamilyOptions family;
  family.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(7));
  if (kind == 0) family.memtable_factory.reset(rocksdb::NewHashSkipListRepFactory(100));
  if (kind == 1) family.memtable_factory.reset(rocksdb::NewHashLinkListRepFactory(100));
  if (kind == 2) family.memtable_factory = std::make_shared<rocksdb::VectorRepFactory>();
  options.follower_families = {{rocksdb::kDefaultColumnFamilyName, family}};
  Replicas replicas(options);
  for (uint64_t i = 0; i < 300; ++i) {
    RequireOk(replicas.db()->Put(WriteOptions(), NumberedKey(i), std::to_string(i)));
    if (i % 5 == 0) RequireOk(replicas.db()->Delete(WriteOptions(), NumberedKey(i / 2)));
  }
  replicas.RequireSame();
  replicas.leader.Flush();
  replicas.RequireSettled();
}

TEST_CASE("options: caches of the host are shared by all generations", "[e2e]") {
  rocksdb::CompressedSecondaryCacheOptions second;
  second.capacity = 4 << 20;
  rocksdb::LRUCacheOptions first;
  first.capacity = 256 << 10;
  first.num_shard_bits = 0;
  first.secondary_cache = rocksdb::NewCompressedSecondaryCache(second);
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(first);
  table.cache_index_and_filter_blocks = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  ReplicasOptions options = WithOptions(ColumnFamilyOptions());
  ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.follower_families = {{rocksdb::kDefaultColumnFamilyName, family}};
  options.follower_db.row_cache = rocksdb::NewLRUCache(1 << 20);
  Replicas replicas(options);
  for (int round = 0; round < 4; ++round) {
    for (uint64_t i = 0; i < 1000; i += static_cast<uint64_t>(round) + 1) {
      RequireOk(replicas.db()->Put(WriteOptions(), NumberedKey(i),
                                   std::string(500, static_cast<char>('a' + round))));
    }
    replicas.leader.Flush();
    if (round == 2) replicas.leader.Compact();
    replicas.RequireSettled();
    replicas.RequireSame();
  }
  CHECK(table.block_cache->GetUsage() > 0);
  replicas.early.Close();
  // A generation that is closed leaves nothing pinned behind.
  CHECK(table.block_cache->GetPinnedUsage() == 0);
}

TEST_CASE("options: a write that went round the handle without a WAL is counted as a gap",
          "[e2e]") {
  Replicas replicas(WithOptions(ColumnFamilyOptions()));
  rocksdb::DB* root = replicas.db()->GetRootDB();
  rocksdb::WriteOptions without_wal;
  without_wal.disableWAL = true;
  RequireOk(replicas.db()->Put(WriteOptions(), "a", "1"));
  replicas.RequireSame();
  CHECK(replicas.early.follower->stats().sequence_gaps == 0);
  RequireOk(root->Put(without_wal, "unseen", "1"));
  RequireOk(replicas.db()->Put(WriteOptions(), "b", "1"));
  CatchUp(replicas.leader, replicas.early);
  CHECK(replicas.early.follower->stats().sequence_gaps == 1);
  CHECK(replicas.early.Get(0, "b") == "1");
  CHECK(replicas.early.Get(0, "unseen") == "(not found)");
  CHECK(replicas.early.db()->GetLatestSequenceNumber() == replicas.db()->GetLatestSequenceNumber());
  // Once it is in a file, it is there.
  replicas.leader.Flush();
  RequireOk(root->Put(without_wal, "unseen too", "1"));
  replicas.leader.Flush();
  replicas.RequireSettled();
  CHECK(replicas.early.Get(0, "unseen too") == "1");
  CHECK(replicas.early.follower->stats().sequence_gaps >= 2);
  RequireOk(replicas.db()->Put(WriteOptions(), "c", "1"));
  replicas.RequireSameThroughout();
}

}  // namespace slipstream::testing
