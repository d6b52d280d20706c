// How RocksDB writes its MANIFEST, and in which order with the files that the MANIFEST names.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "catch2/catch.hpp"
#include "lib/core/coding.h"
#include "lib/core/log_record_writer.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "tests/assumptions/log_records.h"
#include "tests/assumptions/open_database.h"
#include "tests/assumptions/recorded_options.h"
#include "tests/assumptions/scratch_dir.h"
#include "tests/assumptions/version_edit.h"

namespace slipstream {
namespace {

using Kind = FileEvent::Kind;

bool IsManifest(const std::string& name) { return name.starts_with("MANIFEST-"); }

std::string SstName(uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(6 - digits.size(), '0') + digits + ".sst";
}

// Returns the edits of the newest manifest.
std::vector<VersionEdit> CurrentEdits(const RecordingFileSystem& files) {
  std::string manifest;
  for (const std::string& name : files.Names(Kind::kCreate, "")) {
    if (IsManifest(name)) manifest = name;
  }
  std::vector<VersionEdit> edits;
  for (const std::string& record : ReadLogRecords(files.Bytes(manifest))) {
    edits.push_back(ReadVersionEdit(record));
  }
  return edits;
}

void PutAndFlush(const OpenDatabase& db, size_t family, const std::string& key) {
  REQUIRE(db->Put(rocksdb::WriteOptions(), db.family(family), key, "value").ToString() == "OK");
  REQUIRE(db->Flush(rocksdb::FlushOptions(), db.family(family)).ToString() == "OK");
}

// Rewrites the default family into one new SST, even where moving the old ones would do.
void Compact(const OpenDatabase& db) {
  rocksdb::CompactRangeOptions options;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  REQUIRE(db->CompactRange(options, nullptr, nullptr).ToString() == "OK");
}

TEST_CASE("manifest: CURRENT is published by renaming a complete .dbtmp file", "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  for (int opens = 0; opens < 2; opens++) {
    const OpenDatabase db(recorded.Leader(), directory.path());
    REQUIRE(db.status().ToString() == "OK");
  }

  size_t publications = 0;
  std::map<std::string, std::string> appended;
  for (const FileEvent& event : recorded.files()->events()) {
    const bool is_write =
        event.kind == Kind::kCreate || event.kind == Kind::kReopen || event.kind == Kind::kAppend;
    CHECK_FALSE((is_write && event.name == "CURRENT"));
    if (event.kind == Kind::kCreate) appended[event.name].clear();
    if (event.kind == Kind::kAppend) appended[event.name] += event.bytes;
    if (event.kind != Kind::kRename || event.target != "CURRENT") continue;
    publications++;
    CHECK(event.name.ends_with(".dbtmp"));
    // The content is complete, although RocksDB does not call Close on this file. It is the name of
    // a manifest that has bytes already.
    const std::string content = appended[event.name];
    REQUIRE(content.ends_with("\n"));
    const std::string manifest = content.substr(0, content.size() - 1);
    CHECK(IsManifest(manifest));
    CHECK_FALSE(appended[manifest].empty());
  }
  // One for the empty database, and one for each of the two opens.
  CHECK(publications == 3);
}

TEST_CASE("manifest: .dbtmp files become IDENTITY and OPTIONS too, only the rename tells which",
          "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  const OpenDatabase db(recorded.Leader(), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  std::set<std::string> targets;
  for (const FileEvent& event : recorded.files()->events()) {
    if (event.kind != Kind::kRename || !event.name.ends_with(".dbtmp")) continue;
    targets.insert(event.target.substr(0, event.target.find('-')));
  }
  CHECK(targets == std::set<std::string>{"CURRENT", "IDENTITY", "OPTIONS"});
}

TEST_CASE("manifest: each open begins a new MANIFEST and appends to no older one",
          "[assumptions]") {
  const bool clean = GENERATE(false, true);
  CAPTURE(clean);
  RecordedOptions recorded;
  const ScratchDir directory;
  {
    OpenDatabase db(recorded.Leader(), directory.path());
    REQUIRE(db.status().ToString() == "OK");
    PutAndFlush(db, 0, "flushed");
    if (!clean) {
      REQUIRE(db->Put(rocksdb::WriteOptions(), "in the WAL", "value").ToString() == "OK");
    }
  }

  recorded.files()->ForgetEvents();
  OpenDatabase db(recorded.Generation(), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  PutAndFlush(db, 0, "later");
  std::set<std::string> created;
  std::set<std::string> written;
  for (const FileEvent& event : recorded.files()->events()) {
    if (!IsManifest(event.name)) continue;
    CHECK(event.kind != Kind::kReopen);
    if (event.kind == Kind::kCreate) created.insert(event.name);
    if (event.kind == Kind::kAppend) written.insert(event.name);
  }
  CHECK(created.size() == 1);
  CHECK(written == created);
}

TEST_CASE("manifest: an SST is closed before a record names it, and never written again",
          "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  {
    OpenDatabase db(recorded.Leader(), directory.path());
    REQUIRE(db.status().ToString() == "OK");
    const size_t other = db.CreateFamily(recorded.Leader(), "other");
    PutAndFlush(db, 0, "a");
    PutAndFlush(db, other, "a");
    PutAndFlush(db, 0, "a");
    Compact(db);
    REQUIRE(db->Put(rocksdb::WriteOptions(), "flushed by recovery", "value").ToString() == "OK");
  }
  const OpenDatabase reopened(recorded.Leader(), directory.path(),
                              {rocksdb::kDefaultColumnFamilyName, "other"});
  REQUIRE(reopened.status().ToString() == "OK");

  std::map<std::string, std::string> manifests;
  std::set<std::string> closed;
  std::set<std::string> named;
  for (const FileEvent& event : recorded.files()->events()) {
    if (event.kind == Kind::kClose) closed.insert(event.name);
    if (event.kind != Kind::kAppend) continue;
    CHECK_FALSE(named.contains(event.name));
    if (!IsManifest(event.name)) continue;
    std::string& manifest = manifests[event.name];
    manifest += event.bytes;
    for (const std::string& record : ReadLogRecords(manifest)) {
      for (const uint64_t number : ReadVersionEdit(record).new_files) {
        INFO(SstName(number) << " in " << event.name);
        CHECK(closed.contains(SstName(number)));
        named.insert(SstName(number));
      }
    }
  }
  // Three flushes, a compaction of the first family, and a flush during recovery.
  CHECK(named.size() == 5);
}

TEST_CASE("manifest: an SST is deleted after the record that says that it is obsolete",
          "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  OpenDatabase db(recorded.Leader(), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  PutAndFlush(db, 0, "a");
  PutAndFlush(db, 0, "a");
  Compact(db);
  db.Close();

  std::map<std::string, std::string> manifests;
  std::set<std::string> retired;
  size_t deletions = 0;
  for (const FileEvent& event : recorded.files()->events()) {
    if (event.kind == Kind::kDelete && event.name.ends_with(".sst")) {
      CHECK(retired.contains(event.name));
      deletions++;
    }
    if (event.kind != Kind::kAppend || !IsManifest(event.name)) continue;
    std::string& manifest = manifests[event.name];
    manifest += event.bytes;
    for (const std::string& record : ReadLogRecords(manifest)) {
      for (const uint64_t number : ReadVersionEdit(record).deleted_files) {
        retired.insert(SstName(number));
      }
    }
  }
  CHECK(deletions == 2);
}

TEST_CASE("manifest: its last sequence is that of the newest SST, not of the database",
          "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  OpenDatabase db(recorded.Leader(), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  REQUIRE(db->Put(rocksdb::WriteOptions(), "a", "value").ToString() == "OK");
  REQUIRE(db->Put(rocksdb::WriteOptions(), "b", "value").ToString() == "OK");

  // A record that names no SST has the sequence of the last one that did, which is none.
  const size_t other = db.CreateFamily(recorded.Leader(), "other");
  CHECK(CurrentEdits(*recorded.files()).back().last_sequence == 0u);

  // A flush has the sequence of what it wrote, although the database is ahead.
  REQUIRE(db->Put(rocksdb::WriteOptions(), db.family(other), "c", "value").ToString() == "OK");
  REQUIRE(db->Flush(rocksdb::FlushOptions(), db.family(0)).ToString() == "OK");
  CHECK(db->GetLatestSequenceNumber() == 3);
  CHECK(CurrentEdits(*recorded.files()).back().last_sequence == 2u);

  REQUIRE(db->Flush(rocksdb::FlushOptions(), db.family(other)).ToString() == "OK");
  CHECK(CurrentEdits(*recorded.files()).back().last_sequence == 3u);
}

// A database whose manifest drops the family "again" and creates it with another comparator.
struct CreatedAgain {
  CreatedAgain() {
    backwards.comparator = rocksdb::ReverseBytewiseComparator();
    OpenDatabase db(recorded.Leader(), directory.path());
    REQUIRE(db.status().ToString() == "OK");
    const size_t first = db.CreateFamily(recorded.Leader(), "again");
    PutAndFlush(db, first, "first");
    REQUIRE(db->DropColumnFamily(db.family(first)).ToString() == "OK");
    const size_t second = db.CreateFamily(backwards, "again");
    PutAndFlush(db, second, "a");
    PutAndFlush(db, second, "b");
  }

  // The path of the only manifest.
  std::string Manifest() const {
    std::string name;
    REQUIRE(rocksdb::ReadFileToString(rocksdb::Env::Default(), directory.path() + "/CURRENT", &name)
                .ok());
    name.pop_back();
    return directory.path() + "/" + name;
  }

  rocksdb::Status Open(std::string* first_key) const {
    std::vector<rocksdb::ColumnFamilyDescriptor> families = {{"default", recorded.Leader()},
                                                             {"again", backwards}};
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    rocksdb::Status s =
        rocksdb::DB::Open(recorded.Leader(), directory.path(), families, &handles, &db);
    if (!s.ok()) return s;
    {
      const std::unique_ptr<rocksdb::Iterator> it(
          db->NewIterator(rocksdb::ReadOptions(), handles[1]));
      it->SeekToFirst();
      *first_key = it->Valid() ? it->key().ToString() : "";
    }
    for (rocksdb::ColumnFamilyHandle* handle : handles) delete handle;
    delete db;
    return s;
  }

  const RecordedOptions recorded;
  const ScratchDir directory;
  rocksdb::Options backwards = recorded.Leader();
};

TEST_CASE("manifest: a dropped family is held to the comparator of the next one of its name",
          "[assumptions]") {
  const CreatedAgain database;
  std::string first_key;
  const rocksdb::Status s = database.Open(&first_key);
  CHECK(s.IsInvalidArgument());
  INFO(s.ToString());
  CHECK(s.ToString().find("does not match existing comparator") != std::string::npos);
}

TEST_CASE("manifest: a dropped family that has another name at last is passed over",
          "[assumptions]") {
  const CreatedAgain database;
  const std::string path = database.Manifest();
  std::string bytes, rewritten;
  REQUIRE(rocksdb::ReadFileToString(rocksdb::Env::Default(), path, &bytes).ok());
  bool renamed = false;
  LogRecordWriter writer;
  for (std::string record : ReadLogRecords(bytes)) {
    if (ReadVersionEdit(record).added_family == "again" && !std::exchange(renamed, true)) {
      // The tag of a family's name, which stands in the record twice now.
      PutVarint32(&record, 201);
      PutLengthPrefixedSlice(&record, "other");
    }
    writer.AddRecord(record, &rewritten);
  }
  REQUIRE(renamed);
  REQUIRE(rocksdb::WriteStringToFile(rocksdb::Env::Default(), rewritten, path).ok());
  std::string first_key;
  CHECK(database.Open(&first_key).ToString() == "OK");
  CHECK(first_key == "b");
}

}  // namespace
}  // namespace slipstream
