// The installed librocksdb checks its own invariants, and aborts the process where one is broken. A
// library without assertions fails the tests of this file. That is no danger to Slipstream, which
// provokes none, but the library is then another one than what the design speaks of.

#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <memory>
#include <string>

#include "catch2/catch.hpp"
#include "lib/core/rocksdb_release.h"
#include "rocksdb/db.h"
#include "rocksdb/iterator.h"
#include "rocksdb/utilities/transaction.h"
#include "rocksdb/utilities/transaction_db.h"
#include "rocksdb/write_batch.h"
#include "tests/assumptions/hidden_test.h"
#include "tests/assumptions/open_database.h"
#include "tests/assumptions/recorded_options.h"
#include "tests/assumptions/scratch_dir.h"

namespace slipstream {
namespace {

void LeaveNoCoreFile() {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  REQUIRE(::setrlimit(RLIMIT_CORE, &none) == 0);
}

bool Aborted(int wait_status) {
  return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGABRT;
}

bool Passed(int wait_status) { return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0; }

TEST_CASE("hidden: moves an iterator that has no next entry", "[.]") {
  LeaveNoCoreFile();
  const std::unique_ptr<rocksdb::Iterator> iterator(rocksdb::NewEmptyIterator());
  iterator->Next();
}

TEST_CASE("hidden: does nothing", "[.]") { LeaveNoCoreFile(); }

// The other assertion that the design names, that all families of an atomic flush were scheduled
// for the same reason, fails only when flushes of one database overlap in a certain way. Nothing
// pins it, because public headers give a test no certain way to arrange that.
TEST_CASE("assertions: a broken invariant of RocksDB aborts the process", "[assumptions]") {
  CHECK(Aborted(RunHiddenTest("hidden: moves an iterator that has no next entry")));
  CHECK(Passed(RunHiddenTest("hidden: does nothing")));
}

// Opens a copy of a transactional database whose WAL has a prepared section.
void OpenPrepared(bool committed, bool allow_2pc) {
  LeaveNoCoreFile();
  const RecordedOptions recorded;
  const ScratchDir directory;
  const ScratchDir image;
  rocksdb::TransactionDB* db = nullptr;
  REQUIRE(rocksdb::TransactionDB::Open(recorded.Leader(), rocksdb::TransactionDBOptions(),
                                       directory.path(), &db)
              .ToString() == "OK");
  const std::unique_ptr<rocksdb::TransactionDB> leader(db);
  const std::unique_ptr<rocksdb::Transaction> transaction(
      leader->BeginTransaction(rocksdb::WriteOptions()));
  REQUIRE(transaction->SetName("name").ToString() == "OK");
  REQUIRE(transaction->Put("key", "value").ToString() == "OK");
  REQUIRE(transaction->Prepare().ToString() == "OK");
  if (committed) REQUIRE(transaction->Commit().ToString() == "OK");
  image.CopyFilesOf(directory);

  const RecordedOptions image_options;
  rocksdb::Options options = image_options.Generation();
  options.allow_2pc = allow_2pc;
  const OpenDatabase recovered(options, image.path());
  CHECK(recovered.status().ToString() == "OK");
}

TEST_CASE("hidden: opens a prepared section", "[.]") { OpenPrepared(false, false); }
TEST_CASE("hidden: opens a committed section", "[.]") { OpenPrepared(true, false); }
TEST_CASE("hidden: opens a committed section with allow_2pc", "[.]") { OpenPrepared(true, true); }

// A library without assertions refuses such a WAL with NotSupported. This one does not get so far.
TEST_CASE("assertions: without allow_2pc, opening a WAL with a prepared section aborts",
          "[assumptions]") {
  CHECK(Aborted(RunHiddenTest("hidden: opens a prepared section")));
  CHECK(Aborted(RunHiddenTest("hidden: opens a committed section")));
  CHECK(Passed(RunHiddenTest("hidden: opens a committed section with allow_2pc")));
}

TEST_CASE("hidden: writes the batch of a transaction", "[.]") {
  LeaveNoCoreFile();
  const RecordedOptions recorded;
  const ScratchDir directory;
  OpenDatabase db(recorded.Leader(), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  rocksdb::WriteBatch batch;
  REQUIRE(batch.Put("key", "value").ToString() == "OK");
  std::string bytes = batch.Data();
  bytes.insert(12, 1, '\x0d');  // behind the header, where a transaction leaves a no-operation
  rocksdb::WriteBatch copy(bytes);
  REQUIRE(db->Write(rocksdb::WriteOptions(), &copy).ToString() == "OK");
}

// That is why the applier leaves them out.
TEST_CASE("assertions: RocksDB 9.10 aborts at a no-operation in a batch made of bytes",
          "[assumptions]") {
  const int ended = RunHiddenTest("hidden: writes the batch of a transaction");
  CHECK((SLIPSTREAM_ROCKSDB_9 ? Aborted(ended) : Passed(ended)));
}

}  // namespace
}  // namespace slipstream
