// What two-phase commit leaves in the WAL, and what that makes of recovery.

#include <memory>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/db.h"
#include "rocksdb/utilities/transaction.h"
#include "rocksdb/utilities/transaction_db.h"
#include "tests/assumptions/log_records.h"
#include "tests/assumptions/open_database.h"
#include "tests/assumptions/recorded_options.h"
#include "tests/assumptions/scratch_dir.h"

namespace slipstream {
namespace {

using Kind = FileEvent::Kind;

// A transactional leader with one transaction of two keys, which it has prepared.
class PreparedLeader {
 public:
  PreparedLeader() {
    rocksdb::TransactionDB* db = nullptr;
    REQUIRE(rocksdb::TransactionDB::Open(recorded_.Leader(), rocksdb::TransactionDBOptions(),
                                         directory_.path(), &db)
                .ToString() == "OK");
    db_.reset(db);
    recorded_.files()->ForgetEvents();
    transaction_.reset(db_->BeginTransaction(rocksdb::WriteOptions()));
    REQUIRE(transaction_->SetName("name").ToString() == "OK");
    REQUIRE(transaction_->Put("a", "value").ToString() == "OK");
    REQUIRE(transaction_->Put("b", "value").ToString() == "OK");
    REQUIRE(transaction_->Prepare().ToString() == "OK");
  }

  void Commit() { REQUIRE(transaction_->Commit().ToString() == "OK"); }

  uint64_t sequence() const { return db_->GetLatestSequenceNumber(); }
  const ScratchDir& directory() const { return directory_; }

  // Returns the headers of the records since the database was opened.
  std::vector<BatchHeader> WalHeaders() const {
    std::string bytes;
    for (const FileEvent& event : recorded_.files()->events()) {
      if (event.kind == Kind::kAppend && event.name.ends_with(".log")) bytes += event.bytes;
    }
    std::vector<BatchHeader> headers;
    for (const std::string& record : ReadLogRecords(bytes)) {
      headers.push_back(ReadBatchHeader(record));
    }
    return headers;
  }

 private:
  const RecordedOptions recorded_;
  const ScratchDir directory_;
  std::unique_ptr<rocksdb::TransactionDB> db_;
  std::unique_ptr<rocksdb::Transaction> transaction_;
};

TEST_CASE("transactions: a prepare is in the WAL and consumes no sequence number",
          "[assumptions]") {
  const PreparedLeader leader;
  CHECK(leader.sequence() == 0);
  const auto headers = leader.WalHeaders();
  REQUIRE(headers.size() == 1);
  // Both keys are counted, so a record's count does not tell the numbers that it consumes.
  CHECK(headers[0].count == 2);
  CHECK(headers[0].sequence == 1);
}

TEST_CASE("transactions: a commit consumes the sequence numbers of the prepared data",
          "[assumptions]") {
  PreparedLeader leader;
  leader.Commit();
  CHECK(leader.sequence() == 2);
  const auto headers = leader.WalHeaders();
  REQUIRE(headers.size() == 2);
  // The record of the commit is a mere marker, with the sequence where the data begins.
  CHECK(headers[1].count == 0);
  CHECK(headers[1].sequence == 1);
}

TEST_CASE("transactions: allow_2pc flushes during recovery although that is to be avoided",
          "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  OpenDatabase leader(recorded.Leader(), directory.path());
  REQUIRE(leader.status().ToString() == "OK");
  REQUIRE(leader->Put(rocksdb::WriteOptions(), "key", "value").ToString() == "OK");
  const ScratchDir image;
  image.CopyFilesOf(directory);

  const RecordedOptions image_options;
  rocksdb::Options options = image_options.Generation();
  options.allow_2pc = true;
  REQUIRE(options.avoid_flush_during_recovery);
  const OpenDatabase recovered(options, image.path());
  REQUIRE(recovered.status().ToString() == "OK");
  CHECK(image_options.files()->Names(Kind::kCreate, ".sst").size() == 1);
}

}  // namespace
}  // namespace slipstream
