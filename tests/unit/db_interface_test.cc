// Every virtual function of rocksdb::DB, and what it does on a follower.
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/rocksdb_release.h"
#include "rocksdb/convenience.h"
#include "rocksdb/metadata.h"
#include "rocksdb/stats_history.h"
#include "rocksdb/table_properties.h"
#include "rocksdb/trace_reader_writer.h"
#include "rocksdb/transaction_log.h"
#include "rocksdb/utilities/replayer.h"
#include "rocksdb/write_batch.h"
#include "tests/unit/follower_facade.h"
#if SLIPSTREAM_ROCKSDB_9
#include "rocksdb/attribute_groups.h"
#endif

namespace slipstream {
namespace {

using rocksdb::ColumnFamilyHandle;
using rocksdb::DB;
using rocksdb::Slice;
using rocksdb::Status;
using testing::FollowerFacade;

enum class Behaviour {
  kRead,     // asks the current generation, or that of the snapshot
  kRefused,  // NotSupported, and the name of the call
  kOwn,      // answered by the facade
  kNothing,  // returns nothing, and does nothing
  kNowhere,  // RocksDB declares it, and has no database that does it
};

const std::map<std::string, Behaviour>& DecidedOfRocksDB7() {
  constexpr auto kRead = Behaviour::kRead;
  constexpr auto kRefused = Behaviour::kRefused;
  constexpr auto kOwn = Behaviour::kOwn;
  constexpr auto kNothing = Behaviour::kNothing;
  static const std::map<std::string, Behaviour> decided = {
      {"Close", kOwn},
      {"CompactFiles", kRefused},
      {"CompactRange", kRefused},
      {"ContinueBackgroundWork", kRefused},
      {"CreateColumnFamilies", kRefused},
      {"CreateColumnFamily", kRefused},
      {"CreateColumnFamilyWithImport", kRefused},
      {"DefaultColumnFamily", kOwn},
      {"Delete", kRefused},
      {"DeleteFile", kRefused},
      {"DeleteRange", kRefused},
      {"DestroyColumnFamilyHandle", kOwn},
      {"DisableFileDeletions", kRefused},
      {"DisableManualCompaction", kNothing},
      {"DropColumnFamilies", kRefused},
      {"DropColumnFamily", kRefused},
      {"EnableAutoCompaction", kRefused},
      {"EnableFileDeletions", kRefused},
      {"EnableManualCompaction", kNothing},
      {"EndBlockCacheTrace", kRefused},
      {"EndIOTrace", kRefused},
      {"EndTrace", kRefused},
      {"Flush", kRefused},
      {"FlushWAL", kRefused},
      {"Get", kRead},
      {"GetAggregatedIntProperty", kRead},
      {"GetAllColumnFamilyMetaData", kRead},
      {"GetApproximateMemTableStats", kRead},
      {"GetApproximateSizes", kRead},
      {"GetColumnFamilyMetaData", kRead},
      {"GetCreationTimeOfOldestFile", kRead},
      {"GetCurrentWalFile", kRefused},
      {"GetDBOptions", kRead},
      {"GetDbIdentity", kRead},
      {"GetDbSessionId", kRead},
      {"GetEntity", kRead},
      {"GetEnv", kOwn},
      {"GetFileSystem", kOwn},
      {"GetFullHistoryTsLow", kRead},
      {"GetIntProperty", kRead},
      {"GetLatestSequenceNumber", kRead},
      {"GetLiveFiles", kRefused},
      {"GetLiveFilesChecksumInfo", kRead},
      {"GetLiveFilesMetaData", kRead},
      {"GetLiveFilesStorageInfo", kRefused},
      {"GetMapProperty", kRead},
      {"GetMergeOperands", kRead},
      {"GetName", kOwn},
      {"GetOptions", kRead},
      {"GetPropertiesOfAllTables", kRead},
      {"GetPropertiesOfTablesInRange", kRead},
      {"GetProperty", kRead},
      {"GetRootDB", kOwn},
      {"GetSnapshot", kRead},
      {"GetSortedWalFiles", kRefused},
      {"GetStatsHistory", kRefused},
      {"GetUpdatesSince", kRefused},
      {"IncreaseFullHistoryTsLow", kRefused},
      {"IngestExternalFile", kRefused},
      {"IngestExternalFiles", kRefused},
      {"KeyMayExist", kRead},
      {"Level0StopWriteTrigger", kRead},
      {"LockWAL", kRefused},
      {"MaxMemCompactionLevel", kRead},
      {"Merge", kRefused},
      {"MultiGet", kRead},
      {"NewDefaultReplayer", kRefused},
      {"NewIterator", kRead},
      {"NewIterators", kRead},
      {"NumberLevels", kRead},
      {"PauseBackgroundWork", kRefused},
      {"PromoteL0", kRefused},
      {"Put", kRefused},
      {"PutEntity", kRefused},
      {"ReleaseSnapshot", kRead},
      {"ResetStats", kRefused},
      {"Resume", kRefused},
      {"SetDBOptions", kRefused},
      {"SetOptions", kRefused},
      {"SingleDelete", kRefused},
      {"StartBlockCacheTrace", kRefused},
      {"StartIOTrace", kRefused},
      {"StartTrace", kRefused},
      {"SuggestCompactRange", kRefused},
      {"SyncWAL", kRefused},
      {"TryCatchUpWithPrimary", kRefused},
      {"UnlockWAL", kRefused},
      {"VerifyChecksum", kRead},
      {"VerifyFileChecksums", kRead},
      {"Write", kRefused},
  };
  return decided;
}

std::map<std::string, Behaviour> Decided() {
  std::map<std::string, Behaviour> decided = DecidedOfRocksDB7();
#if SLIPSTREAM_ROCKSDB_9
  decided.insert({{"ClipColumnFamily", Behaviour::kRefused},
                  {"GetPropertiesOfTablesForLevels", Behaviour::kNowhere},
                  {"MultiGetEntity", Behaviour::kRead},
                  {"NewAttributeGroupIterator", Behaviour::kRead},
                  {"NewCoalescingIterator", Behaviour::kRead},
                  {"WaitForCompact", Behaviour::kRefused},
                  {"WriteWithCallback", Behaviour::kRefused}});
#endif
  return decided;
}

// The names of the virtual functions that RocksDB's header declares in class DB.
std::set<std::string> VirtualFunctionsOfDB() {
  std::ifstream file(ROCKSDB_DB_HEADER);
  REQUIRE(file);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t begin = text.find("\nclass DB {");
  REQUIRE(begin != std::string::npos);
  text = std::regex_replace(text.substr(begin), std::regex("//[^\n]*"), "");
  const std::regex declaration("virtual\\s[^;{()]*?(~?\\w+)\\s*\\(");
  std::set<std::string> names;
  for (std::sregex_iterator it(text.begin(), text.end(), declaration), end; it != end; ++it) {
    names.insert((*it)[1]);
  }
  names.erase("~DB");
  return names;
}

TEST_CASE("db_interface: every virtual function of rocksdb::DB has a decided behaviour", "[unit]") {
  std::set<std::string> decided;
  for (const auto& [name, behaviour] : Decided()) decided.insert(name);
  REQUIRE(decided == VirtualFunctionsOfDB());
}

using Calls = std::vector<std::pair<std::string, Status>>;

Calls RefusedWrites(DB& db, ColumnFamilyHandle* cf) {
  rocksdb::WriteBatch batch;
  REQUIRE(batch.Put("a", "2").ok());
  const rocksdb::WriteOptions write;
  return {
      {"Put", db.Put(write, "a", "2")},
      {"Put", db.Put(write, cf, "a", "2")},
      {"Put", db.Put(write, cf, "a", "timestamp", "2")},
      {"PutEntity", db.PutEntity(write, cf, "a", {{"", "2"}})},
      {"Delete", db.Delete(write, "a")},
      {"Delete", db.Delete(write, cf, "a", "timestamp")},
      {"SingleDelete", db.SingleDelete(write, cf, "a")},
      {"SingleDelete", db.SingleDelete(write, cf, "a", "timestamp")},
      {"DeleteRange", db.DeleteRange(write, cf, "a", "z")},
      {"DeleteRange", db.DeleteRange(write, cf, "a", "z", "timestamp")},
      {"Merge", db.Merge(write, "a", "2")},
      {"Merge", db.Merge(write, cf, "a", "timestamp", "2")},
      {"Write", db.Write(write, &batch)},
  };
}

Calls RefusedChangesOfFamilies(DB& db, ColumnFamilyHandle* cf) {
  ColumnFamilyHandle* made = cf;
  ColumnFamilyHandle* imported = cf;
  std::vector<ColumnFamilyHandle*> handles = {cf}, more = {cf};
  Calls calls = {
      {"CreateColumnFamily", db.CreateColumnFamily({}, "new", &made)},
      {"CreateColumnFamilies", db.CreateColumnFamilies({}, {std::string("new")}, &handles)},
      {"CreateColumnFamilies",
       db.CreateColumnFamilies({rocksdb::ColumnFamilyDescriptor("new", {})}, &more)},
      {"CreateColumnFamilyWithImport",
       db.CreateColumnFamilyWithImport({}, "new", {}, rocksdb::ExportImportFilesMetaData(),
                                       &imported)},
      {"DropColumnFamily", db.DropColumnFamily(cf)},
      {"DropColumnFamilies", db.DropColumnFamilies({cf})},
  };
  // A host deletes what it finds there.
  REQUIRE(made == nullptr);
  REQUIRE(imported == nullptr);
  REQUIRE(handles.empty());
  REQUIRE(more.empty());
  return calls;
}

Calls RefusedChangesOfFiles(DB& db, ColumnFamilyHandle* cf) {
  std::vector<std::string> files;
  std::vector<rocksdb::LiveFileStorageInfo> infos;
  rocksdb::VectorLogPtr wals;
  std::unique_ptr<rocksdb::LogFile> wal;
  std::unique_ptr<rocksdb::TransactionLogIterator> updates;
  uint64_t size = 0;
  rocksdb::IngestExternalFileArg arg;
  arg.column_family = cf;
  return {
      {"IngestExternalFile", db.IngestExternalFile({"/a.sst"}, {})},
      {"IngestExternalFile", db.IngestExternalFile(cf, {"/a.sst"}, {})},
      {"IngestExternalFiles", db.IngestExternalFiles({arg})},
      {"DeleteFile", db.DeleteFile("000001.sst")},
      {"Flush", db.Flush({})},
      {"Flush", db.Flush({}, {cf})},
      {"FlushWAL", db.FlushWAL(true)},
      {"SyncWAL", db.SyncWAL()},
      {"LockWAL", db.LockWAL()},
      {"UnlockWAL", db.UnlockWAL()},
      {"CompactRange", db.CompactRange({}, nullptr, nullptr)},
      {"CompactRange", db.CompactRange({}, cf, nullptr, nullptr)},
      {"CompactFiles", db.CompactFiles({}, {"000001.sst"}, 1)},
      {"SuggestCompactRange", db.SuggestCompactRange(cf, nullptr, nullptr)},
      {"PromoteL0", db.PromoteL0(cf, 1)},
      {"IncreaseFullHistoryTsLow", db.IncreaseFullHistoryTsLow(cf, "t")},
      {"GetLiveFiles", db.GetLiveFiles(files, &size, true)},
      {"GetLiveFilesStorageInfo", db.GetLiveFilesStorageInfo({}, &infos)},
      {"GetSortedWalFiles", db.GetSortedWalFiles(wals)},
      {"GetCurrentWalFile", db.GetCurrentWalFile(&wal)},
      {"GetUpdatesSince", db.GetUpdatesSince(0, &updates)},
  };
}

Calls RefusedSettings(DB& db, ColumnFamilyHandle* cf) {
  std::unique_ptr<rocksdb::Replayer> replayer;
  std::unique_ptr<rocksdb::StatsHistoryIterator> history;
  return {
      {"SetOptions", db.SetOptions({{"write_buffer_size", "1"}})},
      {"SetOptions", db.SetOptions(cf, {{"write_buffer_size", "1"}})},
      {"SetDBOptions", db.SetDBOptions({{"max_open_files", "1"}})},
      {"PauseBackgroundWork", db.PauseBackgroundWork()},
      {"ContinueBackgroundWork", db.ContinueBackgroundWork()},
      {"EnableAutoCompaction", db.EnableAutoCompaction({cf})},
      {"DisableFileDeletions", db.DisableFileDeletions()},
      {"EnableFileDeletions", db.EnableFileDeletions()},
      {"Resume", db.Resume()},
      {"ResetStats", db.ResetStats()},
      {"TryCatchUpWithPrimary", db.TryCatchUpWithPrimary()},
      {"StartTrace", db.StartTrace({}, nullptr)},
      {"EndTrace", db.EndTrace()},
      {"StartIOTrace", db.StartIOTrace({}, nullptr)},
      {"EndIOTrace", db.EndIOTrace()},
      {"StartBlockCacheTrace", db.StartBlockCacheTrace(rocksdb::TraceOptions(), nullptr)},
      {"EndBlockCacheTrace", db.EndBlockCacheTrace()},
      {"NewDefaultReplayer", db.NewDefaultReplayer({}, nullptr, &replayer)},
      {"GetStatsHistory", db.GetStatsHistory(0, 1, &history)},
  };
}

Calls RefusedSinceRocksDB7([[maybe_unused]] DB& db, [[maybe_unused]] ColumnFamilyHandle* cf) {
  Calls calls;
#if SLIPSTREAM_ROCKSDB_9
  rocksdb::WriteBatch batch;
  const std::vector<const rocksdb::ExportImportFilesMetaData*> exports;
  ColumnFamilyHandle* imported = cf;
  calls = {
      {"PutEntity", db.PutEntity({}, "a", rocksdb::AttributeGroups())},
      {"WriteWithCallback", db.WriteWithCallback({}, &batch, nullptr)},
      {"CreateColumnFamilyWithImport",
       db.CreateColumnFamilyWithImport({}, "new", {}, exports, &imported)},
      {"ClipColumnFamily", db.ClipColumnFamily(cf, "a", "z")},
      {"WaitForCompact", db.WaitForCompact({})},
  };
  REQUIRE(imported == nullptr);
#endif
  return calls;
}

TEST_CASE("db_interface: calls that change anything are refused and name themselves", "[unit]") {
  FollowerFacade f;
  f.Publish("1");
  std::set<std::string> called;
  for (const auto& refused : {RefusedWrites, RefusedChangesOfFamilies, RefusedChangesOfFiles,
                              RefusedSettings, RefusedSinceRocksDB7}) {
    for (const auto& [call, status] : refused(*f.db, f.other.get())) {
      INFO(call << ": " << status.ToString());
      REQUIRE(status.IsNotSupported());
      REQUIRE(status.ToString().find(call + ": this database is a follower; ") !=
              std::string::npos);
      called.insert(call);
    }
  }
  f.db->DisableManualCompaction();
  f.db->EnableManualCompaction();
  std::set<std::string> expected;
  for (const auto& [name, behaviour] : Decided()) {
    if (behaviour == Behaviour::kRefused) expected.insert(name);
  }
  REQUIRE(called == expected);
  REQUIRE(f.Get("a") == "1");
}

TEST_CASE("db_interface: what is rarely asked comes from the current generation", "[unit]") {
  FollowerFacade f;
  for (int generation = 0; generation < 2; ++generation) {
    f.Publish("value of " + std::to_string(generation), true);
    DB& db = *f.db;
    DB* inner = f.generations.current()->db();
    std::string ours, theirs;
    REQUIRE(db.GetDbSessionId(ours).ok());
    REQUIRE(inner->GetDbSessionId(theirs).ok());
    REQUIRE(ours == theirs);
    REQUIRE(db.MaxMemCompactionLevel() == inner->MaxMemCompactionLevel());
    std::vector<rocksdb::ColumnFamilyMetaData> families;
    db.GetAllColumnFamilyMetaData(&families);
    REQUIRE(families.size() == 2);
    const rocksdb::Range all("a", "z");
    rocksdb::TablePropertiesCollection tables;
    REQUIRE(db.GetPropertiesOfTablesInRange(f.other.get(), &all, 1, &tables).ok());
    REQUIRE(tables.size() == 1);
    REQUIRE(db.VerifyChecksum({}).ok());
    // RocksDB keeps no checksums of files unless it is given a way to make them.
    REQUIRE(db.VerifyFileChecksums({}).IsInvalidArgument());
    std::unique_ptr<rocksdb::FileChecksumList> list(rocksdb::NewFileChecksumList());
    REQUIRE(db.GetLiveFilesChecksumInfo(list.get()).ok());
    REQUIRE(list->size() == 2);
    uint64_t ours_created = 0, theirs_created = 0;
    REQUIRE(db.GetCreationTimeOfOldestFile(&ours_created) ==
            inner->GetCreationTimeOfOldestFile(&theirs_created));
    REQUIRE(ours_created == theirs_created);
    // None of these has timestamps.
    REQUIRE(db.GetFullHistoryTsLow(f.plain.get(), &ours).IsInvalidArgument());
    REQUIRE(db.GetDBOptions().create_if_missing == inner->GetDBOptions().create_if_missing);
    REQUIRE(db.GetEnv() == rocksdb::Env::Default());
    REQUIRE(db.GetFileSystem() == rocksdb::Env::Default()->GetFileSystem().get());
    REQUIRE(db.DefaultColumnFamily() == f.plain.get());
#if SLIPSTREAM_ROCKSDB_9
    std::vector<std::unique_ptr<rocksdb::TablePropertiesCollection>> levels;
    REQUIRE(db.GetPropertiesOfTablesForLevels(f.plain.get(), &levels).IsNotSupported());
    REQUIRE(inner->GetPropertiesOfTablesForLevels(inner->DefaultColumnFamily(), &levels)
                .IsNotSupported());
#endif
    REQUIRE(db.Close().ok());
    REQUIRE(f.Get("a") == "value of " + std::to_string(generation));
  }
}

}  // namespace
}  // namespace slipstream
