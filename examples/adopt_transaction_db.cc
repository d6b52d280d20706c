// A host that opens its database itself: here a TransactionDB.
//
// What to look at: the four calls around TransactionDB::Open in Run, and the order at its end. The
// bank below moves money between accounts, one transaction a transfer. A follower adds up all
// accounts all the while: as it sees a transaction as a whole or not at all, the sum never changes.

#include <stdlib.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "rocksdb/snapshot.h"
#include "rocksdb/utilities/transaction.h"
#include "rocksdb/utilities/transaction_db.h"
#include "slipstream/follower.h"
#include "slipstream/leader.h"
#include "slipstream/shared_storage.h"

namespace fs = std::filesystem;
using rocksdb::Status;

namespace {

constexpr char kHelp[] = R"(Usage: adopt_transaction_db

Opens a TransactionDB of its own and lets Slipstream replicate it. Threads transfer money in
transactions, and now and then roll one back. A follower sums up all accounts meanwhile, and its
sums are checked.
Exit code: 0 if every sum was right and the follower ends with the leader's accounts.
)";

constexpr int kAccounts = 50;
constexpr int kStartBalance = 1000;
constexpr int kThreads = 2;
constexpr int kTransfersPerThread = 2000;

std::string AccountKey(uint64_t n) { return "account/" + std::to_string(100 + n); }

// All accounts and their sum, at one moment.
Status ReadAccounts(rocksdb::DB* db, std::vector<int>* balances, int* sum) {
  rocksdb::ManagedSnapshot snapshot(db);
  rocksdb::ReadOptions read;
  read.snapshot = snapshot.snapshot();
  std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(read));
  balances->clear();
  *sum = 0;
  for (it->Seek("account/"); it->Valid() && it->key().starts_with("account/"); it->Next()) {
    balances->push_back(std::atoi(it->value().ToString().c_str()));
    *sum += balances->back();
  }
  return it->status();
}

// Adds to an account's balance, with its lock held until the transaction ends.
Status Add(rocksdb::Transaction* transaction, const std::string& key, int amount) {
  std::string value;
  const Status s = transaction->GetForUpdate({}, key, &value);
  if (!s.ok()) return s;
  return transaction->Put(key, std::to_string(std::atoi(value.c_str()) + amount));
}

// Moves money in one transaction. Every tenth is given up. Every third is prepared first, as a host
// does that commits in several databases at once; followers show it when it is committed.
Status Transfer(rocksdb::TransactionDB* db, int number, std::mt19937* random) {
  // Accounts are locked in the order of their names: nobody waits in a circle.
  const uint64_t a = (*random)() % (kAccounts - 1);
  const uint64_t b = a + 1 + (*random)() % (kAccounts - 1 - a);
  const int amount = static_cast<int>((*random)() % 200) - 100;
  std::unique_ptr<rocksdb::Transaction> transaction(db->BeginTransaction({}));
  Status s = Add(transaction.get(), AccountKey(a), -amount);
  if (s.ok()) s = Add(transaction.get(), AccountKey(b), amount);
  if (s.ok() && number % 3 == 0) {
    s = transaction->SetName("transfer " + std::to_string(number));
    if (s.ok()) s = transaction->Prepare();
  }
  if (!s.ok() || number % 10 == 0) {
    const Status undone = transaction->Rollback();
    return s.ok() ? undone : s;
  }
  return transaction->Commit();
}

Status Bank(rocksdb::TransactionDB* db, slipstream::Leader* leader, slipstream::Follower* follower,
            bool* right) {
  rocksdb::WriteBatch opening;
  for (uint64_t n = 0; n < kAccounts; ++n) {
    opening.Put(AccountKey(n), std::to_string(kStartBalance));
  }
  Status s = db->Write({}, &opening);
  if (s.ok()) s = follower->WaitFor(leader->position(), 10'000'000);
  if (!s.ok()) return s;

  std::atomic<int> running{kThreads};
  std::vector<Status> results(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      Status* result = &results[static_cast<size_t>(t)];
      for (int i = 0; result->ok() && i < kTransfersPerThread; ++i) {
        *result = Transfer(db, t * kTransfersPerThread + i, &random);
      }
      --running;
    });
  }
  int sums = 0;
  int wrong = 0;
  std::vector<int> balances;
  int sum = 0;
  while (s.ok() && running > 0) {
    s = ReadAccounts(follower->db(), &balances, &sum);
    ++sums;
    if (sum != kAccounts * kStartBalance) ++wrong;
  }
  for (std::thread& thread : threads) thread.join();
  for (const Status& result : results) {
    if (s.ok()) s = result;
  }

  std::vector<int> expected;
  if (s.ok()) s = follower->WaitFor(leader->position(), 10'000'000);
  if (s.ok()) s = ReadAccounts(follower->db(), &balances, &sum);
  if (s.ok()) s = ReadAccounts(db, &expected, &sum);
  *right = wrong == 0 && balances == expected && sum == kAccounts * kStartBalance;
  std::cout << kThreads * kTransfersPerThread
            << " transactions; the follower added up all accounts " << sums << " times, " << wrong
            << " sums were wrong; at the end it has "
            << (balances == expected ? "the leader's accounts" : "OTHER ACCOUNTS THAN THE LEADER")
            << std::endl;
  return s;
}

Status Run(const fs::path& dir, bool* right) {
  std::shared_ptr<slipstream::SharedStorage> storage;
  Status s = slipstream::NewDirectoryStorage((dir / "objects").string(), &storage);
  if (!s.ok()) return s;
  slipstream::LeaderOptions leader_options;
  leader_options.database = "bank";
  leader_options.storage = storage;
  const std::string path = (dir / "leader").string();
  rocksdb::Options db_options;
  db_options.create_if_missing = true;
  db_options.write_buffer_size = 64 << 10;  // so that flushes happen in this short run

  // 1. The leader object comes first: its file system is what the database writes through.
  std::unique_ptr<slipstream::Leader> leader;
  s = slipstream::Leader::Create(leader_options, path, &leader);
  // 2. It claims the database and points the options at that file system.
  if (s.ok()) s = leader->Prepare(&db_options);
  // 3. The host opens whatever it likes.
  rocksdb::TransactionDB* raw = nullptr;
  if (s.ok()) s = rocksdb::TransactionDB::Open(db_options, {}, path, &raw);
  std::unique_ptr<rocksdb::TransactionDB> db(raw);
  // 4. From here on followers can connect.
  if (s.ok()) s = leader->Serve(db.get());
  if (!s.ok()) return s;

  slipstream::FollowerOptions follower_options;
  follower_options.database = "bank";
  follower_options.storage = storage;
  follower_options.leader_address = "127.0.0.1:" + std::to_string(leader->port());
  std::unique_ptr<slipstream::Follower> follower;
  s = slipstream::Follower::Open(follower_options, rocksdb::Options(), &follower);
  if (s.ok()) s = Bank(db.get(), leader.get(), follower.get(), right);

  // The order matters: no more followers, then the database, then the leader that it writes
  // through.
  follower.reset();
  const Status closed = leader->Close();
  db.reset();
  leader.reset();
  return s.ok() ? closed : s;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    std::cout << kHelp;
    return std::string(argv[1]) == "--help" ? 0 : 2;
  }
  std::string dir = (fs::temp_directory_path() / "adopt_transaction_db-XXXXXX").string();
  if (::mkdtemp(dir.data()) == nullptr) return 1;
  bool right = false;
  const Status s = Run(dir, &right);
  if (!s.ok()) std::cerr << "adopt_transaction_db: " << s.ToString() << std::endl;
  std::error_code ignored;
  fs::remove_all(dir, ignored);
  return s.ok() && right ? 0 : 1;
}
