#include "lib/core/manifest_state.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "rocksdb/comparator.h"
#include "rocksdb/convenience.h"
#include "rocksdb/metadata.h"
#include "tests/unit/random_seed.h"
#include "tests/unit/scratch_database.h"

namespace slipstream {
namespace {

using rocksdb::Status;
using testing::RequireOk;

VersionEditSummary Edit() {
  VersionEditSummary edit;
  edit.understood = true;
  return edit;
}

VersionEditSummary FileEdit(uint32_t family, std::vector<uint64_t> deleted,
                            std::vector<uint64_t> added) {
  VersionEditSummary edit = Edit();
  edit.column_family = family;
  edit.deleted_files = std::move(deleted);
  edit.added_files = std::move(added);
  return edit;
}

VersionEditSummary AddFamily(uint32_t id, const std::string& name) {
  VersionEditSummary edit = Edit();
  edit.column_family = id;
  edit.column_family_add = true;
  edit.column_family_name = name;
  return edit;
}

VersionEditSummary DropFamily(uint32_t id) {
  VersionEditSummary edit = Edit();
  edit.column_family = id;
  edit.column_family_drop = true;
  return edit;
}

VersionEditSummary Grouped(VersionEditSummary edit, uint32_t remaining) {
  edit.remaining_entries = remaining;
  return edit;
}

// Folds the current manifest of a database.
void Fold(const std::string& database, ManifestState* state) {
  for (const std::string& record : testing::ReadRecords(testing::ReadCurrentManifest(database))) {
    VersionEditSummary edit;
    RequireOk(DecodeVersionEdit(record, &edit));
    RequireOk(state->Apply(edit));
  }
}

// Checks that the state says what the database says of itself.
void RequireSame(const ManifestState& state, rocksdb::DB* db, size_t families) {
  REQUIRE(state.column_families().size() == families);
  REQUIRE(state.pending_edits() == 0);
  std::vector<rocksdb::LiveFileMetaData> files;
  db->GetLiveFilesMetaData(&files);
  REQUIRE(files.size() == state.table_files().size());
  std::map<std::string, uint64_t> counts;
  for (const rocksdb::LiveFileMetaData& file : files) {
    const auto found = state.table_files().find(file.file_number);
    REQUIRE(found != state.table_files().end());
    REQUIRE(state.column_families().at(found->second).name == file.column_family_name);
    ++counts[file.column_family_name];
  }
  for (const auto& [id, family] : state.column_families()) {
    REQUIRE(family.id == id);
    REQUIRE(family.table_files == counts[family.name]);
    REQUIRE(family.comparator == rocksdb::BytewiseComparator()->Name());
    REQUIRE(family.log_number < state.next_file_number());
  }
  REQUIRE(state.last_sequence() <= db->GetLatestSequenceNumber());
  for (const auto& file : state.table_files()) REQUIRE(file.first < state.next_file_number());
}

TEST_CASE("manifest_state: it agrees with RocksDB over a random history", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  testing::ScratchDirectory directory;
  rocksdb::Options options = testing::ScratchOptions();
  options.atomic_flush = random() % 2 == 0;
  options.write_dbid_to_manifest = true;
  options.track_and_verify_wals_in_manifest = random() % 2 == 0;
  // Small enough for the manifest to be rolled a few times.
  options.max_manifest_file_size = 4000;
  auto db = testing::OpenDatabase(options, directory.path());
  std::vector<rocksdb::ColumnFamilyHandle*> handles = {db->DefaultColumnFamily()};
  int names = 0;
  for (int step = 0; step < 120; ++step) {
    rocksdb::ColumnFamilyHandle* some = handles[random() % handles.size()];
    switch (random() % 8) {
      case 0:
        if (handles.size() < 6) {
          handles.push_back(nullptr);
          RequireOk(
              db->CreateColumnFamily(options, "family" + std::to_string(names++), &handles.back()));
        }
        break;
      case 1:
        if (handles.size() > 1 && random() % 2 == 0) {
          RequireOk(db->DropColumnFamily(handles.back()));
          RequireOk(db->DestroyColumnFamilyHandle(handles.back()));
          handles.pop_back();
        }
        break;
      case 2:
        RequireOk(db->CompactRange(rocksdb::CompactRangeOptions(), some, nullptr, nullptr));
        break;
      case 3:
        RequireOk(rocksdb::DeleteFilesInRange(db.get(), some, nullptr, nullptr));
        break;
      default:
        for (rocksdb::ColumnFamilyHandle* handle : handles) {
          RequireOk(db->Put(rocksdb::WriteOptions(), handle, std::to_string(random() % 50), "v"));
        }
        RequireOk(options.atomic_flush ? db->Flush(rocksdb::FlushOptions(), handles)
                                       : db->Flush(rocksdb::FlushOptions(), some));
    }
    ManifestState state("MANIFEST");
    Fold(directory.path(), &state);
    RequireSame(state, db.get(), handles.size());
    std::string id;
    RequireOk(db->GetDbIdentity(id));
    REQUIRE(state.db_id() == id);
  }
  handles.erase(handles.begin());
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    RequireOk(db->DestroyColumnFamilyHandle(handle));
  }
}

TEST_CASE("manifest_state: a reopened database gives the same state", "[unit]") {
  testing::ScratchDirectory directory;
  auto db = testing::OpenDatabase(testing::ScratchOptions(), directory.path());
  for (int i = 0; i < 3; ++i) {
    RequireOk(db->Put(rocksdb::WriteOptions(), "key", "value"));
    RequireOk(db->Flush(rocksdb::FlushOptions()));
  }
  ManifestState before("before");
  Fold(directory.path(), &before);
  db.reset();
  db = testing::OpenDatabase(testing::ScratchOptions(), directory.path());
  ManifestState after("after");
  Fold(directory.path(), &after);
  RequireSame(after, db.get(), 1);
  REQUIRE(after.table_files() == before.table_files());
  REQUIRE(after.last_sequence() == before.last_sequence());
  REQUIRE(after.column_families().at(0).log_number > before.column_families().at(0).log_number);
}

TEST_CASE("manifest_state: the default column family is there from the start", "[unit]") {
  const ManifestState state("m");
  REQUIRE(state.column_families().size() == 1);
  REQUIRE(state.column_families().at(0).name == "default");
  REQUIRE(state.applied_edits() == 0);
}

TEST_CASE("manifest_state: a moved file stays live", "[unit]") {
  ManifestState state("m");
  RequireOk(state.Apply(FileEdit(0, {}, {5, 6})));
  RequireOk(state.Apply(FileEdit(0, {5}, {5})));
  REQUIRE(state.table_files().count(5) == 1);
  REQUIRE(state.column_families().at(0).table_files == 2);
}

TEST_CASE("manifest_state: a dropped column family takes its files along", "[unit]") {
  ManifestState state("m");
  RequireOk(state.Apply(AddFamily(3, "three")));
  RequireOk(state.Apply(FileEdit(0, {}, {5})));
  RequireOk(state.Apply(FileEdit(3, {}, {6, 7})));
  RequireOk(state.Apply(DropFamily(3)));
  REQUIRE(state.column_families().size() == 1);
  REQUIRE(state.table_files() == std::unordered_map<uint64_t, uint32_t>{{5, 0}});
  REQUIRE(state.dropped_column_families().size() == 1);
  REQUIRE(state.dropped_column_families()[0].id == 3);
  REQUIRE(state.dropped_column_families()[0].name == "three");
  // The same name comes back under a new id.
  RequireOk(state.Apply(AddFamily(4, "three")));
  REQUIRE(state.column_families().at(4).table_files == 0);
}

TEST_CASE("manifest_state: an atomic group takes effect as a whole", "[unit]") {
  ManifestState state("m");
  RequireOk(state.Apply(AddFamily(1, "one")));
  RequireOk(state.Apply(Grouped(FileEdit(0, {}, {5}), 2)));
  RequireOk(state.Apply(Grouped(FileEdit(1, {}, {6}), 1)));
  REQUIRE(state.table_files().empty());
  REQUIRE(state.pending_edits() == 2);
  REQUIRE(state.applied_edits() == 1);
  RequireOk(state.Apply(Grouped(Edit(), 0)));
  REQUIRE(state.table_files().size() == 2);
  REQUIRE(state.pending_edits() == 0);
  REQUIRE(state.applied_edits() == 4);
  RequireOk(state.Apply(Grouped(FileEdit(0, {5}, {}), 0)));
  REQUIRE(state.table_files().size() == 1);
}

TEST_CASE("manifest_state: a broken atomic group is refused", "[unit]") {
  ManifestState state("m");
  RequireOk(state.Apply(Grouped(FileEdit(0, {}, {5}), 2)));
  SECTION("an edit of it is missing") { REQUIRE(state.Apply(Grouped(Edit(), 0)).IsCorruption()); }
  SECTION("an edit of it comes twice") { REQUIRE(state.Apply(Grouped(Edit(), 2)).IsCorruption()); }
  SECTION("another edit is in between") { REQUIRE(state.Apply(Edit()).IsCorruption()); }
  REQUIRE(state.table_files().empty());
  REQUIRE(state.Apply(Grouped(Edit(), 1)).IsCorruption());
}

TEST_CASE("manifest_state: edits that contradict the state are refused by name", "[unit]") {
  ManifestState state("MANIFEST-000009");
  RequireOk(state.Apply(AddFamily(1, "one")));
  RequireOk(state.Apply(FileEdit(1, {}, {5})));
  VersionEditSummary edit = Edit();
  edit.last_sequence = 10;
  RequireOk(state.Apply(edit));
  const auto refuse = [&](const VersionEditSummary& wrong, const std::string& text) {
    ManifestState copy = state;
    const Status s = copy.Apply(wrong);
    INFO(s.ToString());
    REQUIRE(s.IsCorruption());
    REQUIRE(s.ToString().find(text) != std::string::npos);
    REQUIRE(s.ToString().find("MANIFEST-000009") != std::string::npos);
    // The error is sticky.
    REQUIRE(copy.Apply(Edit()) == s);
  };
  refuse(AddFamily(1, "again"), "\"again\"");
  refuse(AddFamily(0, "default"), "column family 0");
  refuse(DropFamily(2), "column family 2");
  refuse(DropFamily(0), "column family 0");
  refuse(FileEdit(2, {}, {9}), "column family 2");
  refuse(FileEdit(0, {}, {5}), "table file 5");
  refuse(FileEdit(0, {5}, {}), "table file 5");
  refuse(FileEdit(1, {6}, {}), "table file 6");
  edit.last_sequence = 9;
  refuse(edit, "last sequence 9, expected at least 10");
  VersionEditSummary unknown;
  unknown.message = "what was wrong";
  refuse(unknown, "what was wrong");
}

TEST_CASE("manifest_state: counters follow the edits", "[unit]") {
  ManifestState state("m");
  VersionEditSummary edit = Edit();
  edit.log_number = 7;
  edit.min_log_number_to_keep = 6;
  edit.next_file_number = 9;
  edit.max_column_family = 2;
  edit.comparator = "order";
  edit.full_history_ts_low = "ts";
  RequireOk(state.Apply(edit));
  edit = Edit();
  edit.log_number = 3;
  edit.min_log_number_to_keep = 2;
  edit.next_file_number = 12;
  RequireOk(state.Apply(edit));
  const ManifestState::ColumnFamily& family = state.column_families().at(0);
  REQUIRE(family.log_number == 7);
  REQUIRE(family.comparator == "order");
  REQUIRE(family.full_history_ts_low == "ts");
  REQUIRE(state.min_log_number_to_keep() == 6);
  REQUIRE(state.next_file_number() == 12);
  REQUIRE(state.max_column_family() == 2);
}

}  // namespace
}  // namespace slipstream
