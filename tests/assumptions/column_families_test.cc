// What becomes of writes to column families that are not there.

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

// A database with a family that was dropped while its handle is still held.
struct Dropped {
  Dropped() : db(options.Leader(), directory.path()) {
    REQUIRE(db.status().ToString() == "OK");
    family = db.CreateFamily(options.Leader(), "dropped");
    REQUIRE(db->Put(rocksdb::WriteOptions(), db.family(family), "old", "value").ToString() == "OK");
    REQUIRE(db->DropColumnFamily(db.family(family)).ToString() == "OK");
  }

  rocksdb::WriteBatch MixedBatch() const {
    rocksdb::WriteBatch batch;
    REQUIRE(batch.Put("before", "value").ToString() == "OK");
    REQUIRE(batch.Put(db.family(family), "new", "value").ToString() == "OK");
    REQUIRE(batch.Put("after", "value").ToString() == "OK");
    return batch;
  }

  const RecordedOptions options;
  const ScratchDir directory;
  OpenDatabase db;
  size_t family = 0;
};

TEST_CASE("column families: a write to a dropped family fails after its WAL append",
          "[assumptions]") {
  const Dropped dropped;
  dropped.options.files()->ForgetEvents();
  rocksdb::WriteBatch batch = dropped.MixedBatch();
  CHECK(dropped.db->Write(rocksdb::WriteOptions(), &batch).IsInvalidArgument());

  const auto events = dropped.options.files()->events();
  REQUIRE(dropped.options.files()->Names(Kind::kAppend, ".log").size() == 1);
  const auto records = ReadLogRecords(events.front().bytes);
  REQUIRE(records.size() == 1);
  CHECK(ReadBatchHeader(records[0]).count == 3);
}

TEST_CASE("column families: a memtable insert that fails is a background error", "[assumptions]") {
  const Dropped dropped;
  rocksdb::WriteBatch batch = dropped.MixedBatch();
  REQUIRE(dropped.db->Write(rocksdb::WriteOptions(), &batch).IsInvalidArgument());

  // Later writes are refused with the same error, and they do not reach the WAL.
  dropped.options.files()->ForgetEvents();
  const rocksdb::Status status = dropped.db->Put(rocksdb::WriteOptions(), "later", "value");
  CHECK(status.IsInvalidArgument());
  CHECK(status.severity() == rocksdb::Status::kFatalError);
  CHECK(dropped.options.files()->Names(Kind::kAppend, ".log").empty());
}

TEST_CASE("column families: a failed insert has consumed the numbers of its batch",
          "[assumptions]") {
  const Dropped dropped;
  const uint64_t before = dropped.db->GetLatestSequenceNumber();
  rocksdb::WriteBatch batch = dropped.MixedBatch();
  REQUIRE(dropped.db->Write(rocksdb::WriteOptions(), &batch).IsInvalidArgument());
  CHECK(dropped.db->GetLatestSequenceNumber() == before + 3);
}

TEST_CASE("column families: with ignore_missing_column_families the rest of a batch is written",
          "[assumptions]") {
  const Dropped dropped;
  const uint64_t before = dropped.db->GetLatestSequenceNumber();
  rocksdb::WriteBatch batch = dropped.MixedBatch();
  rocksdb::WriteOptions ignoring;
  ignoring.ignore_missing_column_families = true;
  REQUIRE(dropped.db->Write(ignoring, &batch).ToString() == "OK");
  CHECK(dropped.db->GetLatestSequenceNumber() == before + 3);
  CHECK(dropped.db.Contents(0).size() == 2);
}

TEST_CASE("column families: a re-created family has a new id, and the old handle the old data",
          "[assumptions]") {
  Dropped dropped;
  const size_t created = dropped.db.CreateFamily(dropped.options.Leader(), "dropped");
  CHECK(dropped.db.family(created)->GetID() > dropped.db.family(dropped.family)->GetID());
  CHECK(dropped.db.Contents(dropped.family).size() == 1);
  CHECK(dropped.db.Contents(created).empty());
}

}  // namespace
}  // namespace slipstream
