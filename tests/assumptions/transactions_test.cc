// What two-phase commit leaves in the WAL, and what that makes of recovery.

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/db.h"
#include "rocksdb/utilities/transaction.h"
#include "rocksdb/utilities/transaction_db.h"
#include "rocksdb/utilities/write_batch_with_index.h"
#include "rocksdb/wal_filter.h"
#include "rocksdb/write_batch.h"
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

// A transactional database in `directory`, whose end flushes nothing.
class TransactionalDatabase {
 public:
  TransactionalDatabase(const RecordedOptions& recorded, const std::string& directory,
                        rocksdb::WalFilter* filter = nullptr) {
    rocksdb::Options options = recorded.Leader();
    options.avoid_flush_during_shutdown = true;
    options.wal_filter = filter;
    rocksdb::TransactionDB* db = nullptr;
    REQUIRE(rocksdb::TransactionDB::Open(options, rocksdb::TransactionDBOptions(), directory, &db)
                .ToString() == "OK");
    db_.reset(db);
  }

  void Put(const std::string& key) {
    REQUIRE(db_->Put(rocksdb::WriteOptions(), key, "value").ToString() == "OK");
  }
  std::unique_ptr<rocksdb::Transaction> Prepare(const std::string& name, const std::string& key) {
    std::unique_ptr<rocksdb::Transaction> transaction(
        db_->BeginTransaction(rocksdb::WriteOptions()));
    REQUIRE(transaction->SetName(name).ToString() == "OK");
    REQUIRE(transaction->Put(key, "value").ToString() == "OK");
    REQUIRE(transaction->Prepare().ToString() == "OK");
    return transaction;
  }
  void Flush() { REQUIRE(db_->Flush(rocksdb::FlushOptions()).ToString() == "OK"); }
  bool Has(const std::string& key) {
    std::string value;
    return db_->Get(rocksdb::ReadOptions(), key, &value).ok();
  }
  bool IsPrepared(const std::string& name) { return db_->GetTransactionByName(name) != nullptr; }
  rocksdb::TransactionDB* operator->() { return db_.get(); }

 private:
  std::unique_ptr<rocksdb::TransactionDB> db_;
};

TEST_CASE("transactions: what is recovered with allow_2pc is read without its WALs from then on",
          "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  uint64_t sequence = 0;
  {
    TransactionalDatabase first(recorded, directory.path());
    first.Put("a");
    first.Prepare("stays prepared", "p");
    first.Put("b");
    sequence = first->GetLatestSequenceNumber();
  }
  const std::vector<std::string> recovered_wals = directory.FilesEndingWith(".log");
  REQUIRE_FALSE(recovered_wals.empty());
  TransactionalDatabase second(recorded, directory.path());
  CHECK(second->GetLatestSequenceNumber() == sequence);
  second.Put("c");

  const ScratchDir image;
  image.CopyFilesOf(directory);
  // The section keeps its WAL alive, and nothing else in it is needed.
  for (const std::string& wal : recovered_wals) {
    REQUIRE(std::filesystem::remove(image.file(wal)));
  }
  const RecordedOptions image_options;
  const OpenDatabase generation(image_options.Generation(), image.path());
  REQUIRE(generation.status().ToString() == "OK");
  CHECK(generation->GetLatestSequenceNumber() == sequence + 1);
  CHECK(generation.Contents(0).size() == 3);
}

TEST_CASE("transactions: a WAL with a section is kept until the transaction's end is flushed",
          "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  TransactionalDatabase db(recorded, directory.path());
  db.Put("a");
  const auto transaction = db.Prepare("name", "p");
  const std::string wal = directory.FilesEndingWith(".log").back();
  const auto exists = [&] { return std::filesystem::exists(directory.file(wal)); };
  db.Flush();
  db.Put("b");
  db.Flush();
  CHECK(exists());
  REQUIRE(transaction->Commit().ToString() == "OK");
  db.Put("c");
  CHECK(exists());
  db.Flush();
  // One more, for the deletion of files is the last step of a flush.
  db.Put("d");
  db.Flush();
  CHECK_FALSE(exists());
}

TEST_CASE("transactions: a commit whose section is in a deleted WAL recovers to nothing",
          "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory, image;
  std::string wal;
  {
    TransactionalDatabase db(recorded, directory.path());
    const auto transaction = db.Prepare("name", "p");
    wal = directory.FilesEndingWith(".log").back();
    db.Put("a");
    db.Flush();
    db.Put("b");
    REQUIRE(transaction->Commit().ToString() == "OK");
    image.CopyFilesOf(directory);
  }
  REQUIRE(std::filesystem::remove(image.file(wal)));
  TransactionalDatabase recovered(recorded, image.path());
  CHECK(recovered.Has("b"));
  CHECK_FALSE(recovered.Has("p"));
  CHECK_FALSE(recovered.IsPrepared("name"));
}

// Counts what it is shown.
class CountingFilter : public rocksdb::WalFilter {
 public:
  WalProcessingOption LogRecordFound(unsigned long long, const std::string&,
                                     const rocksdb::WriteBatch&, rocksdb::WriteBatch*,
                                     bool*) override {
    ++records;
    return WalProcessingOption::kContinueProcessing;
  }
  const char* Name() const override { return "Counting"; }

  int records = 0;
};

TEST_CASE("transactions: damage in a WAL takes the sections behind it, and a filter sees the rest",
          "[assumptions]") {
  for (const bool cut : {true, false}) {
    INFO((cut ? "cut" : "a flipped byte"));
    const RecordedOptions recorded;
    const ScratchDir directory;
    uint64_t damage = 0;
    {
      TransactionalDatabase db(recorded, directory.path());
      db.Put("a");
      db.Prepare("kept", "p");
      damage = std::filesystem::file_size(directory.file(directory.FilesEndingWith(".log").back()));
      db.Prepare("lost", "q");
      db.Put("b");
    }
    const std::string wal = directory.file(directory.FilesEndingWith(".log").back());
    if (cut) {
      std::filesystem::resize_file(wal, damage + 20);
    } else {
      std::fstream file(wal, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(damage) + 20);
      file.put('!');
      REQUIRE(file.good());
    }
    {
      CountingFilter filter;
      TransactionalDatabase recovered(recorded, directory.path(), &filter);
      CHECK(filter.records == 2);
      CHECK(recovered.Has("a"));
      CHECK_FALSE(recovered.Has("b"));
      CHECK(recovered.IsPrepared("kept"));
      CHECK_FALSE(recovered.IsPrepared("lost"));
      recovered.Prepare("second", "r");
    }
    // The damaged WAL is there still, for the section in it, and is read again up to the damage.
    CountingFilter filter;
    TransactionalDatabase again(recorded, directory.path(), &filter);
    CHECK(again.IsPrepared("kept"));
    CHECK(again.IsPrepared("second"));
    CHECK_FALSE(again.IsPrepared("lost"));
    // The second WAL begins with a record of no entries.
    CHECK(filter.records == 4);
  }
}

TEST_CASE("transactions: a prepared transaction that is forgotten leaves its name free",
          "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  TransactionalDatabase db(recorded, directory.path());
  db.Prepare("name", "forgotten");
  const auto second = db.Prepare("name", "second");
  REQUIRE(second->Commit().ToString() == "OK");
  CHECK(db.Has("second"));
  CHECK_FALSE(db.Has("forgotten"));
}

TEST_CASE("transactions: there are no range deletes in them", "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  TransactionalDatabase db(recorded, directory.path());
  const std::unique_ptr<rocksdb::Transaction> transaction(
      db->BeginTransaction(rocksdb::WriteOptions()));
  CHECK_FALSE(transaction->GetWriteBatch()->DeleteRange(db->DefaultColumnFamily(), "a", "b").ok());
  CHECK_FALSE(transaction->GetCommitTimeWriteBatch()->HasDeleteRange());
}

TEST_CASE("transactions: only those of the policy WRITE_COMMITTED take a commit timestamp",
          "[assumptions]") {
  using Policy = rocksdb::TxnDBWritePolicy;
  for (const Policy policy :
       {Policy::WRITE_COMMITTED, Policy::WRITE_PREPARED, Policy::WRITE_UNPREPARED}) {
    const RecordedOptions recorded;
    const ScratchDir directory;
    rocksdb::TransactionDBOptions options;
    options.write_policy = policy;
    rocksdb::TransactionDB* opened = nullptr;
    REQUIRE(rocksdb::TransactionDB::Open(recorded.Leader(), options, directory.path(), &opened)
                .ToString() == "OK");
    const std::unique_ptr<rocksdb::TransactionDB> db(opened);
    const std::unique_ptr<rocksdb::Transaction> transaction(
        db->BeginTransaction(rocksdb::WriteOptions()));
    CHECK(transaction->SetCommitTimestamp(1).ok() == (policy == Policy::WRITE_COMMITTED));
  }
}

}  // namespace
}  // namespace slipstream
