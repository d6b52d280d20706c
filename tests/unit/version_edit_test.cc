#include "lib/core/version_edit.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/coding.h"
#include "lib/core/rocksdb_release.h"
#include "rocksdb/comparator.h"
#include "rocksdb/convenience.h"
#include "rocksdb/experimental.h"
#include "rocksdb/metadata.h"
#include "rocksdb/sst_file_writer.h"
#include "rocksdb/utilities/transaction_db.h"
#include "tests/unit/random_seed.h"
#include "tests/unit/scratch_database.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;
using testing::RequireOk;

std::vector<VersionEditSummary> Decode(const std::vector<std::string>& records) {
  std::vector<VersionEditSummary> edits(records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    const Status s = DecodeVersionEdit(records[i], &edits[i]);
    INFO(s.ToString());
    REQUIRE(s.ok());
    REQUIRE(edits[i].understood);
    REQUIRE(edits[i].message.empty());
    REQUIRE(edits[i].ignored_tags == 0);
  }
  return edits;
}

// One database, and the manifest edits that an operation on it writes.
class Fixture {
 public:
  explicit Fixture(const rocksdb::Options& options = testing::ScratchOptions())
      : options_(options), db_(testing::OpenDatabase(options, directory_.path())) {}

  ~Fixture() {
    for (rocksdb::ColumnFamilyHandle* handle : handles_) {
      (void)db_->DestroyColumnFamilyHandle(handle);
    }
  }

  rocksdb::DB* operator->() { return db_.get(); }
  rocksdb::DB* db() { return db_.get(); }
  std::string Path(const std::string& name) const { return directory_ / name; }

  std::vector<VersionEditSummary> AllEdits() const {
    return Decode(testing::ReadRecords(testing::ReadCurrentManifest(directory_.path())));
  }

  std::vector<VersionEditSummary> EditsOf(const std::function<void()>& operation) const {
    const size_t before = AllEdits().size();
    operation();
    std::vector<VersionEditSummary> all = AllEdits();
    REQUIRE(all.size() >= before);
    all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(before));
    return all;
  }

  void Put(const std::string& key, size_t value_size = 10) {
    RequireOk(db_->Put(rocksdb::WriteOptions(), key, std::string(value_size, 'v')));
  }

  void PutAndFlush(const std::string& key, size_t value_size = 10) {
    Put(key, value_size);
    RequireOk(db_->Flush(rocksdb::FlushOptions()));
  }

  rocksdb::ColumnFamilyHandle* CreateColumnFamily(const std::string& name) {
    rocksdb::ColumnFamilyHandle* handle = nullptr;
    RequireOk(db_->CreateColumnFamily(options_, name, &handle));
    handles_.push_back(handle);
    return handle;
  }

  // Takes over the destruction of a handle.
  rocksdb::ColumnFamilyHandle* Own(rocksdb::ColumnFamilyHandle* handle) {
    handles_.push_back(handle);
    return handle;
  }

  // Writes an SST with one key that can be ingested.
  std::string MakeSst(const std::string& name, const std::string& key) const {
    std::string path = Path(name);
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options_);
    RequireOk(writer.Open(path));
    RequireOk(writer.Put(key, "ingested"));
    RequireOk(writer.Finish());
    return path;
  }

 private:
  rocksdb::Options options_;
  testing::ScratchDirectory directory_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
};

std::vector<EditKind> Kinds(const std::vector<VersionEditSummary>& edits) {
  std::vector<EditKind> kinds;
  for (const VersionEditSummary& edit : edits) kinds.push_back(ClassifyEdit(edit));
  return kinds;
}

constexpr EditKind kFlush = EditKind::kFlush;
constexpr EditKind kCompaction = EditKind::kCompaction;
constexpr EditKind kHousekeeping = EditKind::kHousekeeping;
constexpr EditKind kBarrier = EditKind::kBarrier;
using KindList = std::vector<EditKind>;

void ForceCompaction(rocksdb::DB* db) {
  rocksdb::CompactRangeOptions options;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  RequireOk(db->CompactRange(options, nullptr, nullptr));
}

// ---- What RocksDB writes.

TEST_CASE("version_edit: a flush is a flush and a log counter", "[unit]") {
  Fixture f;
  const auto edits = f.EditsOf([&] { f.PutAndFlush("key"); });
  REQUIRE(Kinds(edits) == KindList{kFlush, kHousekeeping});
  REQUIRE(edits[0].added_files.size() == 1);
  REQUIRE(edits[0].log_number.has_value());
  REQUIRE(edits[0].prev_log_number == 0);
  REQUIRE(edits[0].last_sequence == 1);
  REQUIRE(edits[0].next_file_number > edits[0].added_files[0]);
  REQUIRE(edits[1].min_log_number_to_keep == edits[0].log_number);
}

TEST_CASE("version_edit: a flush that leaves no table is a flush", "[unit]") {
  Fixture f;
  const auto edits = f.EditsOf([&] {
    f.Put("key");
    RequireOk(f->SingleDelete(rocksdb::WriteOptions(), "key"));
    RequireOk(f->Flush(rocksdb::FlushOptions()));
  });
  REQUIRE(Kinds(edits) == KindList{kFlush, kHousekeeping});
  REQUIRE(edits[0].added_files.empty());
}

TEST_CASE("version_edit: an atomic flush is a group of flushes", "[unit]") {
  rocksdb::Options options = testing::ScratchOptions();
  options.atomic_flush = true;
  Fixture f(options);
  rocksdb::ColumnFamilyHandle* other = f.CreateColumnFamily("other");
  const auto edits = f.EditsOf([&] {
    f.Put("key");
    RequireOk(f->Put(rocksdb::WriteOptions(), other, "key", "value"));
    RequireOk(f->Flush(rocksdb::FlushOptions(), {f->DefaultColumnFamily(), other}));
  });
  REQUIRE(Kinds(edits) == KindList{kFlush, kFlush, kHousekeeping});
  REQUIRE(edits[0].remaining_entries == 2);
  REQUIRE(edits[1].remaining_entries == 1);
  REQUIRE(edits[2].remaining_entries == 0);
  REQUIRE(edits[0].column_family + edits[1].column_family == other->GetID());
}

TEST_CASE("version_edit: a mempurge writes no barrier", "[unit]") {
  rocksdb::Options options = testing::ScratchOptions();
  options.experimental_mempurge_threshold = 10.0;
  options.write_buffer_size = 64 << 10;
  Fixture f(options);
  const auto edits = f.EditsOf([&] {
    for (int i = 0; i < 2000; ++i) f.Put("key" + std::to_string(i % 5), 1000);
    rocksdb::CancelAllBackgroundWork(f.db(), /*wait=*/true);
  });
  // About thirty memtables were filled; most of them were purged into a new one without any edit.
  REQUIRE(edits.size() < 20);
  const KindList kinds = Kinds(edits);
  REQUIRE(std::all_of(kinds.begin(), kinds.end(),
                      [](EditKind kind) { return kind == kFlush || kind == kHousekeeping; }));
}

TEST_CASE("version_edit: a flush with two-phase commit is a flush", "[unit]") {
  testing::ScratchDirectory directory;
  rocksdb::TransactionDB* raw = nullptr;
  RequireOk(rocksdb::TransactionDB::Open(testing::ScratchOptions(), rocksdb::TransactionDBOptions(),
                                         directory.path(), &raw));
  const std::unique_ptr<rocksdb::TransactionDB> db(raw);
  const auto read = [&] {
    return Decode(testing::ReadRecords(testing::ReadCurrentManifest(directory.path())));
  };
  const size_t before = read().size();
  const std::unique_ptr<rocksdb::Transaction> prepared(
      db->BeginTransaction(rocksdb::WriteOptions()));
  RequireOk(prepared->SetName("prepared"));
  RequireOk(prepared->Put("a", "1"));
  RequireOk(prepared->Prepare());
  RequireOk(db->Put(rocksdb::WriteOptions(), "b", "2"));
  RequireOk(db->Flush(rocksdb::FlushOptions()));
  auto edits = read();
  edits.erase(edits.begin(), edits.begin() + static_cast<std::ptrdiff_t>(before));
  REQUIRE(Kinds(edits) == KindList{kFlush, kHousekeeping});
  // The prepared section keeps its WAL alive although the memtable is flushed.
  REQUIRE(edits[1].min_log_number_to_keep < edits[0].log_number);
  RequireOk(prepared->Rollback());
}

TEST_CASE("version_edit: a flush with blob files is a flush", "[unit]") {
  rocksdb::Options options = testing::ScratchOptions();
  options.enable_blob_files = true;
  Fixture f(options);
  const auto edits = f.EditsOf([&] { f.PutAndFlush("key", 5000); });
  REQUIRE(Kinds(edits) == KindList{kFlush, kHousekeeping});
  REQUIRE(edits[0].added_blob_files.size() == 1);
}

TEST_CASE("version_edit: tracked WALs are housekeeping", "[unit]") {
  rocksdb::Options options = testing::ScratchOptions();
  options.track_and_verify_wals_in_manifest = true;
  Fixture f(options);
  rocksdb::ColumnFamilyHandle* other = f.CreateColumnFamily("other");
  const auto edits = f.EditsOf([&] {
    // The first flush leaves a closed WAL that the other column family needs: it is synced and
    // written down. The second flush sets it free.
    RequireOk(f->Put(rocksdb::WriteOptions(), other, "key", "value"));
    f.PutAndFlush("key");
    RequireOk(f->Flush(rocksdb::FlushOptions(), other));
  });
  const KindList kinds = Kinds(edits);
  REQUIRE(std::count(kinds.begin(), kinds.end(), kFlush) == 2);
  REQUIRE(std::count(kinds.begin(), kinds.end(), kHousekeeping) ==
          static_cast<std::ptrdiff_t>(kinds.size()) - 2);
  bool synced = false;
  bool deleted = false;
  for (const VersionEditSummary& edit : edits) {
    for (const auto& wal : edit.wal_additions) synced |= wal.synced_bytes.value_or(0) > 0;
    deleted |= !edit.wal_deletions.empty();
  }
  REQUIRE(synced);
  REQUIRE(deleted);
}

TEST_CASE("version_edit: changed options are housekeeping", "[unit]") {
  Fixture f;
  const auto edits = f.EditsOf([&] {
    RequireOk(f->SetOptions({{"write_buffer_size", "1000000"}}));
  });
  REQUIRE(Kinds(edits) == KindList{kHousekeeping});
}

TEST_CASE("version_edit: a trivial move is a compaction", "[unit]") {
  Fixture f;
  f.PutAndFlush("key");
  const auto edits = f.EditsOf(
      [&] { RequireOk(f->CompactRange(rocksdb::CompactRangeOptions(), nullptr, nullptr)); });
  REQUIRE_FALSE(edits.empty());
  REQUIRE(Kinds(edits) == KindList(edits.size(), kCompaction));
  REQUIRE(edits[0].added_files == edits[0].deleted_files);
}

TEST_CASE("version_edit: moves between levels by hand are compactions", "[unit]") {
  Fixture f;
  f.PutAndFlush("key");
  auto edits = f.EditsOf(
      [&] { RequireOk(rocksdb::experimental::PromoteL0(f.db(), f->DefaultColumnFamily(), 3)); });
  REQUIRE(Kinds(edits) == KindList{kCompaction});
  edits = f.EditsOf([&] {
    rocksdb::CompactRangeOptions options;
    options.change_level = true;
    options.target_level = 1;
    RequireOk(f->CompactRange(options, nullptr, nullptr));
  });
  REQUIRE_FALSE(edits.empty());
  REQUIRE(Kinds(edits) == KindList(edits.size(), kCompaction));
}

TEST_CASE("version_edit: a level compaction is a compaction", "[unit]") {
  Fixture f;
  for (int i = 0; i < 3; ++i) f.PutAndFlush("key");
  const auto edits = f.EditsOf([&] { ForceCompaction(f.db()); });
  REQUIRE_FALSE(edits.empty());
  REQUIRE(Kinds(edits) == KindList(edits.size(), kCompaction));
  REQUIRE(edits[0].deleted_files.size() == 3);
  // RocksDB 9.10 first moves them out of level 0 as they are.
  REQUIRE(edits[0].added_files.size() == (SLIPSTREAM_ROCKSDB_9 ? 3 : 1));
  REQUIRE(edits.back().added_files.size() == 1);
  REQUIRE_FALSE(edits[0].log_number.has_value());
}

TEST_CASE("version_edit: a compaction that leaves nothing is a barrier", "[unit]") {
  Fixture f;
  f.PutAndFlush("key");
  RequireOk(f->Delete(rocksdb::WriteOptions(), "key"));
  RequireOk(f->Flush(rocksdb::FlushOptions()));
  const auto edits = f.EditsOf([&] { ForceCompaction(f.db()); });
  REQUIRE(edits.back().added_files.empty());
  REQUIRE(ClassifyEdit(edits.back()) == kBarrier);
}

TEST_CASE("version_edit: a blob garbage collection is a compaction", "[unit]") {
  rocksdb::Options options = testing::ScratchOptions();
  options.enable_blob_files = true;
  options.enable_blob_garbage_collection = true;
  options.blob_garbage_collection_age_cutoff = 1.0;
  Fixture f(options);
  for (const char* key : {"a", "b", "a"}) {
    f.Put(std::string(key) + "2", 5000);
    f.PutAndFlush(key, 5000);
  }
  const auto edits = f.EditsOf([&] { ForceCompaction(f.db()); });
  REQUIRE_FALSE(edits.empty());
  REQUIRE(Kinds(edits) == KindList(edits.size(), kCompaction));
  uint64_t garbage = 0;
  size_t blob_files = 0;
  for (const VersionEditSummary& edit : edits) {
    garbage += edit.garbage_blob_count;
    blob_files += edit.added_blob_files.size();
  }
  REQUIRE(garbage >= 6);
  REQUIRE(blob_files >= 1);
}

TEST_CASE("version_edit: deleting files without a tombstone is a barrier", "[unit]") {
  Fixture f;
  for (const char* key : {"a", "b", "c"}) f.PutAndFlush(key);
  ForceCompaction(f.db());
  f.PutAndFlush("d");
  RequireOk(f->CompactRange(rocksdb::CompactRangeOptions(), nullptr, nullptr));
  std::vector<rocksdb::LiveFileMetaData> files;
  f->GetLiveFilesMetaData(&files);
  REQUIRE(files.size() == 2);
  SECTION("DeleteFilesInRange") {
    const Slice begin("a");
    const Slice end("c~");
    const auto edits = f.EditsOf([&] {
      RequireOk(rocksdb::DeleteFilesInRange(f.db(), f->DefaultColumnFamily(), &begin, &end));
    });
    REQUIRE(Kinds(edits) == KindList{kBarrier});
    REQUIRE(edits[0].deleted_files.size() == 1);
  }
  SECTION("DeleteFile") {
    const auto edits = f.EditsOf([&] { RequireOk(f->DeleteFile(files[1].name)); });
    REQUIRE(Kinds(edits) == KindList{kBarrier});
    REQUIRE(edits[0].deleted_files.size() == 1);
  }
}

TEST_CASE("version_edit: a FIFO drop is a barrier", "[unit]") {
  rocksdb::Options options = testing::ScratchOptions();
  options.compaction_style = rocksdb::kCompactionStyleFIFO;
  options.compaction_options_fifo.max_table_files_size = 1;
  Fixture f(options);
  f.PutAndFlush("a", 1000);
  f.PutAndFlush("b", 1000);
  const auto edits = f.EditsOf(
      [&] { RequireOk(f->CompactRange(rocksdb::CompactRangeOptions(), nullptr, nullptr)); });
  REQUIRE_FALSE(edits.empty());
  REQUIRE(Kinds(edits) == KindList(edits.size(), kBarrier));
}

// An ingest and an import first write an edit that only reserves file numbers.
TEST_CASE("version_edit: an ingest is a barrier", "[unit]") {
  Fixture f;
  const std::string sst = f.MakeSst("one.sst", "key");
  const auto edits = f.EditsOf(
      [&] { RequireOk(f->IngestExternalFile({sst}, rocksdb::IngestExternalFileOptions())); });
  REQUIRE(Kinds(edits) == KindList{kHousekeeping, kBarrier});
  REQUIRE(edits[1].added_files.size() == 1);
  REQUIRE_FALSE(edits[1].log_number.has_value());
}

TEST_CASE("version_edit: an ingest over a memtable is a flush and a barrier", "[unit]") {
  Fixture f;
  const std::string sst = f.MakeSst("one.sst", "key");
  const auto edits = f.EditsOf([&] {
    f.Put("key");
    RequireOk(f->IngestExternalFile({sst}, rocksdb::IngestExternalFileOptions()));
  });
  REQUIRE(Kinds(edits) == KindList{kHousekeeping, kFlush, kHousekeeping, kBarrier});
}

TEST_CASE("version_edit: an ingest into two column families is a group of barriers", "[unit]") {
  Fixture f;
  std::vector<rocksdb::IngestExternalFileArg> args(2);
  args[0].column_family = f->DefaultColumnFamily();
  args[0].external_files = {f.MakeSst("one.sst", "key")};
  args[1].column_family = f.CreateColumnFamily("other");
  args[1].external_files = {f.MakeSst("two.sst", "key")};
  const auto edits = f.EditsOf([&] { RequireOk(f->IngestExternalFiles(args)); });
  REQUIRE(Kinds(edits) == KindList{kHousekeeping, kBarrier, kBarrier});
  REQUIRE(edits[1].remaining_entries == 1);
  REQUIRE(edits[2].remaining_entries == 0);
}

TEST_CASE("version_edit: adding and dropping a column family are barriers", "[unit]") {
  Fixture f;
  rocksdb::ColumnFamilyHandle* other = nullptr;
  auto edits = f.EditsOf([&] { other = f.CreateColumnFamily("other"); });
  REQUIRE(Kinds(edits) == KindList{kBarrier});
  REQUIRE(edits[0].column_family_add);
  REQUIRE(edits[0].column_family_name == "other");
  REQUIRE(edits[0].column_family == other->GetID());
  REQUIRE(edits[0].comparator == rocksdb::BytewiseComparator()->Name());
  // The edit has a log number too, and still is no flush.
  REQUIRE(edits[0].log_number.has_value());
  edits = f.EditsOf([&] { RequireOk(f->DropColumnFamily(other)); });
  REQUIRE(Kinds(edits) == KindList{kBarrier});
  REQUIRE(edits[0].column_family_drop);
  REQUIRE(edits[0].column_family == other->GetID());
  REQUIRE(edits[0].max_column_family == other->GetID());
}

TEST_CASE("version_edit: an import is two barriers", "[unit]") {
  Fixture f;
  rocksdb::ExportImportFilesMetaData metadata;
  const std::string sst = f.MakeSst("import.sst", "key");
  rocksdb::LiveFileMetaData file;
  file.name = "import.sst";
  file.db_path = sst.substr(0, sst.rfind('/'));
  file.level = 0;
  file.smallestkey = file.largestkey = "key";
  metadata.db_comparator_name = rocksdb::BytewiseComparator()->Name();
  metadata.files.push_back(file);
  rocksdb::ColumnFamilyHandle* imported = nullptr;
  const auto edits = f.EditsOf([&] {
    RequireOk(f->CreateColumnFamilyWithImport(testing::ScratchOptions(), "imported",
                                              rocksdb::ImportColumnFamilyOptions(), metadata,
                                              &imported));
    f.Own(imported);
  });
  REQUIRE(Kinds(edits) == KindList{kBarrier, kHousekeeping, kBarrier});
  REQUIRE(edits[0].column_family_add);
  REQUIRE(edits[2].added_files.size() == 1);
}

// Keys that end in eight bytes of timestamp.
class TimestampComparator : public rocksdb::Comparator {
 public:
  TimestampComparator() : rocksdb::Comparator(sizeof(uint64_t)) {}

  const char* Name() const override { return "slipstream.TimestampComparator"; }
  int Compare(const Slice& a, const Slice& b) const override {
    const int by_key = CompareWithoutTimestamp(a, true, b, true);
    return by_key != 0 ? by_key : -CompareTimestamp(Timestamp(a), Timestamp(b));
  }
  int CompareWithoutTimestamp(const Slice& a, bool a_has_ts, const Slice& b,
                              bool b_has_ts) const override {
    return Key(a, a_has_ts).compare(Key(b, b_has_ts));
  }
  int CompareTimestamp(const Slice& a, const Slice& b) const override {
    const uint64_t left = DecodeFixed64(a.data());
    const uint64_t right = DecodeFixed64(b.data());
    return left < right ? -1 : left > right ? 1 : 0;
  }
  void FindShortestSeparator(std::string*, const Slice&) const override {}
  void FindShortSuccessor(std::string*) const override {}

 private:
  static Slice Key(const Slice& a, bool has_ts) {
    return has_ts ? Slice(a.data(), a.size() - sizeof(uint64_t)) : a;
  }
  static Slice Timestamp(const Slice& a) {
    return Slice(a.data() + a.size() - sizeof(uint64_t), sizeof(uint64_t));
  }
};

TEST_CASE("version_edit: raising full_history_ts_low is a barrier", "[unit]") {
  const TimestampComparator comparator;
  rocksdb::Options options = testing::ScratchOptions();
  options.comparator = &comparator;
  Fixture f(options);
  std::string timestamp;
  PutFixed64(&timestamp, 42);
  const auto edits = f.EditsOf(
      [&] { RequireOk(f->IncreaseFullHistoryTsLow(f->DefaultColumnFamily(), timestamp)); });
  REQUIRE(Kinds(edits) == KindList{kBarrier});
  REQUIRE(edits[0].full_history_ts_low == timestamp);
}

TEST_CASE("version_edit: every edit of a varied history is understood", "[unit]") {
  testing::ScratchDirectory directory;
  rocksdb::Options options = testing::ScratchOptions();
  options.write_dbid_to_manifest = true;
  options.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  for (int opens = 0; opens < 4; ++opens) {
    auto db = testing::OpenDatabase(options, directory.path());
    for (int i = 0; i < 5; ++i) {
      RequireOk(db->Put(rocksdb::WriteOptions(), std::to_string(opens * 5 + i), "value"));
      if (i % 2 == 0) RequireOk(db->Flush(rocksdb::FlushOptions()));
    }
    ForceCompaction(db.get());
    const auto edits = Decode(testing::ReadRecords(testing::ReadCurrentManifest(directory.path())));
    // The head of the file: the id, the comparator, and the state of the default column family.
    REQUIRE(edits[0].db_id.has_value());
    // RocksDB 9.10 says before the comparator which WALs are gone; if none are, by an empty one.
    const auto comparator = std::find_if(
        edits.begin(), edits.end(), [](const auto& edit) { return edit.comparator.has_value(); });
    REQUIRE(edits.end() - comparator > 1);
    REQUIRE((comparator - edits.begin() > 1) == (SLIPSTREAM_ROCKSDB_9 != 0));
    REQUIRE(comparator->comparator == rocksdb::BytewiseComparator()->Name());
    REQUIRE(comparator->persist_user_defined_timestamps.has_value() == (SLIPSTREAM_ROCKSDB_9 != 0));
    const VersionEditSummary& state = comparator[1];
    REQUIRE(state.log_number.has_value());
    REQUIRE(state.added_files.size() == (opens == 0 ? 0 : 1));
  }
}

// ---- What RocksDB does not write.

std::string TaggedVarint(uint32_t tag, uint64_t value) {
  std::string bytes;
  PutVarint32(&bytes, tag);
  PutVarint64(&bytes, value);
  return bytes;
}

std::string NewFile(uint32_t tag, uint64_t number, const std::string& fields) {
  const std::string key(9, 'k');
  std::string bytes;
  PutVarint32(&bytes, tag);
  PutVarint32(&bytes, 1);
  PutVarint64(&bytes, number);
  if (tag == 102) PutVarint32(&bytes, 0);
  PutVarint64(&bytes, 1000);
  PutLengthPrefixedSlice(&bytes, key);
  PutLengthPrefixedSlice(&bytes, key);
  if (tag != 7) {
    PutVarint64(&bytes, 5);
    PutVarint64(&bytes, 6);
  }
  return bytes + fields;
}

TEST_CASE("version_edit: an empty record is housekeeping", "[unit]") {
  VersionEditSummary edit;
  RequireOk(DecodeVersionEdit(Slice(), &edit));
  REQUIRE(ClassifyEdit(edit) == kHousekeeping);
}

TEST_CASE("version_edit: whether timestamps are stored is said in one byte", "[unit]") {
  for (const std::string& flag : {std::string(1, '\0'), std::string(1, '\1')}) {
    std::string record;
    PutVarint32(&record, 8201);
    PutLengthPrefixedSlice(&record, flag);
    VersionEditSummary edit;
    RequireOk(DecodeVersionEdit(record, &edit));
    REQUIRE(edit.persist_user_defined_timestamps == (flag[0] == 1));
    REQUIRE(edit.ignored_tags == 0);
  }
  for (const std::string& flag : {std::string(), std::string("12")}) {
    std::string record;
    PutVarint32(&record, 8201);
    PutLengthPrefixedSlice(&record, flag);
    VersionEditSummary edit;
    const Status s = DecodeVersionEdit(record, &edit);
    REQUIRE(s.IsCorruption());
    REQUIRE(s.ToString().find("persist_user_defined_timestamps") != std::string::npos);
  }
}

TEST_CASE("version_edit: all versions of a new file are decoded", "[unit]") {
  std::string fields;
  PutVarint32(&fields, 3);
  std::string number;
  PutFixed64(&number, 77);
  PutLengthPrefixedSlice(&fields, number);
  PutVarint32(&fields, 65);
  PutLengthPrefixedSlice(&fields, std::string(1, '\0'));
  PutVarint32(&fields, 60);
  PutLengthPrefixedSlice(&fields, "of a later release");
  PutVarint32(&fields, 1);
  VersionEditSummary edit;
  RequireOk(DecodeVersionEdit(
      NewFile(7, 10, "") + NewFile(100, 11, "") + NewFile(102, 12, "") + NewFile(103, 13, fields),
      &edit));
  REQUIRE(edit.added_files == std::vector<uint64_t>{10, 11, 12, 13});
  REQUIRE(edit.min_log_number_to_keep == 77);
}

TEST_CASE("version_edit: an unknown tag that must not be ignored is a barrier", "[unit]") {
  VersionEditSummary edit;
  const Status s = DecodeVersionEdit(TaggedVarint(2, 9) + TaggedVarint(11, 1), &edit);
  REQUIRE(s.IsNotSupported());
  REQUIRE_FALSE(edit.understood);
  REQUIRE(edit.message.find("tag 11") != std::string::npos);
  REQUIRE(edit.log_number == 9);
  REQUIRE(ClassifyEdit(edit) == kBarrier);
}

TEST_CASE("version_edit: an unknown ignorable tag is skipped and makes a barrier", "[unit]") {
  std::string record = TaggedVarint(2, 9);
  PutVarint32(&record, 8192 + 900);
  PutLengthPrefixedSlice(&record, "something new");
  record += TaggedVarint(3, 10);
  VersionEditSummary edit;
  RequireOk(DecodeVersionEdit(record, &edit));
  REQUIRE(edit.understood);
  REQUIRE(edit.ignored_tags == 1);
  REQUIRE(edit.next_file_number == 10);
  REQUIRE(ClassifyEdit(edit) == kBarrier);
}

TEST_CASE("version_edit: unknown fields that must not be ignored are refused", "[unit]") {
  std::string field;
  PutVarint32(&field, 66);
  PutLengthPrefixedSlice(&field, "x");
  PutVarint32(&field, 1);
  VersionEditSummary edit;
  REQUIRE(DecodeVersionEdit(NewFile(103, 13, field), &edit).IsNotSupported());
  std::string blob = TaggedVarint(401, 5) + '\1' + '\1' + '\100';
  REQUIRE(DecodeVersionEdit(blob, &edit).IsNotSupported());
  REQUIRE_FALSE(edit.understood);
}

TEST_CASE("version_edit: an old-style WAL entry and blob entry are decoded", "[unit]") {
  // WAL 5 synced up to 300 bytes; WALs before 4 gone; blob file 6; three garbage blobs in it.
  std::string record = TaggedVarint(8196, 5) + '\2';
  PutVarint64(&record, 300);
  record += '\1';
  record += TaggedVarint(8197, 4);
  record += TaggedVarint(8194, 6) + '\3' + '\3' + '\0' + '\0' + '\0';
  record += TaggedVarint(8195, 6) + '\3' + '\3' + '\0';
  VersionEditSummary edit;
  RequireOk(DecodeVersionEdit(record, &edit));
  REQUIRE(edit.wal_additions.size() == 1);
  REQUIRE(edit.wal_additions[0].number == 5);
  REQUIRE(edit.wal_additions[0].synced_bytes == 300);
  REQUIRE(edit.wal_deletions == std::vector<uint64_t>{4});
  REQUIRE(edit.added_blob_files == std::vector<uint64_t>{6});
  REQUIRE(edit.garbage_blob_count == 3);
  REQUIRE(ClassifyEdit(edit) == kBarrier);
}

TEST_CASE("version_edit: a compaction with a log number is a barrier", "[unit]") {
  VersionEditSummary edit;
  edit.understood = true;
  edit.deleted_files = {1};
  edit.added_files = {2};
  REQUIRE(ClassifyEdit(edit) == kCompaction);
  edit.log_number = 3;
  REQUIRE(ClassifyEdit(edit) == kBarrier);
}

TEST_CASE("version_edit: a summary that was never decoded is a barrier", "[unit]") {
  REQUIRE(ClassifyEdit(VersionEditSummary()) == kBarrier);
  REQUIRE(std::string(EditKindName(kBarrier)) == "barrier");
}

TEST_CASE("version_edit: damaged records are refused or decoded, never worse", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  Fixture f;
  (void)f.CreateColumnFamily("other");
  f.PutAndFlush("key");
  f.PutAndFlush("key");
  ForceCompaction(f.db());
  const std::vector<std::string> records =
      testing::ReadRecords(testing::ReadCurrentManifest(f.Path("")));
  for (const std::string& record : records) {
    if (record.empty()) continue;  // RocksDB 9.10 writes such
    for (size_t cut = 0; cut < record.size(); ++cut) {
      VersionEditSummary edit;
      const Status s = DecodeVersionEdit(Slice(record.data(), cut), &edit);
      REQUIRE(s.ok() == edit.understood);
      REQUIRE(s.ok() == edit.message.empty());
    }
    for (int round = 0; round < 2000; ++round) {
      std::string damaged = record;
      for (uint64_t n = 1 + random() % 3; n > 0; --n) {
        damaged[random() % damaged.size()] = static_cast<char>(random());
      }
      VersionEditSummary edit;
      const Status s = DecodeVersionEdit(damaged, &edit);
      REQUIRE(s.ok() == edit.understood);
      if (!s.ok()) REQUIRE(ClassifyEdit(edit) == kBarrier);
    }
  }
}

}  // namespace
}  // namespace slipstream
