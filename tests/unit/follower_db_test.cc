#include "lib/follower/follower_db.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/core/rocksdb_release.h"
#include "rocksdb/snapshot.h"
#include "rocksdb/write_batch.h"
#include "tests/unit/follower_facade.h"

namespace slipstream {
namespace {

using rocksdb::ColumnFamilyHandle;
using rocksdb::DB;
using rocksdb::PinnableSlice;
using rocksdb::ReadOptions;
using rocksdb::Slice;
using rocksdb::Status;
using testing::FollowerFacade;
using IteratorPtr = std::unique_ptr<rocksdb::Iterator>;

TEST_CASE("follower_db: Get in every form reads the current generation", "[unit]") {
  FollowerFacade f;
  for (const bool flushed : {false, true}) {
    f.Publish(flushed ? "new" : "old", flushed);
    const std::string value = flushed ? "new" : "old";
    std::string text;
    REQUIRE(f.db->Get({}, "a", &text).ok());
    REQUIRE(text == value);
    REQUIRE(f.db->Get({}, f.other.get(), "a", &text).ok());
    REQUIRE(text == "other " + value);
    PinnableSlice pinnable;
    REQUIRE(f.db->Get({}, f.other.get(), "b", &pinnable).ok());
    REQUIRE(pinnable == "other " + value);
    pinnable.Reset();
    // Column families without timestamps show an empty one.
    std::string timestamp = "none";
    REQUIRE(f.db->Get({}, f.plain.get(), "c", &pinnable, &timestamp).ok());
    REQUIRE(pinnable == value);
    REQUIRE(timestamp.empty());
    REQUIRE(f.db->Get({}, f.plain.get(), "c", &text, &timestamp).ok());
    REQUIRE(text == value);
    REQUIRE(f.db->Get({}, "none", &text).IsNotFound());
    pinnable.Reset();
    REQUIRE(f.db->Get({}, f.plain.get(), "none", &pinnable).IsNotFound());
  }
}

TEST_CASE("follower_db: a pinned value stays valid over swaps and holds its generation", "[unit]") {
  FollowerFacade f;
  const std::string first(5000, '1');
  f.Publish(first, true);
  PinnableSlice value;
  PinnableSlice timed;
  std::string timestamp;
  REQUIRE(f.db->Get({}, f.plain.get(), "a", &value).ok());
  REQUIRE(f.db->Get({}, f.plain.get(), "b", &timed, &timestamp).ok());
  REQUIRE(value.IsPinned());
  REQUIRE(timed.IsPinned());

  f.Publish("2", true);
  REQUIRE(f.generations.CloseUnused() == 0);
  REQUIRE(f.Get("a") == "2");
  REQUIRE(value == first);
  PinnableSlice moved = std::move(value);
  value.Reset();
  timed.Reset();
  REQUIRE(f.generations.CloseUnused() == 0);
  REQUIRE(moved == first);
  moved.Reset();
  REQUIRE(f.generations.CloseUnused() == 1);
}

TEST_CASE("follower_db: a value that RocksDB copied holds no generation", "[unit]") {
  FollowerFacade f;
  f.Publish("1");
  PinnableSlice value;
  REQUIRE(f.db->Get({}, f.plain.get(), "a", &value).ok());
  REQUIRE_FALSE(value.IsPinned());
  f.Publish("2");
  REQUIRE(f.generations.CloseUnused() == 1);
  REQUIRE(value == "1");
}

// Also pins the form in which RocksDB stores entities: the copies are made from it.
TEST_CASE("follower_db: entities of every form come out whole and hold no generation", "[unit]") {
  const std::string big(3000, 'x');
  const std::map<std::string, rocksdb::WideColumns> entities = {
      {"none", {}},
      {"default", {{"", "v"}}},
      {"empty values", {{"", ""}, {"one", ""}}},
      {"mixed", {{"", "v"}, {"big", big}, {"last", ""}}},
      {"named", {{"one", "1"}, {"two", big}}},
  };
  const std::map<std::string, std::string> plains = {{"plain", big}, {"plain empty", ""}};
  for (const bool flushed : {false, true}) {
    FollowerFacade f;
    f.Publish([&](DB* to, ColumnFamilyHandle*, ColumnFamilyHandle* b) {
      for (const auto& [key, columns] : entities) {
        REQUIRE(to->PutEntity({}, b, key, columns).ok());
      }
      for (const auto& [key, value] : plains) REQUIRE(to->Put({}, b, key, value).ok());
      if (flushed) REQUIRE(to->Flush({}, b).ok());
    });
    std::map<std::string, rocksdb::PinnableWideColumns> found;
    for (const auto& [key, columns] : entities) {
      REQUIRE(f.db->GetEntity({}, f.other.get(), key, &found[key]).ok());
    }
    for (const auto& [key, value] : plains) {
      // What was there before is replaced.
      found[key].SetPlainValue(Slice("before"));
      REQUIRE(f.db->GetEntity({}, f.other.get(), key, &found[key]).ok());
    }
    rocksdb::PinnableWideColumns missing;
    missing.SetPlainValue(Slice("before"));
    REQUIRE(f.db->GetEntity({}, f.other.get(), "no such key", &missing).IsNotFound());
    REQUIRE(missing.columns().empty());

    f.Publish("2");
    REQUIRE(f.generations.CloseUnused() == 1);
    for (const auto& [key, columns] : entities) REQUIRE(found[key].columns() == columns);
    for (const auto& [key, value] : plains) {
      REQUIRE(found[key].columns() == rocksdb::WideColumns{{"", value}});
    }
  }
}

// RocksDB itself crashes on the second of these.
TEST_CASE("follower_db: merged keys come out as entities", "[unit]") {
  for (const bool flushed : {false, true}) {
    FollowerFacade f;
    f.Publish([&](DB* to, ColumnFamilyHandle* a, ColumnFamilyHandle*) {
      REQUIRE(to->Put({}, a, "on a value", "1").ok());
      for (const char* key : {"on a value", "alone"}) REQUIRE(to->Merge({}, a, key, "2").ok());
      REQUIRE(to->PutEntity({}, a, "entity", {{"", "v"}, {"x", "1"}}).ok());
      if (flushed) REQUIRE(to->Flush({}, a).ok());
    });
    rocksdb::PinnableWideColumns columns;
    REQUIRE(f.db->GetEntity({}, f.plain.get(), "on a value", &columns).ok());
    REQUIRE(columns.columns() == rocksdb::WideColumns{{"", "12"}});
    REQUIRE(f.db->GetEntity({}, f.plain.get(), "alone", &columns).ok());
    REQUIRE(columns.columns() == rocksdb::WideColumns{{"", "2"}});
    REQUIRE(f.db->GetEntity({}, f.plain.get(), "entity", &columns).ok());
    REQUIRE(columns.columns() == rocksdb::WideColumns{{"", "v"}, {"x", "1"}});
    REQUIRE(f.db->GetEntity({}, f.plain.get(), "none", &columns).IsNotFound());
    REQUIRE(columns.columns().empty());
  }
}

TEST_CASE("follower_db: merge operands stay valid over swaps", "[unit]") {
  FollowerFacade f;
  const std::string operand(40000, 'm');  // large enough for RocksDB not to copy it
  f.Publish([&](DB* to, ColumnFamilyHandle* a, ColumnFamilyHandle*) {
    REQUIRE(to->Merge({}, a, "a", operand).ok());
    REQUIRE(to->Merge({}, a, "a", operand).ok());
  });
  rocksdb::GetMergeOperandsOptions operands;
  operands.expected_max_number_of_operands = 2;
  PinnableSlice values[2];
  int n = 0;
  REQUIRE(f.db->GetMergeOperands({}, f.plain.get(), "a", values, &operands, &n).ok());
  REQUIRE(n == 2);
  REQUIRE(values[0].IsPinned());
  f.Publish("2");
  REQUIRE(f.generations.CloseUnused() == 0);
  for (PinnableSlice& value : values) {
    REQUIRE(f.generations.CloseUnused() == 0);
    REQUIRE(value == operand);
    value.Reset();
  }
  REQUIRE(f.generations.CloseUnused() == 1);
}

TEST_CASE("follower_db: MultiGet in every form reads one generation", "[unit]") {
  FollowerFacade f;
  const std::string first(5000, '1');
  f.Publish(first, true);
  const std::vector<Slice> keys = {"a", "none", "c"};
  std::vector<ColumnFamilyHandle*> families = {f.plain.get(), f.plain.get(), f.other.get()};
  const auto good = [&](const auto& statuses) {
    return statuses[0].ok() && statuses[1].IsNotFound() && statuses[2].ok();
  };

  std::vector<std::string> texts;
  std::vector<std::string> timestamps;
  REQUIRE(good(f.db->MultiGet({}, keys, &texts)));
  REQUIRE(texts[2] == first);
  REQUIRE(good(f.db->MultiGet({}, families, keys, &texts)));
  REQUIRE(texts[0] == first);
  REQUIRE(texts[2] == "other " + first);
  REQUIRE(good(f.db->MultiGet({}, families, keys, &texts, &timestamps)));
  REQUIRE(texts[2] == "other " + first);
  REQUIRE(timestamps.size() == 3);

  std::vector<PinnableSlice> values(12);
  std::vector<Status> statuses(3);
  timestamps.assign(3, "none");
  f.db->MultiGet({}, f.plain.get(), 3, keys.data(), &values[0], statuses.data());
  REQUIRE(good(statuses));
  f.db->MultiGet({}, f.plain.get(), 3, keys.data(), &values[3], timestamps.data(), statuses.data());
  REQUIRE(good(statuses));
  f.db->MultiGet({}, 3, families.data(), keys.data(), &values[6], statuses.data());
  REQUIRE(good(statuses));
  f.db->MultiGet({}, 3, families.data(), keys.data(), &values[9], timestamps.data(),
                 statuses.data());
  REQUIRE(good(statuses));

  f.Publish("2");
  for (size_t i = 0; i < values.size(); i += 3) {
    REQUIRE(f.generations.CloseUnused() == 0);
    REQUIRE(values[i].IsPinned());
    REQUIRE(values[i] == first);
    REQUIRE(values[i + 2] == (i < 6 ? first : "other " + first));
    for (size_t k = 0; k < 3; ++k) values[i + k].Reset();
  }
  REQUIRE(f.generations.CloseUnused() == 1);
}

TEST_CASE("follower_db: MultiGet reads nothing when one column family cannot be read", "[unit]") {
  FollowerFacade f;
  f.Publish("1");
  const std::vector<Slice> keys = {"a", "b"};
  std::vector<ColumnFamilyHandle*> families = {f.plain.get(), nullptr};
  std::vector<std::string> texts;
  std::vector<Status> statuses = f.db->MultiGet({}, families, keys, &texts);
  REQUIRE(statuses[0].IsIncomplete());
  REQUIRE(statuses[1].IsInvalidArgument());
  REQUIRE(texts.size() == 2);
  PinnableSlice values[2];
  f.db->MultiGet({}, 2, families.data(), keys.data(), values, statuses.data());
  REQUIRE(statuses[0].IsIncomplete());
  REQUIRE(statuses[1].IsInvalidArgument());
  f.db->MultiGet({}, nullptr, 2, keys.data(), values, statuses.data());
  REQUIRE(statuses[0].IsInvalidArgument());
#if !SLIPSTREAM_ROCKSDB_9  // which reads behind the end of the families by itself
  families.pop_back();
  REQUIRE(f.db->MultiGet({}, families, keys, &texts)[1].IsInvalidArgument());
#endif
}

TEST_CASE("follower_db: KeyMayExist finds what is in memory", "[unit]") {
  FollowerFacade f;
  f.Publish("1");
  std::string value;
  bool found = false;
  REQUIRE(f.db->KeyMayExist({}, "a", &value, &found));
  REQUIRE(found);
  REQUIRE(value == "1");
  REQUIRE(f.db->KeyMayExist({}, f.other.get(), "a", &value, &found));
  REQUIRE(value == "other 1");
  REQUIRE_FALSE(f.db->KeyMayExist({}, "none", &value));
  // What cannot be read may exist.
  REQUIRE(f.db->KeyMayExist({}, nullptr, "none", &value, &found));
  REQUIRE_FALSE(found);
}

TEST_CASE("follower_db: what was applied counts as persisted", "[unit]") {
  FollowerFacade f;
  f.Publish([](DB* to, ColumnFamilyHandle* a, ColumnFamilyHandle*) {
    rocksdb::WriteOptions write;
    write.disableWAL = true;
    REQUIRE(to->Put(write, a, "a", "1").ok());
  });
  ReadOptions read;
  read.read_tier = rocksdb::kPersistedTier;
  REQUIRE(f.Get("a", read) == "1");
  rocksdb::ManagedSnapshot snapshot(f.db.get());
  read.snapshot = snapshot.snapshot();
  REQUIRE(f.Get("a", read) == "1");
}

TEST_CASE("follower_db: handles of other databases are refused", "[unit]") {
  FollowerFacade f;
  FollowerFacade another;
  f.Publish("1");
  another.Publish("1");
  for (ColumnFamilyHandle* handle : std::vector<ColumnFamilyHandle*>{
           nullptr, f.generations.current()->handle(1), another.other.get()}) {
    PinnableSlice value;
    REQUIRE(f.db->Get({}, handle, "a", &value).IsInvalidArgument());
    IteratorPtr it(f.db->NewIterator({}, handle));
    REQUIRE(it->status().IsInvalidArgument());
    REQUIRE(f.db->DestroyColumnFamilyHandle(handle).IsInvalidArgument());
    REQUIRE(f.db->NumberLevels(handle) == 0);
  }
  REQUIRE(another.Get("a") == "1");
}

TEST_CASE("follower_db: a handle is deleted by its destruction unless it is the default one",
          "[unit]") {
  FollowerFacade f;
  f.Publish("1");
  REQUIRE(f.db->DefaultColumnFamily() == f.plain.get());
  REQUIRE(f.db->DestroyColumnFamilyHandle(f.db->DefaultColumnFamily()).IsInvalidArgument());
  IteratorPtr it(f.db->NewIterator({}, f.other.get()));
  REQUIRE(f.db->DestroyColumnFamilyHandle(f.other.release()).ok());
  // An iterator needs its handle no more.
  f.Publish("2");
  REQUIRE(it->Refresh().ok());
  it->Seek("a");
  REQUIRE(it->value() == "other 2");
}

TEST_CASE("follower_db: a handle that belongs to the follower outlives its destruction", "[unit]") {
  FollowerFacade f;
  f.Publish("1");
  FollowerColumnFamilyHandle kept("other", 1, f.other->slot(), {}, f.other->slots(),
                                  FollowerColumnFamilyHandle::Owner::kFollower);
  REQUIRE(f.db->DestroyColumnFamilyHandle(&kept).ok());
  std::string value;
  REQUIRE(f.db->Get({}, &kept, "a", &value).ok());
  REQUIRE(value == "other 1");
}

TEST_CASE("follower_db: a column family that the generation does not have is named", "[unit]") {
  FollowerFacade f;
  f.Publish([](DB*, ColumnFamilyHandle*, ColumnFamilyHandle*) {}, /*with_other=*/false);
  std::string value;
  const Status dropped = f.db->Get({}, f.other.get(), "a", &value);
  REQUIRE(dropped.IsColumnFamilyDropped());
  REQUIRE(dropped.ToString().find("'other' of id 1") != std::string::npos);
  REQUIRE(f.db->GetOptions(f.other.get()).merge_operator != nullptr);

  rocksdb::ManagedSnapshot before(f.db.get());
  f.Publish("1");
  REQUIRE(f.db->Get({}, f.other.get(), "a", &value).ok());
  ReadOptions read;
  read.snapshot = before.snapshot();
  REQUIRE(f.db->Get(read, f.other.get(), "a", &value).IsInvalidArgument());
}

TEST_CASE("follower_db: before the first generation every read says to try again", "[unit]") {
  FollowerFacade f;
  std::string text;
  PinnableSlice value;
  rocksdb::PinnableWideColumns columns;
  REQUIRE(f.db->Get({}, "a", &text).IsTryAgain());
  REQUIRE(f.db->Get({}, f.plain.get(), "a", &value).IsTryAgain());
  REQUIRE(f.db->GetEntity({}, f.plain.get(), "a", &columns).IsTryAgain());
  std::vector<std::string> texts;
  REQUIRE(f.db->MultiGet({}, {Slice("a")}, &texts)[0].IsTryAgain());
  ColumnFamilyHandle* family = f.plain.get();
  const Slice key("a");
  Status status;
  f.db->MultiGet({}, 1, &family, &key, &value, &status);
  REQUIRE(status.IsTryAgain());
  IteratorPtr it(f.db->NewIterator({}));
  REQUIRE(it->status().IsTryAgain());
  std::vector<rocksdb::Iterator*> made;
  REQUIRE(f.db->NewIterators({}, {family}, &made).IsTryAgain());
  REQUIRE(f.db->GetSnapshot() == nullptr);
  REQUIRE_FALSE(f.db->GetProperty(DB::Properties::kStats, &text));
  REQUIRE(f.db->GetLatestSequenceNumber() == 0);
  REQUIRE(f.db->GetDbIdentity(text).IsTryAgain());
  REQUIRE(f.db->GetOptions().env == rocksdb::Env::Default());
  REQUIRE(f.db->VerifyChecksum().IsTryAgain());
  REQUIRE(f.db->Close().ok());
}

TEST_CASE("follower_db: what is told of the database comes from the current generation", "[unit]") {
  FollowerFacade f;
  f.Publish("1", true);
  DB& db = *f.db;
  DB* inner = f.generations.current()->db();
  REQUIRE(db.GetName() == "followed");
  REQUIRE(db.GetRootDB() == &db);
  REQUIRE(db.GetLatestSequenceNumber() == 6);
  REQUIRE(db.NumberLevels() == 7);
  REQUIRE(db.Level0StopWriteTrigger() == inner->Level0StopWriteTrigger());
  std::string of_facade;
  std::string of_inner;
  REQUIRE(db.GetDbIdentity(of_facade).ok());
  REQUIRE(inner->GetDbIdentity(of_inner).ok());
  REQUIRE(of_facade == of_inner);
  uint64_t number = 0;
  REQUIRE(db.GetIntProperty(f.other.get(), DB::Properties::kEstimateNumKeys, &number));
  REQUIRE(number == 3);
  REQUIRE(db.GetAggregatedIntProperty(DB::Properties::kEstimateNumKeys, &number));
  REQUIRE(number == 6);
  std::map<std::string, std::string> map;
  REQUIRE(db.GetMapProperty(DB::Properties::kCFStats, &map));
  REQUIRE(db.GetProperty(DB::Properties::kStats, &of_facade));
  const rocksdb::Range all("a", "z");
  REQUIRE(db.GetApproximateSizes(&all, 1, &number).ok());
  REQUIRE(number > 0);
  uint64_t count = 7;
  db.GetApproximateMemTableStats(all, &count, &number);
  REQUIRE(count == 0);
  std::vector<rocksdb::LiveFileMetaData> files;
  db.GetLiveFilesMetaData(&files);
  REQUIRE(files.size() == 2);
  rocksdb::ColumnFamilyMetaData family;
  db.GetColumnFamilyMetaData(f.other.get(), &family);
  REQUIRE(family.name == "other");
  REQUIRE(family.file_count == 1);
  rocksdb::TablePropertiesCollection tables;
  REQUIRE(db.GetPropertiesOfAllTables(&tables).ok());
  REQUIRE(tables.size() == 1);
  REQUIRE(db.VerifyChecksum().ok());
}

TEST_CASE("follower_db: nothing of a generation is left in the options it gives", "[unit]") {
  FollowerFacade f;
  f.Publish("1");
  const rocksdb::Options options = f.db->GetOptions(f.other.get());
  REQUIRE(options.merge_operator != nullptr);
  REQUIRE(options.env == rocksdb::Env::Default());
  REQUIRE(options.info_log == nullptr);
  REQUIRE(options.sst_file_manager == nullptr);
  REQUIRE(f.db->GetDBOptions().env == f.db->GetEnv());
  REQUIRE(f.db->GetFileSystem() == rocksdb::Env::Default()->GetFileSystem().get());
}

TEST_CASE("follower_db: readers go on while generations are replaced and closed", "[unit]") {
  FollowerFacade f;
  f.Publish("1", true);
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      IteratorPtr it(f.db->NewIterator({}));
      while (!done) {
        PinnableSlice value;
        if (!f.db->Get({}, f.plain.get(), "a", &value).ok()) ++wrong;
        it->SeekToLast();
        // The generation read later is the same or a newer one.
        if (!it->Valid() || std::stoi(it->value().ToString()) > std::stoi(value.ToString())) {
          ++wrong;
        }
        if (!it->Refresh().ok()) ++wrong;
        rocksdb::ManagedSnapshot snapshot(f.db.get());
        if (snapshot.snapshot() == nullptr) ++wrong;
        std::this_thread::yield();
      }
    });
  }
  for (int id = 2; id <= 6; ++id) {
    f.Publish(std::to_string(id), id % 2 == 0);
    f.generations.CloseUnused();
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  f.generations.CloseUnused();
  REQUIRE(wrong == 0);
  REQUIRE(f.generations.live() == 1);
  REQUIRE(f.Get("a") == "6");
}

}  // namespace
}  // namespace slipstream
