// Everything that a host may read on a follower, against the same call on the leader.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "catch2/catch.hpp"
#include "lib/core/rocksdb_release.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/snapshot.h"
#include "rocksdb/table.h"
#include "rocksdb/table_properties.h"
#include "rocksdb/utilities/backup_engine.h"
#include "rocksdb/utilities/checkpoint.h"
#include "rocksdb/utilities/write_batch_with_index.h"
#include "rocksdb/wide_columns.h"
#include "tests/e2e/mixed_load.h"
#include "tests/e2e/replicas.h"

namespace slipstream::testing {
namespace {

using rocksdb::ColumnFamilyHandle;
using rocksdb::DB;
using rocksdb::Iterator;
using rocksdb::PinnableSlice;
using rocksdb::ReadOptions;
using rocksdb::Slice;
using rocksdb::Status;
using rocksdb::WriteOptions;

// Half in files, half in memory, some keys deleted; a prefix extractor of 7 bytes.
struct ReadRig : Replicas {
  static ReplicasOptions Options() {
    rocksdb::ColumnFamilyOptions family;
    family.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(7));
    family.merge_operator = std::make_shared<AddingOperator>();
    rocksdb::BlockBasedTableOptions table;
    table.block_size = 512;
    table.use_delta_encoding = false;  // so that keys can be pinned
    family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    ReplicasOptions options;
    options.families = {{rocksdb::kDefaultColumnFamilyName, family}, {"other", family}};
    return options;
  }
  ReadRig() : Replicas(Options()) {
    for (uint64_t i = 0; i < 2000; i += 2) Put(i, "file " + std::to_string(i));
    Swap();
    for (uint64_t i = 0; i < 2000; i += 3) Put(i, "memory " + std::to_string(i));
    for (uint64_t i = 0; i < 2000; i += 10) {
      RequireOk(db()->Delete(WriteOptions(), NumberedKey(i)));
    }
    RequireOk(db()->DeleteRange(WriteOptions(), family(0), NumberedKey(500), NumberedKey(600)));
    CatchUp(leader, early);
  }
  void Put(uint64_t i, const std::string& value) {
    for (ColumnFamilyHandle* cf : leader.families) {
      RequireOk(db()->Put(WriteOptions(), cf, NumberedKey(i), value));
    }
  }
  // Swaps to a generation that has everything in files.
  void Swap() {
    leader.Flush();
    CatchUp(leader, early);
    REQUIRE(Eventually([&] {
      uint64_t entries = 1;
      return follower()->GetAggregatedIntProperty(DB::Properties::kNumEntriesActiveMemTable,
                                                  &entries) &&
             entries == 0;
    }));
  }
  DB* follower() const { return early.db(); }
};

// What an iterator shows from where it stands.
std::string Rest(Iterator* it, bool forward = true) {
  std::string rest;
  for (; it->Valid(); forward ? it->Next() : it->Prev()) {
    rest += it->key().ToString() + "=" + it->value().ToString() + "\n";
  }
  RequireOk(it->status());
  return rest;
}

std::string Scan(DB* db, const ReadOptions& read, const std::string& from, bool forward) {
  const std::unique_ptr<Iterator> it(db->NewIterator(read));
  forward ? it->Seek(from) : it->SeekForPrev(from);
  return Rest(it.get(), forward);
}

}  // namespace

TEST_CASE("reads: iterators of every kind show what the leader's do", "[e2e]") {
  ReadRig rig;
  const std::string low_string = NumberedKey(300), high_string = NumberedKey(1500);
  const Slice low(low_string), high(high_string);
  std::map<std::string, ReadOptions> kinds;
  kinds["plain"];
  kinds["total order"].total_order_seek = true;
  kinds["prefix"].prefix_same_as_start = true;
  kinds["auto prefix"].auto_prefix_mode = true;
  kinds["auto prefix"].iterate_upper_bound = &high;
  kinds["bounds"].iterate_lower_bound = &low;
  kinds["bounds"].iterate_upper_bound = &high;
  kinds["readahead"].readahead_size = 64 << 10;
  kinds["adaptive readahead"].adaptive_readahead = true;
  kinds["async"].async_io = true;
  kinds["async readahead"].async_io = true;
  kinds["async readahead"].readahead_size = 4 << 10;
  kinds["async readahead"].adaptive_readahead = true;
  kinds["pinned"].pin_data = true;
  kinds["no cache"].fill_cache = false;
  kinds["checksums"].verify_checksums = true;
  kinds["background purge"].background_purge_on_iterator_cleanup = true;
  kinds["no range deletions"].ignore_range_deletions = true;
  kinds["skippable"].max_skippable_internal_keys = 100000;
  kinds["filter"].table_filter = [](const rocksdb::TableProperties&) { return true; };
  kinds["nothing passes the filter"].table_filter = [](const rocksdb::TableProperties& p) {
    return p.num_entries == 0;
  };
  for (int round = 0; round < 2; ++round) {
    for (const auto& [name, read] : kinds) {
      INFO(name << ", round " << round);
      for (const uint64_t from : {0, 299, 550, 1001, 1499, 3000}) {
        for (const bool forward : {true, false}) {
          if (read.prefix_same_as_start && !forward) continue;  // SeekForPrev leaves the prefix
          const std::string expected = Scan(rig.db(), read, NumberedKey(from), forward);
          // A filter for files sees other files, as long as the follower has some in memory.
          if (name == "nothing passes the filter" && round == 0) continue;
          CHECK((Scan(rig.follower(), read, NumberedKey(from), forward) == expected));
        }
      }
    }
    rig.Swap();
  }
}

TEST_CASE("reads: a table filter is asked about the files of the generation", "[e2e]") {
  ReadRig rig;
  rig.Swap();
  std::atomic<int> asked{0};
  ReadOptions read;
  read.table_filter = [&](const rocksdb::TableProperties& properties) {
    CHECK(properties.num_entries > 0);
    ++asked;
    return false;
  };
  CHECK(Scan(rig.follower(), read, "", true).empty());
  CHECK(asked > 0);
}

TEST_CASE("reads: keys of an iterator that pins its data stay where they are", "[e2e]") {
  ReadRig rig;
  rig.Swap();
  rig.leader.Compact();
  rig.RequireSettled();
  ReadOptions read;
  read.pin_data = true;
  const std::unique_ptr<Iterator> it(rig.follower()->NewIterator(read));
  std::vector<Slice> keys;
  std::string copies, pinned;
  size_t unpinned = 0;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    std::string is_pinned;
    RequireOk(it->GetProperty("rocksdb.iterator.is-key-pinned", &is_pinned));
    if (is_pinned != "1") ++unpinned;
    keys.push_back(it->key());
    copies += it->key().ToString();
  }
  CHECK(unpinned == 0);
  rig.Put(1, "swap");
  rig.Swap();
  for (const Slice& key : keys) pinned += key.ToString();
  CHECK((pinned == copies));
}

TEST_CASE("reads: Refresh moves an iterator to the newest state, over swaps too", "[e2e]") {
  ReadRig rig;
  ReadOptions bounded;
  const std::string high_string = NumberedKey(1000);
  const Slice high(high_string);
  bounded.iterate_upper_bound = &high;
  const std::unique_ptr<Iterator> it(rig.follower()->NewIterator(bounded));
  for (uint64_t round = 0; round < 5; ++round) {
    rig.Put(round, "refreshed " + std::to_string(round));
    if (round % 2 == 1) rig.Swap();
    CatchUp(rig.leader, rig.early);
    RequireOk(it->Refresh());
    it->SeekToFirst();
    const std::unique_ptr<Iterator> expected(rig.db()->NewIterator(bounded));
    expected->SeekToFirst();
    CHECK((Rest(it.get()) == Rest(expected.get())));
  }
  ReadOptions at_snapshot;
  rocksdb::ManagedSnapshot snapshot(rig.follower());
  at_snapshot.snapshot = snapshot.snapshot();
  const std::unique_ptr<Iterator> fixed(rig.follower()->NewIterator(at_snapshot));
#if SLIPSTREAM_ROCKSDB_9
  // It leaves the snapshot behind.
  rig.Put(9, "after the snapshot");
  CatchUp(rig.leader, rig.early);
  RequireOk(fixed->Refresh());
  fixed->Seek(NumberedKey(9));
  REQUIRE(fixed->Valid());
  CHECK(fixed->value() == "after the snapshot");
#else
  CHECK(fixed->Refresh().IsNotSupported());
#endif
}

TEST_CASE("reads: a read over column families is not torn by apply or swap", "[e2e]") {
  ReplicasOptions options;
  options.families = TestColumnFamilies();
  Replicas replicas(options);
  RequireOk(WritePair(replicas.leader, 0));
  CatchUp(replicas.leader, replicas.early);
  DB* db = replicas.early.db();
  std::vector<ColumnFamilyHandle*> families = {replicas.early.families[0],
                                               replicas.early.families[1]};
  std::atomic<bool> done{false};
  std::atomic<uint64_t> torn{0}, failed{0}, reads{0};
  const auto by_iterators = [&] {
    while (!done) {
      std::vector<Iterator*> made;
      if (!db->NewIterators(ReadOptions(), families, &made).ok()) {
        ++failed;
        continue;
      }
      std::string values[2];
      for (size_t i = 0; i < 2; ++i) {
        const std::unique_ptr<Iterator> it(made[i]);
        it->Seek("pair");
        if (it->Valid()) values[i] = it->value().ToString();
        if (!it->status().ok()) ++failed;
      }
      if (values[0] != values[1] || values[0].empty()) ++torn;
      ++reads;
    }
  };
  const auto by_multi_get = [&](bool async) {
    ReadOptions read;
    read.async_io = async;
    while (!done) {
      const Slice keys[2] = {"pair", "pair"};
      PinnableSlice values[2];
      Status statuses[2];
      db->MultiGet(read, 2, families.data(), keys, values, statuses);
      if (!statuses[0].ok() || !statuses[1].ok()) ++failed;
      if (values[0] != values[1]) ++torn;
      ++reads;
    }
  };
  std::vector<std::thread> readers;
  readers.emplace_back(by_iterators);
  readers.emplace_back(by_multi_get, false);
  readers.emplace_back(by_multi_get, true);
  uint64_t last_pair = 0;
  const Status written = WritePairs(replicas.leader, replicas.early, 4000, &last_pair);
  const Status caught_up =
      replicas.early.follower->WaitFor(replicas.leader.leader->position(), kPatienceUs);
  done = true;
  for (std::thread& reader : readers) reader.join();
  RequireOk(written);
  RequireOk(caught_up);
  CHECK(torn == 0);
  CHECK(failed == 0);
  CHECK(reads > 0);
  CHECK(replicas.early.Get(0, "pair") == std::to_string(last_pair));
}

TEST_CASE("reads: MultiGet in every form gives what the leader gives", "[e2e]") {
  ReadRig rig;
  for (int round = 0; round < 2; ++round) {
    std::vector<std::string> names;
    for (uint64_t i = 0; i < 300; ++i) names.push_back(NumberedKey(i * 7 % 2100));
    std::sort(names.begin(), names.end());
    const std::vector<Slice> keys(names.begin(), names.end());
    const size_t n = keys.size();
    for (const bool async : {false, true}) {
      for (const bool sorted : {false, true}) {
        ReadOptions read;
        read.async_io = async;
        read.optimize_multiget_for_io = async;
        std::vector<PinnableSlice> a(n), b(n), c(n);
        std::vector<Status> x(n), y(n), z(n);
        rig.db()->MultiGet(read, rig.family(0), n, keys.data(), a.data(), x.data(), sorted);
        rig.follower()->MultiGet(read, rig.early.families[0], n, keys.data(), b.data(), y.data(),
                                 sorted);
        std::vector<ColumnFamilyHandle*> families(n, rig.early.families[0]);
        rig.follower()->MultiGet(read, n, families.data(), keys.data(), c.data(), z.data(), sorted);
        std::vector<std::string> d;
        const std::vector<Status> w = rig.follower()->MultiGet(read, keys, &d);
        for (size_t i = 0; i < n; ++i) {
          CHECK(y[i] == x[i]);
          CHECK(z[i] == x[i]);
          CHECK(w[i] == x[i]);
          if (!x[i].ok()) continue;
          CHECK(b[i] == a[i]);
          CHECK(c[i] == a[i]);
          CHECK(Slice(d[i]) == a[i]);
        }
      }
    }
    rig.Swap();
  }
}

TEST_CASE("reads: the tiers of ReadOptions mean on a follower what they say", "[e2e]") {
  ReadRig rig;
  std::string value;
  ReadOptions read;
  // All that was applied counts as persisted, in gets, many gets and iterators alike.
  read.read_tier = rocksdb::kPersistedTier;
  RequireOk(rig.follower()->Get(read, NumberedKey(3), &value));
  CHECK(value == "memory 3");
  std::vector<std::string> values;
  for (const Status& s : rig.follower()->MultiGet(read, {NumberedKey(3)}, &values)) RequireOk(s);
  CHECK(values[0] == "memory 3");
  CHECK(Scan(rig.follower(), read, "", true) == Scan(rig.db(), ReadOptions(), "", true));
  rocksdb::ManagedSnapshot snapshot(rig.follower());
  read.snapshot = snapshot.snapshot();
  RequireOk(rig.follower()->Get(read, NumberedKey(3), &value));
  read.snapshot = nullptr;

  // Of iterators alone, for RocksDB: they show what is in memory.
  read.read_tier = rocksdb::kMemtableTier;
  const std::unique_ptr<Iterator> in_memory(rig.follower()->NewIterator(read));
  in_memory->Seek(NumberedKey(2));
  REQUIRE(in_memory->Valid());
  CHECK(in_memory->key() == NumberedKey(3));
  CHECK(Rest(in_memory.get()) == Scan(rig.db(), read, NumberedKey(3), true));

  // What is not in the cache is Incomplete until something has read it.
  rig.leader.Compact();
  rig.RequireSettled();
  rig.Put(1, "swap");
  rig.Swap();
  read.read_tier = rocksdb::kBlockCacheTier;
  Status s = rig.follower()->Get(read, NumberedKey(1002), &value);
  CHECK((s.IsIncomplete() || s.ok()));
  RequireOk(rig.follower()->Get(ReadOptions(), NumberedKey(1002), &value));
  RequireOk(rig.follower()->Get(read, NumberedKey(1002), &value));
  CHECK(value == "memory 1002");
}

TEST_CASE("reads: a deadline that has passed ends a read of a file with TimedOut", "[e2e]") {
  ReadRig rig;
  rig.Swap();
  std::string value;
  ReadOptions read;
  read.fill_cache = false;
  read.deadline = std::chrono::microseconds(1);  // in 1970
  CHECK(rig.follower()->Get(read, NumberedKey(2), &value).IsTimedOut());
  read.deadline = std::chrono::microseconds(0);
  read.io_timeout = std::chrono::microseconds(60000000);
  RequireOk(rig.follower()->Get(read, NumberedKey(2), &value));
  read.deadline = std::chrono::microseconds(INT64_MAX / 2);
  RequireOk(rig.follower()->Get(read, NumberedKey(2), &value));
}

TEST_CASE("reads: snapshots hold over flush, compaction, swap and a restart of the leader",
          "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LeaderOptions again = cluster.leader_options();
  again.server_options.listen_address = "127.0.0.1:" + std::to_string(leader.leader->port());
  LocalFollower follower = cluster.StartFollower(leader);
  RequireOk(MixedLoad(leader.db(), leader.families, 100, 3).Write(1000));
  const ContentDigest before = leader.Digest();
  CatchUp(leader, follower);
  rocksdb::ManagedSnapshot snapshot(follower.db());
  CHECK(snapshot.snapshot()->GetSequenceNumber() == before.sequence);
  for (int round = 0; round < 2; ++round) {
    RequireOk(MixedLoad(leader.db(), leader.families, 100, 4).Write(500));
    leader.Flush();
    leader.Compact();
    RequireEqual(leader, follower);
    CHECK(follower.Digest(snapshot.snapshot()) == before);
  }
  leader.Close();
  LocalLeader second = cluster.StartLeader(again, LocalCluster::db_options());
  RequireOk(MixedLoad(second.db(), second.families, 100, 5).Write(500));
  RequireEqual(second, follower);
  CHECK(follower.Digest(snapshot.snapshot()) == before);
}

TEST_CASE("reads: a snapshot of another database is refused", "[e2e]") {
  ReadRig rig;
  LocalFollower late = rig.StartFollower();
  std::string value;
  for (DB* other : {rig.db(), late.db()}) {
    ReadOptions read;
    rocksdb::ManagedSnapshot snapshot(other);
    read.snapshot = snapshot.snapshot();
    CHECK(rig.follower()->Get(read, NumberedKey(3), &value).IsInvalidArgument());
    const std::unique_ptr<Iterator> it(rig.follower()->NewIterator(read));
    it->SeekToFirst();
    CHECK_FALSE(it->Valid());
    CHECK(it->status().IsInvalidArgument());
  }
}

TEST_CASE("reads: a batch with an index is read over a follower", "[e2e]") {
  ReadRig rig;
  rocksdb::WriteBatchWithIndex batch;
  RequireOk(batch.Put(rig.early.families[0], NumberedKey(3), "of the batch"));
  RequireOk(batch.Delete(rig.early.families[0], NumberedKey(4)));
#if !SLIPSTREAM_ROCKSDB_9  // which takes the handle for a database of its own
  std::string value;
  RequireOk(batch.GetFromBatchAndDB(rig.follower(), ReadOptions(), rig.early.families[0],
                                    NumberedKey(3), &value));
  CHECK(value == "of the batch");
  RequireOk(batch.GetFromBatchAndDB(rig.follower(), ReadOptions(), rig.early.families[0],
                                    NumberedKey(6), &value));
  CHECK(value == "memory 6");
  CHECK(batch
            .GetFromBatchAndDB(rig.follower(), ReadOptions(), rig.early.families[0], NumberedKey(4),
                               &value)
            .IsNotFound());
#endif
  const std::unique_ptr<Iterator> it(
      batch.NewIteratorWithBase(rig.early.families[0], rig.follower()->NewIterator(ReadOptions())));
  it->Seek(NumberedKey(3));
  REQUIRE(it->Valid());
  CHECK(it->value() == "of the batch");
  it->Next();
  REQUIRE(it->Valid());
  CHECK(it->key() == NumberedKey(6));
}

TEST_CASE("reads: merge operands, sizes and existence are those of the generation", "[e2e]") {
  ReadRig rig;
  for (int i = 1; i <= 3; ++i) {
    RequireOk(rig.db()->Merge(WriteOptions(), rig.family(1), "n", std::to_string(i)));
  }
  for (int round = 0; round < 2; ++round) {
    CatchUp(rig.leader, rig.early);
    rocksdb::GetMergeOperandsOptions operands;
    operands.expected_max_number_of_operands = 4;
    PinnableSlice values[4];
    int n = 0;
    RequireOk(rig.follower()->GetMergeOperands(ReadOptions(), rig.early.families[1], "n", values,
                                               &operands, &n));
    REQUIRE(n >= 1);
    uint64_t sum = 0;
    for (int i = 0; i < n; ++i) sum += std::stoull(values[i].ToString());
    CHECK(sum == 6);
    rig.Swap();
  }
  std::string value;
  bool found = false;
  CHECK(rig.follower()->KeyMayExist(ReadOptions(), rig.early.families[0], NumberedKey(3), &value,
                                    &found));
  // With statistics of files only: both count the same ones.
  rig.leader.Compact();
  rig.RequireSettled();
  const std::string from = NumberedKey(0), to = NumberedKey(2000);
  const rocksdb::Range range(from, to);
  uint64_t theirs = 0, ours = 0;
  RequireOk(rig.db()->GetApproximateSizes(rig.family(0), &range, 1, &theirs));
  RequireOk(rig.follower()->GetApproximateSizes(rig.early.families[0], &range, 1, &ours));
  CHECK(ours == theirs);
  CHECK(ours > 0);
  uint64_t count = 0, size = 0;
  rig.Put(5, "in memory");
  CatchUp(rig.leader, rig.early);
  rig.follower()->GetApproximateMemTableStats(rig.early.families[0], range, &count, &size);
  CHECK(count > 0);
}

TEST_CASE("reads: properties and metadata are those of the generation", "[e2e]") {
  ReadRig rig;
  rig.leader.Compact();
  rig.RequireSettled();
  DB* const follower = rig.follower();
  ColumnFamilyHandle* const ours = rig.early.families[0];
  // Of the files, the same as the leader's.
  for (const std::string& name :
       {DB::Properties::kTotalSstFilesSize, DB::Properties::kEstimateNumKeys,
        DB::Properties::kNumFilesAtLevelPrefix + "0"}) {
    std::string a, b;
    INFO(name);
    REQUIRE(rig.db()->GetProperty(rig.family(0), name, &a));
    REQUIRE(follower->GetProperty(ours, name, &b));
    CHECK(a == b);
  }
  uint64_t number = 0, aggregated = 0;
  CHECK(follower->GetIntProperty(ours, DB::Properties::kLiveSstFilesSize, &number));
  CHECK(follower->GetAggregatedIntProperty(DB::Properties::kLiveSstFilesSize, &aggregated));
  CHECK(aggregated >= number);
  CHECK(number > 0);
  std::map<std::string, std::string> map;
  CHECK(follower->GetMapProperty(ours, DB::Properties::kCFStats, &map));
  CHECK_FALSE(map.empty());
  std::string unused;
  CHECK_FALSE(follower->GetProperty(ours, "rocksdb.no-such-property", &unused));

  rocksdb::ColumnFamilyMetaData a, b;
  rig.db()->GetColumnFamilyMetaData(rig.family(0), &a);
  follower->GetColumnFamilyMetaData(ours, &b);
  CHECK(b.name == a.name);
  CHECK(b.size == a.size);
  CHECK(b.file_count == a.file_count);
  std::vector<rocksdb::LiveFileMetaData> files_a, files_b;
  rig.db()->GetLiveFilesMetaData(&files_a);
  follower->GetLiveFilesMetaData(&files_b);
  REQUIRE(files_b.size() == files_a.size());
  for (size_t i = 0; i < files_a.size(); ++i) CHECK(files_b[i].name == files_a[i].name);
  rocksdb::TablePropertiesCollection tables_a, tables_b;
  RequireOk(rig.db()->GetPropertiesOfAllTables(rig.family(0), &tables_a));
  RequireOk(follower->GetPropertiesOfAllTables(ours, &tables_b));
  CHECK(tables_b.size() == tables_a.size());
  RequireOk(follower->VerifyChecksum());
  CHECK(follower->GetLatestSequenceNumber() == rig.db()->GetLatestSequenceNumber());
  std::string identity_a, identity_b;
  RequireOk(rig.db()->GetDbIdentity(identity_a));
  RequireOk(follower->GetDbIdentity(identity_b));
  CHECK(identity_a == identity_b);
}

TEST_CASE("reads: what a follower cannot do says so and names itself", "[e2e]") {
  ReadRig rig;
  DB* const db = rig.follower();
  CHECK(db->GetRootDB() == db);
  ReadOptions tailing;
  tailing.tailing = true;
  const std::unique_ptr<Iterator> it(db->NewIterator(tailing));
  CHECK_FALSE(it->Valid());
  CHECK(it->status().IsNotSupported());
  std::vector<Iterator*> iterators;
  CHECK(db->NewIterators(tailing, rig.early.families, &iterators).IsNotSupported());
  std::unique_ptr<rocksdb::TransactionLogIterator> updates;
  CHECK(db->GetUpdatesSince(0, &updates).IsNotSupported());
  std::vector<std::string> files;
  uint64_t manifest_size = 0;
  CHECK(db->GetLiveFiles(files, &manifest_size).IsNotSupported());
  rocksdb::VectorLogPtr wals;
  CHECK(db->GetSortedWalFiles(wals).IsNotSupported());
}

TEST_CASE("reads: checkpoints, backups and exports of a follower are refused and leave nothing",
          "[e2e]") {
  ReadRig rig;
  const std::string copies = rig.cluster.directory().path("copies");
  std::filesystem::create_directory(copies);
  rocksdb::Checkpoint* made = nullptr;
  RequireOk(rocksdb::Checkpoint::Create(rig.follower(), &made));
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  CHECK(checkpoint->CreateCheckpoint(copies + "/checkpoint").IsNotSupported());
  rocksdb::ExportImportFilesMetaData* exported = nullptr;
  CHECK(checkpoint->ExportColumnFamily(rig.early.families[0], copies + "/export", &exported)
            .IsNotSupported());
  CHECK(exported == nullptr);
  CHECK(std::filesystem::is_empty(copies));
  rocksdb::BackupEngine* opened = nullptr;
  RequireOk(rocksdb::BackupEngine::Open(rocksdb::Env::Default(),
                                        rocksdb::BackupEngineOptions(copies + "/backup"), &opened));
  const std::unique_ptr<rocksdb::BackupEngine> backup(opened);
  CHECK(backup->CreateNewBackup(rig.follower()).IsNotSupported());
  std::vector<rocksdb::BackupInfo> backups;
  backup->GetBackupInfo(&backups);
  CHECK(backups.empty());
  std::string value;
  RequireOk(rig.follower()->Get(ReadOptions(), NumberedKey(3), &value));
}

}  // namespace slipstream::testing
