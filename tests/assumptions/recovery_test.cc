// What DB::Open makes of a WAL: the sequence numbers that it arrives at, and the WALs that it
// refuses.

#include <filesystem>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/db.h"
#include "rocksdb/write_batch.h"
#include "tests/assumptions/log_records.h"
#include "tests/assumptions/open_database.h"
#include "tests/assumptions/recorded_options.h"
#include "tests/assumptions/scratch_dir.h"

namespace slipstream {
namespace {

using Kind = FileEvent::Kind;

rocksdb::Status Put(const OpenDatabase& db, const std::string& key) {
  return db->Put(rocksdb::WriteOptions(), key, "value");
}

// The directories of a leader and of a crash image of it, each with its own file system.
struct CrashedLeader {
  RecordedOptions options;
  ScratchDir directory;
  ScratchDir image;
  RecordedOptions image_options;

  std::string LastWal() const { return options.files()->Names(Kind::kCreate, ".log").back(); }

  void CutTail(const std::string& name, uint64_t bytes) const {
    const std::string path = image.file(name);
    std::filesystem::resize_file(path, std::filesystem::file_size(path) - bytes);
  }
};

TEST_CASE("recovery: an empty range delete at the end of the WAL leaves LastSequence low",
          "[assumptions]") {
  CrashedLeader crashed;
  OpenDatabase leader(crashed.options.Leader(), crashed.directory.path());
  REQUIRE(leader.status().ToString() == "OK");
  REQUIRE(Put(leader, "a").ToString() == "OK");
  REQUIRE(leader->DeleteRange(rocksdb::WriteOptions(), leader.family(0), "x", "x").ToString() ==
          "OK");
  REQUIRE(leader->GetLatestSequenceNumber() == 2);

  crashed.image.CopyFilesOf(crashed.directory);
  OpenDatabase recovered(crashed.image_options.Generation(), crashed.image.path());
  REQUIRE(recovered.status().ToString() == "OK");
  CHECK(recovered->GetLatestSequenceNumber() == 1);
}

TEST_CASE("recovery: an empty range delete anywhere in the last WAL record leaves it low",
          "[assumptions]") {
  CrashedLeader crashed;
  OpenDatabase leader(crashed.options.Leader(), crashed.directory.path());
  REQUIRE(leader.status().ToString() == "OK");
  rocksdb::WriteBatch batch;
  REQUIRE(batch.DeleteRange("x", "x").ToString() == "OK");
  REQUIRE(batch.Put("a", "value").ToString() == "OK");
  REQUIRE(leader->Write(rocksdb::WriteOptions(), &batch).ToString() == "OK");
  REQUIRE(leader->GetLatestSequenceNumber() == 2);

  crashed.image.CopyFilesOf(crashed.directory);
  OpenDatabase recovered(crashed.image_options.Generation(), crashed.image.path());
  REQUIRE(recovered.status().ToString() == "OK");
  CHECK(recovered->GetLatestSequenceNumber() == 1);
}

TEST_CASE("recovery: a later WAL record makes up for an empty range delete", "[assumptions]") {
  CrashedLeader crashed;
  OpenDatabase leader(crashed.options.Leader(), crashed.directory.path());
  REQUIRE(leader.status().ToString() == "OK");
  REQUIRE(leader->DeleteRange(rocksdb::WriteOptions(), leader.family(0), "x", "x").ToString() ==
          "OK");
  REQUIRE(Put(leader, "a").ToString() == "OK");
  REQUIRE(leader->GetLatestSequenceNumber() == 2);

  crashed.image.CopyFilesOf(crashed.directory);
  OpenDatabase recovered(crashed.image_options.Generation(), crashed.image.path());
  REQUIRE(recovered.status().ToString() == "OK");
  CHECK(recovered->GetLatestSequenceNumber() == 2);
}

TEST_CASE("recovery: an empty range delete written without the WAL consumes a number only",
          "[assumptions]") {
  CrashedLeader crashed;
  OpenDatabase db(crashed.options.Leader(), crashed.directory.path());
  REQUIRE(db.status().ToString() == "OK");
  rocksdb::WriteBatch batch;
  REQUIRE(batch.DeleteRange("", "").ToString() == "OK");
  rocksdb::WriteOptions unlogged;
  unlogged.disableWAL = true;
  REQUIRE(db->Write(unlogged, &batch).ToString() == "OK");

  CHECK(db->GetLatestSequenceNumber() == 1);
  for (const char* property :
       {"rocksdb.num-entries-active-mem-table", "rocksdb.num-deletes-active-mem-table"}) {
    uint64_t value = 1;
    REQUIRE(db->GetIntProperty(property, &value));
    CHECK(value == 0);
  }
  // A memtable that holds nothing is not flushed.
  REQUIRE(db->Flush(rocksdb::FlushOptions()).ToString() == "OK");
  CHECK(crashed.directory.FilesEndingWith(".sst").empty());
}

TEST_CASE("recovery: a WAL cut inside a record makes the new WAL begin with a record of no entries",
          "[assumptions]") {
  CrashedLeader crashed;
  OpenDatabase leader(crashed.options.Leader(), crashed.directory.path());
  REQUIRE(leader.status().ToString() == "OK");
  REQUIRE(Put(leader, "a").ToString() == "OK");
  REQUIRE(Put(leader, "b").ToString() == "OK");
  crashed.image.CopyFilesOf(crashed.directory);
  crashed.CutTail(crashed.LastWal(), 1);

  OpenDatabase recovered(crashed.image_options.Generation(), crashed.image.path());
  REQUIRE(recovered.status().ToString() == "OK");
  REQUIRE(recovered->GetLatestSequenceNumber() == 1);
  REQUIRE(Put(recovered, "c").ToString() == "OK");

  const RecordingFileSystem& files = *crashed.image_options.files();
  const auto records = ReadLogRecords(files.Bytes(files.Names(Kind::kCreate, ".log").back()));
  REQUIRE(records.size() == 2);
  CHECK(ReadBatchHeader(records[0]).count == 0);
  // Its sequence is the one that the next write gets, and it consumes none.
  CHECK(ReadBatchHeader(records[0]).sequence == 2);
  CHECK(ReadBatchHeader(records[1]).sequence == 2);
}

TEST_CASE("recovery: a WAL cut between records makes the new WAL begin empty", "[assumptions]") {
  CrashedLeader crashed;
  OpenDatabase leader(crashed.options.Leader(), crashed.directory.path());
  REQUIRE(leader.status().ToString() == "OK");
  REQUIRE(Put(leader, "a").ToString() == "OK");
  crashed.image.CopyFilesOf(crashed.directory);

  OpenDatabase recovered(crashed.image_options.Generation(), crashed.image.path());
  REQUIRE(recovered.status().ToString() == "OK");
  const RecordingFileSystem& files = *crashed.image_options.files();
  CHECK(files.Bytes(files.Names(Kind::kCreate, ".log").back()).empty());
}

// A leader whose second family is flushed, so that its SST is newer than the first WAL, which still
// backs the default family.
class UnevenlyFlushedLeader {
 public:
  UnevenlyFlushedLeader() {
    rocksdb::Options options = crashed_.options.Leader();
    options.create_missing_column_families = true;
    OpenDatabase leader(options, crashed_.directory.path(), families_);
    REQUIRE(leader.status().ToString() == "OK");
    REQUIRE(Put(leader, "early").ToString() == "OK");
    REQUIRE(leader->Put(rocksdb::WriteOptions(), leader.family(1), "other", "value").ToString() ==
            "OK");
    REQUIRE(Put(leader, "late").ToString() == "OK");
    first_wal_ = crashed_.LastWal();
    const std::string bytes = crashed_.options.files()->Bytes(first_wal_);
    last_record_size_ = ReadLogRecords(bytes).back().size() + 7;
    REQUIRE(leader->Flush(rocksdb::FlushOptions(), leader.family(1)).ToString() == "OK");
    REQUIRE(crashed_.LastWal() != first_wal_);
    REQUIRE(Put(leader, "after the flush").ToString() == "OK");
    crashed_.image.CopyFilesOf(crashed_.directory);
  }

  uint64_t last_record_size() const { return last_record_size_; }
  void CutFirstWal(uint64_t bytes) const { crashed_.CutTail(first_wal_, bytes); }
  rocksdb::Options options() const { return crashed_.image_options.Generation(); }
  std::string image() const { return crashed_.image.path(); }
  const std::vector<std::string>& families() const { return families_; }

 private:
  const std::vector<std::string> families_ = {rocksdb::kDefaultColumnFamilyName, "other"};
  CrashedLeader crashed_;
  std::string first_wal_;
  uint64_t last_record_size_ = 0;
};

TEST_CASE("recovery: an older WAL that ends inside a record is refused below a newer SST",
          "[assumptions]") {
  const UnevenlyFlushedLeader leader;
  leader.CutFirstWal(1);
  const OpenDatabase recovered(leader.options(), leader.image(), leader.families());
  CHECK(recovered.status().IsCorruption());
  CHECK_THAT(recovered.status().ToString(), Catch::Contains("SST file is ahead of WALs"));
}

TEST_CASE("recovery: an older WAL that lost whole records is recovered with a hole",
          "[assumptions]") {
  const UnevenlyFlushedLeader leader;
  leader.CutFirstWal(leader.last_record_size());
  const OpenDatabase recovered(leader.options(), leader.image(), leader.families());
  REQUIRE(recovered.status().ToString() == "OK");
  CHECK(recovered->GetLatestSequenceNumber() == 4);
  const auto contents = recovered.Contents(0);
  CHECK(contents.contains("early"));
  CHECK_FALSE(contents.contains("late"));
  CHECK(contents.contains("after the flush"));
}

}  // namespace
}  // namespace slipstream
