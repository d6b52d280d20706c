#include "lib/leader/leader_file_system.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lib/core/file_name.h"
#include "lib/core/object_name.h"
#include "rocksdb/sst_file_manager.h"
#include "tests/unit/tapped_leader.h"

namespace slipstream {
namespace {

using rocksdb::FileOptions;
using rocksdb::IOOptions;
using rocksdb::Slice;
using rocksdb::Status;
using testing::FramesOf;
using testing::kTestDatabase;
using testing::LoggedFrame;
using testing::MemoryStorage;
using testing::OpenDatabase;
using testing::ReadWholeFile;
using testing::RequireOk;
using testing::ScratchDirectory;
using testing::ScratchOptions;
using testing::TappedLeader;

std::set<std::string> FilesEndingWith(const std::string& directory, const std::string& suffix) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(suffix)) names.insert(name);
  }
  return names;
}

std::set<uint64_t> LiveTables(rocksdb::DB* db) {
  std::vector<rocksdb::LiveFileMetaData> files;
  db->GetLiveFilesMetaData(&files);
  std::set<uint64_t> numbers;
  for (const auto& file : files) numbers.insert(ParseFileName(file.name).number);
  return numbers;
}

void WriteAndFlush(rocksdb::DB* db, const std::string& key) {
  RequireOk(db->Put({}, key, "value of " + key));
  RequireOk(db->Flush({}));
}

std::string GetFrom(rocksdb::DB* db, const std::string& key) {
  std::string value;
  const Status s = db->Get({}, key, &value);
  return s.ok() ? value : s.ToString();
}

// A leader with one flushed table.
struct Flushed {
  Flushed() : storage(std::make_shared<MemoryStorage>()), leader(directory / "db", storage) {
    leader.Open(ScratchOptions());
    WriteAndFlush(leader.db(), "a");
    const std::set<uint64_t> live = LiveTables(leader.db());
    REQUIRE(live.size() == 1);
    number = *live.begin();
  }
  std::string PathOf(const std::string& name) const { return leader.directory() + "/" + name; }

  ScratchDirectory directory;
  std::shared_ptr<MemoryStorage> storage;
  TappedLeader leader;
  uint64_t number = 0;
};

TEST_CASE("leader_file_system: tables go to the storage and not to the local disk", "[unit]") {
  Flushed f;
  REQUIRE(f.storage->Has(ObjectNameOf(kTestDatabase, {FrameFile::kTable, f.number, 1, 0})));
  REQUIRE(FilesEndingWith(f.leader.directory(), ".sst").empty());
  const auto object = f.leader.catalog()->Find(f.number);
  REQUIRE(object);
  uint64_t size = 0;
  RequireOk(f.storage->Size(ObjectNameOf(kTestDatabase, *object), &size));
  REQUIRE(object->size == size);
  REQUIRE(GetFrom(f.leader.db(), "a") == "value of a");
}

TEST_CASE("leader_file_system: blob files go to the storage too", "[unit]") {
  ScratchDirectory directory;
  auto storage = std::make_shared<MemoryStorage>();
  TappedLeader leader(directory.path(), storage);
  rocksdb::Options options = ScratchOptions();
  options.enable_blob_files = true;
  leader.Open(options);
  WriteAndFlush(leader.db(), "a");
  REQUIRE(FilesEndingWith(directory.path(), ".blob").empty());
  const std::vector<std::string> names = storage->Names();
  REQUIRE(std::count_if(names.begin(), names.end(),
                        [](const std::string& n) { return n.ends_with(".blob"); }) == 1);
  REQUIRE(GetFrom(leader.db(), "a") == "value of a");
}

TEST_CASE("leader_file_system: an object is announced before the manifest names it", "[unit]") {
  Flushed f;
  std::vector<SharedBytes> memory;
  const std::vector<LoggedFrame> frames = FramesOf(*f.leader.log(), 0, &memory);
  auto added = std::find_if(frames.begin(), frames.end(), [&](const LoggedFrame& logged) {
    return logged.frame.type == FrameType::kObjectAdded && logged.frame.number == f.number;
  });
  REQUIRE(added != frames.end());
  REQUIRE(added->frame.argument == f.leader.catalog()->Find(f.number)->size);
  REQUIRE(std::any_of(added, frames.end(), [](const LoggedFrame& logged) {
    return logged.frame.type == FrameType::kLogAppend && logged.frame.file == FrameFile::kManifest;
  }));
}

TEST_CASE("leader_file_system: the log's bytes are those of the local files", "[unit]") {
  ScratchDirectory directory;
  TappedLeader leader(directory.path(), std::make_shared<MemoryStorage>());
  leader.Open(ScratchOptions());
  // RocksDB removes files in the background, perhaps while they are compared.
  RequireOk(leader.db()->DisableFileDeletions());
  for (int i = 0; i < 50; ++i) {
    RequireOk(leader.db()->Put({}, std::to_string(i), std::string(1 + i * 997 % 70000, 'x')));
    if (i == 20) RequireOk(leader.db()->Flush({}));
  }
  std::map<LogFileId, std::string> bytes;
  uint64_t current = 0;
  std::vector<SharedBytes> memory;
  for (const LoggedFrame& logged : FramesOf(*leader.log(), 0, &memory)) {
    const Frame& frame = logged.frame;
    const LogFileId id{frame.file, frame.number};
    if (frame.type == FrameType::kCurrentSet) current = frame.number;
    if (frame.type == FrameType::kLogRemoved) bytes.erase(id);  // the first manifest
    if (frame.type != FrameType::kLogAppend) continue;
    REQUIRE(bytes[id].size() == frame.argument);
    bytes[id] += frame.payload.ToString();
  }
  REQUIRE(bytes.count({FrameFile::kManifest, current}) == 1);
  REQUIRE(ReadWholeFile(directory / "CURRENT") == ManifestName(current) + "\n");
  size_t wals = 0;
  for (const auto& [id, content] : bytes) {
    const bool wal = id.file == FrameFile::kWal;
    wals += wal ? 1 : 0;
    // A preallocated tail may follow.
    const std::string local =
        ReadWholeFile(directory / (wal ? WalName(id.number) : ManifestName(id.number)));
    REQUIRE(local.substr(0, content.size()) == content);
    REQUIRE(local.find_first_not_of('\0', content.size()) == std::string::npos);
  }
  REQUIRE(wals == 2);
  // The same sizes are in a snapshot, and its readers read the same.
  for (const TappedLogFile& file : leader.log()->Snapshot().files) {
    REQUIRE(file.size == bytes[file.id].size());
    std::string scratch(file.size, '\0');
    Slice read;
    RequireOk(file.reader->Read(0, file.size, IOOptions(), &read, scratch.data(), nullptr));
    REQUIRE(read == Slice(bytes[file.id]));
  }
}

TEST_CASE("leader_file_system: a removed WAL is a frame and stays readable", "[unit]") {
  Flushed f;
  RequireOk(f.leader.db()->Put({}, "b", "in a WAL"));
  const ImageSnapshot before = f.leader.log()->Snapshot();
  // The newest one.
  auto wal =
      std::find_if(before.files.rbegin(), before.files.rend(),
                   [](const TappedLogFile& file) { return file.id.file == FrameFile::kWal; });
  REQUIRE(wal != before.files.rend());
  RequireOk(f.leader.db()->Flush({}));
  f.leader.Close();  // RocksDB removes files in the background
  std::vector<SharedBytes> memory;
  const std::vector<LoggedFrame> frames = FramesOf(*f.leader.log(), before.offset, &memory);
  REQUIRE(std::any_of(frames.begin(), frames.end(), [&](const LoggedFrame& logged) {
    return logged.frame.type == FrameType::kLogRemoved && logged.frame.number == wal->id.number;
  }));
  REQUIRE_FALSE(std::filesystem::exists(f.PathOf(WalName(wal->id.number))));
  std::string scratch(wal->size, '\0');
  Slice read;
  RequireOk(wal->reader->Read(0, wal->size, IOOptions(), &read, scratch.data(), nullptr));
  REQUIRE(read.ToString().find("in a WAL") != std::string::npos);
}

TEST_CASE("leader_file_system: what RocksDB deletes becomes a frame and stays pinned", "[unit]") {
  Flushed f;
  WriteAndFlush(f.leader.db(), "b");
  const uint64_t before = f.leader.log()->end();
  rocksdb::CompactRangeOptions compact;
  compact.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  RequireOk(f.leader.db()->CompactRange(compact, nullptr, nullptr));
  // A background thread may still hold the files that the compaction read.
  f.leader.Close();
  std::vector<SharedBytes> memory;
  std::set<uint64_t> removed;
  uint64_t compacted = 0;  // the last edit
  for (const LoggedFrame& logged : FramesOf(*f.leader.log(), before, &memory)) {
    if (logged.frame.type == FrameType::kObjectRemoved) removed.insert(logged.frame.number);
    if (logged.frame.file == FrameFile::kManifest) compacted = logged.end;
  }
  REQUIRE(removed.size() == 2);
  REQUIRE(removed.count(f.number) == 1);
  REQUIRE_FALSE(f.leader.catalog()->Find(f.number));
  REQUIRE(f.leader.catalog()->pinned().first == 2);
  for (const auto& gone : f.leader.catalog()->Reclaimable(std::nullopt)) {
    REQUIRE(gone.at.epoch == 1);
    REQUIRE(gone.at.offset == compacted);
    REQUIRE(removed.count(gone.object.number) == 1);
    // Followers may still read it.
    REQUIRE(f.storage->Has(ObjectNameOf(kTestDatabase, gone.object)));
  }
}

TEST_CASE("leader_file_system: a table that is renamed to be deleted slowly is removed", "[unit]") {
  ScratchDirectory directory;
  auto storage = std::make_shared<MemoryStorage>();
  TappedLeader leader(directory.path(), storage);
  rocksdb::Options options = ScratchOptions();
  options.env = leader.env();
  // A rate so low, and a ratio so high, that files would wait in the trash.
  options.sst_file_manager.reset(
      rocksdb::NewSstFileManager(leader.env(), nullptr, "", 1, true, nullptr, 1000));
  leader.Open(options);
  WriteAndFlush(leader.db(), "a");
  WriteAndFlush(leader.db(), "b");
  const std::set<uint64_t> tables = LiveTables(leader.db());
  rocksdb::CompactRangeOptions compact;
  compact.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  RequireOk(leader.db()->CompactRange(compact, nullptr, nullptr));
  leader.Close();
  options.sst_file_manager.reset();
  for (const uint64_t number : tables) REQUIRE_FALSE(leader.catalog()->Find(number));
  REQUIRE(leader.catalog()->pinned().first == tables.size());
  REQUIRE(FilesEndingWith(directory.path(), ".sst.trash").empty());
}

TEST_CASE("leader_file_system: the rename to the trash is a removal", "[unit]") {
  Flushed f;
  const std::string path = f.PathOf(TableName(f.number));
  REQUIRE(
      f.leader.fs()->RenameFile(path, f.PathOf("else.sst"), IOOptions(), nullptr).IsNotSupported());
  REQUIRE(f.leader.catalog()->Find(f.number));
  RequireOk(f.leader.fs()->RenameFile(path, path + ".trash", IOOptions(), nullptr));
  REQUIRE_FALSE(f.leader.catalog()->Find(f.number));
  REQUIRE(f.leader.fs()->FileExists(path, IOOptions(), nullptr).IsNotFound());
  RequireOk(f.leader.fs()->DeleteFile(path + ".trash", IOOptions(), nullptr));
  REQUIRE(f.leader.fs()->DeleteFile(path, IOOptions(), nullptr).IsNotFound());
  REQUIRE(f.leader.catalog()->pinned().first == 1);
}

TEST_CASE("leader_file_system: listings name the tables without asking the storage", "[unit]") {
  Flushed f;
  const int lists = f.storage->lists();
  for (const std::string& directory : {f.leader.directory(), f.leader.directory() + "/"}) {
    std::vector<std::string> names;
    RequireOk(f.leader.fs()->GetChildren(directory, IOOptions(), &names, nullptr));
    REQUIRE(std::count(names.begin(), names.end(), TableName(f.number)) == 1);
    REQUIRE(std::count(names.begin(), names.end(), "CURRENT") == 1);
  }
  std::vector<std::string> names;
  RequireOk(f.leader.fs()->GetChildren(f.directory.path(), IOOptions(), &names, nullptr));
  REQUIRE(std::count(names.begin(), names.end(), TableName(f.number)) == 0);
  std::vector<rocksdb::FileAttributes> attributes;
  RequireOk(f.leader.fs()->GetChildrenFileAttributes(f.leader.directory(), IOOptions(), &attributes,
                                                     nullptr));
  auto it = std::find_if(attributes.begin(), attributes.end(),
                         [&](const auto& a) { return a.name == TableName(f.number); });
  REQUIRE(it != attributes.end());
  REQUIRE(it->size_bytes == f.leader.catalog()->Find(f.number)->size);
  REQUIRE(f.storage->lists() == lists);
}

TEST_CASE("leader_file_system: sizes and existence come from the catalogue", "[unit]") {
  Flushed f;
  LeaderFileSystem* fs = f.leader.fs();
  const int opens = f.storage->opens();
  uint64_t size = 0;
  RequireOk(fs->FileExists(f.PathOf(TableName(f.number)), IOOptions(), nullptr));
  RequireOk(fs->GetFileSize(f.PathOf(TableName(f.number)), IOOptions(), &size, nullptr));
  REQUIRE(size == f.leader.catalog()->Find(f.number)->size);
  REQUIRE(fs->FileExists(f.PathOf(TableName(999)), IOOptions(), nullptr).IsNotFound());
  REQUIRE(fs->GetFileSize(f.PathOf(TableName(999)), IOOptions(), &size, nullptr).IsPathNotFound());
  REQUIRE(f.storage->opens() == opens);
  std::unique_ptr<rocksdb::FSRandomAccessFile> file;
  REQUIRE(fs->NewRandomAccessFile(f.PathOf(TableName(999)), FileOptions(), &file, nullptr)
              .IsPathNotFound());
}

TEST_CASE("leader_file_system: a table is not found under LevelDB's suffix", "[unit]") {
  Flushed f;
  std::string name = TableName(f.number);
  name.replace(name.size() - 4, 4, ".ldb");
  REQUIRE(f.leader.fs()->FileExists(f.PathOf(name), IOOptions(), nullptr).IsNotFound());
  std::unique_ptr<rocksdb::FSRandomAccessFile> file;
  REQUIRE_FALSE(
      f.leader.fs()->NewRandomAccessFile(f.PathOf(name), FileOptions(), &file, nullptr).ok());
  REQUIRE_FALSE(f.leader.fs()->DeleteFile(f.PathOf(name), IOOptions(), nullptr).ok());
  REQUIRE(f.leader.catalog()->Find(f.number));
}

TEST_CASE("leader_file_system: files of other directories are left alone", "[unit]") {
  Flushed f;
  const std::string outside = f.directory / TableName(f.number);
  std::unique_ptr<rocksdb::FSWritableFile> file;
  RequireOk(f.leader.fs()->NewWritableFile(outside, FileOptions(), &file, nullptr));
  RequireOk(file->Append("mine", IOOptions(), nullptr));
  RequireOk(file->Close(IOOptions(), nullptr));
  REQUIRE(ReadWholeFile(outside) == "mine");
  const uint64_t end = f.leader.log()->end();
  RequireOk(f.leader.fs()->DeleteFile(outside, IOOptions(), nullptr));
  REQUIRE(f.leader.catalog()->Find(f.number));
  REQUIRE(f.leader.log()->end() == end);
}

TEST_CASE("leader_file_system: what would change a shared file is refused", "[unit]") {
  Flushed f;
  LeaderFileSystem* fs = f.leader.fs();
  const std::string table = f.PathOf(TableName(f.number));
  const std::string wal = f.PathOf(WalName(4));
  std::unique_ptr<rocksdb::FSRandomRWFile> random;
  std::unique_ptr<rocksdb::FSWritableFile> file;
  std::unique_ptr<rocksdb::MemoryMappedFileBuffer> mapped;
  bool same = false;
  uint64_t count = 0;
  REQUIRE(fs->NewRandomRWFile(table, FileOptions(), &random, nullptr).IsNotSupported());
  REQUIRE(fs->NewRandomRWFile(wal, FileOptions(), &random, nullptr).IsNotSupported());
  REQUIRE(fs->NewMemoryMappedFileBuffer(table, &mapped).IsNotSupported());
  REQUIRE(fs->ReopenWritableFile(table, FileOptions(), &file, nullptr).IsNotSupported());
  REQUIRE(fs->ReuseWritableFile(wal, f.PathOf(WalName(3)), FileOptions(), &file, nullptr)
              .IsNotSupported());
  REQUIRE(fs->Truncate(table, 1, IOOptions(), nullptr).IsNotSupported());
  REQUIRE(fs->LinkFile(table, f.directory / "x", IOOptions(), nullptr).IsNotSupported());
  REQUIRE(fs->LinkFile(f.directory / "x", table, IOOptions(), nullptr).IsNotSupported());
  REQUIRE(fs->NumFileLinks(table, IOOptions(), &count, nullptr).IsNotSupported());
  REQUIRE(fs->AreFilesSame(table, table, IOOptions(), &same, nullptr).IsNotSupported());
  REQUIRE(fs->RenameFile(f.PathOf("CURRENT"), table, IOOptions(), nullptr).IsNotSupported());
  REQUIRE(GetFrom(f.leader.db(), "a") == "value of a");
}

TEST_CASE("leader_file_system: a failed append or sync of a log file stops the log", "[unit]") {
  Flushed f;
  const uint64_t end = f.leader.log()->end();
  f.leader.base()->FailAppend(".log", 3);
  REQUIRE_FALSE(f.leader.db()->Put({}, "b", "lost").ok());
  REQUIRE(f.leader.log()->status().IsIOError());
  // The WAL that was flushed may have been deleted meanwhile, but nothing was appended.
  std::vector<SharedBytes> memory;
  for (const LoggedFrame& logged : FramesOf(*f.leader.log(), end, &memory)) {
    REQUIRE(logged.frame.type == FrameType::kLogRemoved);
  }
  const uint64_t stopped = f.leader.log()->end();
  REQUIRE_FALSE(f.leader.db()->Put({}, "c", "lost").ok());
  REQUIRE(f.leader.log()->end() == stopped);
}

TEST_CASE("leader_file_system: an object that cannot be written is not announced", "[unit]") {
  Flushed f;
  const uint64_t end = f.leader.log()->end();
  std::unique_ptr<rocksdb::FSWritableFile> file;
  RequireOk(f.leader.fs()->NewWritableFile(f.PathOf(TableName(77)), FileOptions(), &file, nullptr));
  RequireOk(file->Append("part of a table", IOOptions(), nullptr));
  REQUIRE(f.leader.log()->end() == end);
  // Somebody else has this name.
  RequireOk(f.storage->Put(ObjectNameOf(kTestDatabase, {FrameFile::kTable, 77, 1, 0}), "other"));
  REQUIRE_FALSE(file->Close(IOOptions(), nullptr).ok());
  REQUIRE(f.leader.log()->end() == end);
  REQUIRE(f.leader.catalog()->Find(77)->size == 0);
  RequireOk(f.leader.fs()->DeleteFile(f.PathOf(TableName(77)), IOOptions(), nullptr));
  REQUIRE(f.leader.log()->end() == end);
}

TEST_CASE("leader_file_system: an ordinary database is taken over", "[unit]") {
  ScratchDirectory directory;
  const std::string path = directory / "db";
  rocksdb::Options options = ScratchOptions();
  options.enable_blob_files = true;
  options.min_blob_size = 100;
  {
    auto db = OpenDatabase(options, path);
    WriteAndFlush(db.get(), "a");
    RequireOk(db->Put({}, "big", std::string(1000, 'b')));
    RequireOk(db->Flush({}));
    RequireOk(db->Put({}, "c", "in the WAL"));
  }
  const size_t tables = FilesEndingWith(path, ".sst").size();
  REQUIRE(tables == 2);
  auto storage = std::make_shared<MemoryStorage>();
  for (const uint64_t epoch : {5, 6}) {
    TappedLeader leader(path, storage, epoch);
    REQUIRE(FilesEndingWith(path, ".sst").empty());
    REQUIRE(FilesEndingWith(path, ".blob").empty());
    REQUIRE(leader.taken_over().objects.size() == tables + 1);
    // What an epoch has written keeps its name in the next one.
    for (const ObjectInfo& object : leader.taken_over().objects) REQUIRE(object.epoch == 5);
    REQUIRE(ManifestName(leader.taken_over().current_manifest) + "\n" ==
            ReadWholeFile(path + "/CURRENT"));
    std::map<LogFileId, uint64_t> sizes;
    for (const TappedLogFile& file : leader.taken_over().files) {
      const bool wal = file.id.file == FrameFile::kWal;
      REQUIRE(file.size ==
              std::filesystem::file_size(
                  path + "/" + (wal ? WalName(file.id.number) : ManifestName(file.id.number))));
      sizes[file.id] = file.size;
    }
    REQUIRE(sizes.size() >= 2);
    rocksdb::Options reopened = options;
    reopened.avoid_flush_during_recovery = true;
    leader.Open(reopened);
    REQUIRE(GetFrom(leader.db(), "a") == "value of a");
    REQUIRE(GetFrom(leader.db(), "big") == std::string(1000, 'b'));
    REQUIRE(GetFrom(leader.db(), "c") == "in the WAL");
    RequireOk(leader.log()->status());
  }
}

TEST_CASE("leader_file_system: a takeover that was interrupted is finished", "[unit]") {
  ScratchDirectory directory;
  const std::string path = directory / "db";
  { WriteAndFlush(OpenDatabase(ScratchOptions(), path).get(), "a"); }
  const std::string table = *FilesEndingWith(path, ".sst").begin();
  const uint64_t number = ParseFileName(table).number;
  const std::string bytes = ReadWholeFile(path + "/" + table);
  auto storage = std::make_shared<MemoryStorage>();
  SECTION("it was recorded but not copied") {
    std::unique_ptr<ObjectCatalog> catalog;
    RequireOk(ObjectCatalog::Open(std::make_shared<testing::UnsyncedFileSystem>(), path,
                                  kTestDatabase, &catalog));
    RequireOk(catalog->Create({FrameFile::kTable, number, 1, 0}));
  }
  SECTION("it was copied but not removed") {
    std::filesystem::copy_file(path + "/" + table, directory / "copy");
    { TappedLeader leader(path, storage, 1); }
    std::filesystem::copy_file(directory / "copy", path + "/" + table);
  }
  TappedLeader leader(path, storage, 2);
  REQUIRE(FilesEndingWith(path, ".sst").empty());
  const auto object = leader.catalog()->Find(number);
  REQUIRE(object);
  REQUIRE(object->size == bytes.size());
  REQUIRE(storage->Get(ObjectNameOf(kTestDatabase, *object)) == bytes);
  leader.Open(ScratchOptions());
  REQUIRE(GetFrom(leader.db(), "a") == "value of a");
}

TEST_CASE("leader_file_system: what a crash left half written is removed at the next open",
          "[unit]") {
  ScratchDirectory directory;
  auto storage = std::make_shared<MemoryStorage>();
  {
    TappedLeader leader(directory.path(), storage, 1);
    leader.Open(ScratchOptions());
    WriteAndFlush(leader.db(), "a");
    leader.Close();
    // An object that was begun, and one that was finished but never named by the manifest.
    std::unique_ptr<rocksdb::FSWritableFile> file;
    RequireOk(
        leader.fs()->NewWritableFile(directory / TableName(50), FileOptions(), &file, nullptr));
    RequireOk(
        leader.fs()->NewWritableFile(directory / TableName(51), FileOptions(), &file, nullptr));
    RequireOk(file->Append("not a table", IOOptions(), nullptr));
    RequireOk(file->Close(IOOptions(), nullptr));
  }
  TappedLeader leader(directory.path(), storage, 2);
  leader.Open(ScratchOptions());
  WriteAndFlush(leader.db(), "b");
  leader.Close();
  REQUIRE_FALSE(leader.catalog()->Find(50));
  REQUIRE_FALSE(leader.catalog()->Find(51));
  REQUIRE(leader.catalog()->pinned().first == 2);
}

TEST_CASE("leader_file_system: WALs in a directory of their own are in the log", "[unit]") {
  ScratchDirectory directory;
  auto base = std::make_shared<testing::UnsyncedFileSystem>();
  const std::string db_path = directory / "db";
  const std::string wal_path = directory / "wal";
  for (const std::string& path : {db_path, wal_path}) std::filesystem::create_directory(path);
  std::unique_ptr<ObjectCatalog> opened;
  RequireOk(ObjectCatalog::Open(base, db_path, kTestDatabase, &opened));
  std::shared_ptr<ObjectCatalog> catalog = std::move(opened);
  auto log = std::make_shared<ReplicationLog>(1, 16 << 20);
  auto fs = std::make_shared<LeaderFileSystem>(
      base, LeaderFileSystem::Parts{kTestDatabase, db_path, wal_path,
                                    std::make_shared<MemoryStorage>(), log, catalog});
  RequireOk(fs->TakeOver(nullptr));
  std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(fs);
  rocksdb::Options options = ScratchOptions();
  options.env = env.get();
  options.wal_dir = wal_path;
  auto db = OpenDatabase(options, db_path);
  RequireOk(db->Put({}, "a", "somewhere else"));
  const ImageSnapshot snapshot = log->Snapshot();
  auto wal = std::find_if(snapshot.files.begin(), snapshot.files.end(),
                          [](const TappedLogFile& f) { return f.id.file == FrameFile::kWal; });
  REQUIRE(wal != snapshot.files.end());
  REQUIRE(wal->size > 0);
  REQUIRE(std::filesystem::exists(wal_path + "/" + WalName(wal->id.number)));
}

TEST_CASE("leader_file_system: column families are told before they can be written to", "[unit]") {
  Flushed f;
  const auto names = [&] {
    std::string all;
    for (const ColumnFamilyInfo& info : f.leader.log()->column_families()) all += info.name + " ";
    return all;
  };
  REQUIRE(names() == "default ");
  rocksdb::ColumnFamilyHandle* handle = nullptr;
  RequireOk(f.leader.db()->CreateColumnFamily(ScratchOptions(), "new", &handle));
  REQUIRE(names() == "default new ");
  RequireOk(f.leader.db()->DropColumnFamily(handle));
  RequireOk(f.leader.db()->DestroyColumnFamilyHandle(handle));
  REQUIRE(names() == "default ");
}

TEST_CASE("leader_file_system: a WAL that is archived leaves the log", "[unit]") {
  ScratchDirectory directory;
  TappedLeader leader(directory.path(), std::make_shared<MemoryStorage>());
  rocksdb::Options options = ScratchOptions();
  options.WAL_ttl_seconds = 1000;
  leader.Open(options);
  RequireOk(leader.db()->Put({}, "a", "1"));
  uint64_t number = 0;
  for (const TappedLogFile& f : leader.log()->Snapshot().files) {
    if (f.id.file == FrameFile::kWal) number = f.id.number;
  }
  RequireOk(leader.db()->Flush({}));
  leader.Close();
  for (const TappedLogFile& f : leader.log()->Snapshot().files) REQUIRE(f.id.number != number);
  REQUIRE(std::filesystem::exists(directory / ("archive/" + WalName(number))));
}

}  // namespace
}  // namespace slipstream
