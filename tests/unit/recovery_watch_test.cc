#include "lib/leader/recovery_watch.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "rocksdb/utilities/transaction.h"
#include "rocksdb/utilities/transaction_db.h"
#include "tests/unit/scratch_database.h"

namespace slipstream {
namespace {

using rocksdb::TransactionDB;
using testing::RequireOk;
using testing::ScratchDirectory;

std::unique_ptr<TransactionDB> Open(const std::string& path, rocksdb::WalFilter* filter) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.avoid_flush_during_shutdown = true;
  options.wal_filter = filter;
  TransactionDB* db = nullptr;
  RequireOk(TransactionDB::Open(options, rocksdb::TransactionDBOptions(), path, &db));
  return std::unique_ptr<TransactionDB>(db);
}

void Prepare(TransactionDB* db, const std::string& name) {
  const std::unique_ptr<rocksdb::Transaction> transaction(db->BeginTransaction({}));
  RequireOk(transaction->SetName(name));
  RequireOk(transaction->Put(name, "value"));
  RequireOk(transaction->Prepare());
}

std::vector<std::string> Names(const RecoveryWatch& watch) {
  std::vector<RecoveredTransaction> recovered;
  RequireOk(watch.Result(&recovered));
  std::vector<std::string> names;
  for (const RecoveredTransaction& transaction : recovered) names.push_back(transaction.name);
  return names;
}

TEST_CASE("recovery_watch: knows what is prepared after a recovery, and no more", "[unit]") {
  const ScratchDirectory directory;
  const std::string path = directory / "db";
  {
    const auto db = Open(path, nullptr);
    for (const char* name : {"a", "b", "c"}) Prepare(db.get(), name);
  }
  RecoveryWatch watch;
  CHECK(watch.GetId() == "nullptr");
  CHECK(Names(watch).empty());
  {
    const auto db = Open(path, &watch);
    CHECK(Names(watch) == std::vector<std::string>{"a", "b", "c"});
    const std::unique_ptr<rocksdb::Transaction> a(db->GetTransactionByName("a"));
    const std::unique_ptr<rocksdb::Transaction> c(db->GetTransactionByName("c"));
    RequireOk(a->Commit());
    RequireOk(c->Rollback());
    Prepare(db.get(), "d");
  }
  // The same one again, as after an open that failed: it begins anew.
  const auto db = Open(path, &watch);
  CHECK(Names(watch) == std::vector<std::string>{"b", "d"});
}

}  // namespace
}  // namespace slipstream
