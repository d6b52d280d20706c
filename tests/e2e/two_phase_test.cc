// Transactions in two phases: prepared, then committed or rolled back, with everything in between.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/comparator.h"
#include "rocksdb/convenience.h"
#include "rocksdb/env.h"
#include "tests/e2e/node_process.h"
#include "tests/e2e/transactional_leader.h"
#include "tests/faults/fault_file_system.h"

namespace slipstream::testing {
namespace {

using rocksdb::Slice;
using rocksdb::Transaction;
using rocksdb::TransactionDB;
using rocksdb::WriteOptions;

LocalFollower StartFollower(const LocalCluster& cluster, TransactionalLeader* leader) {
  return cluster.StartFollower(cluster.follower_options(leader->leader()->port()));
}

// One follower that rebuilds at every chance, and one that never does but when it has to.
struct TwoFollowers {
  TwoFollowers(const LocalCluster& cluster, int port)
      : eager(cluster.StartFollower(cluster.follower_options(port))),
        lazy(cluster.StartFollower(Lazy(cluster, port))) {}

  static FollowerOptions Lazy(const LocalCluster& cluster, int port) {
    FollowerOptions options = cluster.follower_options(port);
    options.rebuild_interval_ms = 3600000;
    options.rebuild_flushed_bytes = 1ull << 40;
    return options;
  }

  void RequireEqual(TransactionalLeader* leader) const {
    leader->RequireEqual(eager);
    leader->RequireEqual(lazy);
  }

  LocalFollower eager;
  LocalFollower lazy;
};

std::filesystem::path NewestWal(const std::string& directory) {
  std::filesystem::path newest;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".log" && entry.path() > newest) newest = entry.path();
  }
  REQUIRE_FALSE(newest.empty());
  return newest;
}

void CutTail(const std::filesystem::path& file, uint64_t bytes) {
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - bytes);
}

void FlipByte(const std::filesystem::path& file, uint64_t offset) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(offset));
  const int byte = stream.get();
  stream.seekp(static_cast<std::streamoff>(offset));
  stream.put(static_cast<char>(byte ^ 0x40));
  REQUIRE(stream.good());
}

void RequireLateEqual(const LocalCluster& cluster, TransactionalLeader* leader) {
  leader->RequireEqual(StartFollower(cluster, leader));
}

}  // namespace

TEST_CASE("two_phase: what is prepared shows when it is committed, at the leader's numbers",
          "[e2e]") {
  LocalCluster cluster;
  TransactionalLeader leader(cluster);
  TwoFollowers followers(cluster, leader.leader()->port());
  auto transaction = leader.Prepare("one", "a", "1");
  leader.Put("between", "1");
  followers.RequireEqual(&leader);
  CHECK(followers.lazy.Get(0, "a") == "(not found)");
  CHECK(followers.lazy.follower->stats().prepared_transactions == 1);
  RequireOk(transaction->Commit());
  followers.RequireEqual(&leader);
  CHECK(followers.lazy.Get(0, "a") == "1");
  CHECK(followers.lazy.Get(2, "a") == "1");
  CHECK(followers.lazy.follower->stats().prepared_transactions == 0);
  leader.Put("after", "1");
  followers.RequireEqual(&leader);
  RequireLateEqual(cluster, &leader);
  CHECK(followers.eager.follower->stats().resyncs == 0);
  CHECK(followers.lazy.follower->stats().rebuilds == 0);
}

TEST_CASE("two_phase: what is rolled back never shows, and its name is used again", "[e2e]") {
  LocalCluster cluster;
  TransactionalLeader leader(cluster);
  TwoFollowers followers(cluster, leader.leader()->port());
  for (int i = 0; i < 6; ++i) {
    auto transaction = leader.Prepare("name", "a" + std::to_string(i), std::to_string(i));
    if (i == 3) leader.FlushAll();
    RequireOk(i % 2 == 0 ? transaction->Rollback() : transaction->Commit());
    followers.RequireEqual(&leader);
    CHECK(followers.eager.Get(0, "a" + std::to_string(i)) ==
          (i % 2 == 0 ? "(not found)" : std::to_string(i)));
  }
  RequireLateEqual(cluster, &leader);
}

TEST_CASE("two_phase: prepared in one WAL, committed in a later one, flushes between", "[e2e]") {
  LocalCluster cluster;
  TransactionalLeader leader(cluster);
  TwoFollowers followers(cluster, leader.leader()->port());
  std::vector<std::unique_ptr<Transaction>> open;
  for (int i = 0; i < 12; ++i) {
    const std::string key = "key" + std::to_string(i);
    open.push_back(leader.Prepare("t" + std::to_string(i), key, "v"));
    leader.Put("plain" + key, "1");
    // Of one column family or of all: other WALs are kept, and deleted, each time.
    if (i % 3 == 0) leader.FlushAll();
    if (i % 3 == 1) leader.Flush(i % 2);
    if (i >= 4) {
      Transaction* ended = open[static_cast<size_t>(i) - 4].get();
      RequireOk(i % 4 == 0 ? ended->Rollback() : ended->Commit());
    }
    followers.RequireEqual(&leader);
    RequireLateEqual(cluster, &leader);
  }
  leader.FlushAll();
  followers.RequireEqual(&leader);
  // The first ones have long left the live WALs; the last ones are still prepared.
  for (size_t i = 8; i < open.size(); ++i) RequireOk(open[i]->Commit());
  followers.RequireEqual(&leader);
  RequireLateEqual(cluster, &leader);
  CHECK(Eventually([&] { return followers.eager.follower->stats().rebuilds > 0; }));
  CHECK(followers.eager.follower->stats().resyncs == 0);
}

TEST_CASE("two_phase: a family with timestamps that comes while a transaction is prepared",
          "[e2e]") {
  LocalCluster cluster;
  TransactionalLeader leader(cluster);
  rocksdb::ColumnFamilyOptions timed;
  RequireOk(rocksdb::Comparator::CreateFromString(
      rocksdb::ConfigOptions(), "leveldb.BytewiseComparator.u64ts", &timed.comparator));
  FollowerOptions options = cluster.follower_options(leader.leader()->port());
  options.other_column_families = timed;
  const LocalFollower follower = cluster.StartFollower(options);
  const std::string five("\5\0\0\0\0\0\0\0", 8);
  const Slice at = five;
  rocksdb::ReadOptions read;
  read.timestamp = &at;
  const auto require_shown = [&](const LocalFollower& by) {
    RequireOk(by.follower->WaitFor(leader.leader()->position(), kPatienceUs));
    rocksdb::ColumnFamilyHandle* family = by.follower->GetColumnFamily("timed");
    REQUIRE(family != nullptr);
    std::string value, timestamp;
    RequireOk(by.db()->Get(read, family, "key", &value, &timestamp));
    CHECK(value == "value");
    CHECK((timestamp == five));
    const std::unique_ptr<rocksdb::Iterator> it(by.db()->NewIterator(read, family));
    it->SeekToFirst();
    REQUIRE(it->Valid());
    CHECK(it->key() == "key");
    it->Next();
    CHECK_FALSE(it->Valid());
    RequireOk(it->status());
  };

  // Followers read this WAL without what is prepared in it from here on. RocksDB 9.10 tells in it,
  // between its records, that the new family has timestamps.
  auto transaction = leader.Prepare("one", "a", "1");
  rocksdb::ColumnFamilyHandle* created = nullptr;
  RequireOk(leader.db()->CreateColumnFamily(timed, "timed", &created));
  const std::unique_ptr<rocksdb::ColumnFamilyHandle> family(created);
  RequireOk(leader.db()->Put(WriteOptions(), family.get(), "key", five, "value"));
  require_shown(follower);
  require_shown(cluster.StartFollower(options));
  RequireOk(transaction->Commit());
  require_shown(follower);
  // One that opens all of it at once.
  const LocalFollower late = cluster.StartFollower(options);
  require_shown(late);
  leader.RequireEqual(late);
  leader.RequireEqual(follower);
  CHECK(follower.follower->stats().resyncs == 0);
}

TEST_CASE("two_phase: the manifest rolls between prepare and commit", "[e2e]") {
  LocalCluster cluster;
  rocksdb::DBOptions options = LocalCluster::db_options();
  options.max_manifest_file_size = 1;
  TransactionalLeader leader(cluster, 0, options);
  TwoFollowers followers(cluster, leader.leader()->port());
  auto transaction = leader.Prepare("one", "a", "1");
  for (int i = 0; i < 3; ++i) {
    leader.Put("b", std::to_string(i));
    leader.FlushAll();
    followers.RequireEqual(&leader);
  }
  RequireOk(transaction->Commit());
  followers.RequireEqual(&leader);
  RequireLateEqual(cluster, &leader);
}

TEST_CASE("two_phase: what a restarted leader recovers as prepared is committed in a later epoch",
          "[e2e]") {
  LocalCluster cluster;
  auto leader = std::make_unique<TransactionalLeader>(cluster);
  const int port = leader->leader()->port();
  TwoFollowers followers(cluster, port);
  leader->Put("before", "1");
  { auto committed = leader->Prepare("commits", "a", "1"); }
  leader->FlushAll();
  { auto rolled_back = leader->Prepare("rolls back", "b", "1"); }
  { auto stays = leader->Prepare("stays", "c", "1"); }
  leader->Put("later", "1");
  followers.RequireEqual(leader.get());
  for (int restart = 0; restart < 3; ++restart) {
    INFO("restart " << restart);
    leader.reset();
    leader = std::make_unique<TransactionalLeader>(cluster, port);
    followers.RequireEqual(leader.get());
    CHECK(followers.eager.Get(0, "c") == "(not found)");
    RequireLateEqual(cluster, leader.get());
    if (restart == 1) RequireOk(leader->Recovered("commits")->Commit());
    if (restart == 1) RequireOk(leader->Recovered("rolls back")->Rollback());
    leader->Put("restart", std::to_string(restart));
    followers.RequireEqual(leader.get());
    RequireLateEqual(cluster, leader.get());
  }
  CHECK(followers.eager.Get(0, "a") == "1");
  CHECK(followers.eager.Get(2, "a") == "1");
  CHECK(followers.eager.Get(0, "b") == "(not found)");
  leader->FlushAll();
  RequireOk(leader->Recovered("stays")->Commit());
  followers.RequireEqual(leader.get());
  RequireLateEqual(cluster, leader.get());
  CHECK(followers.lazy.Get(0, "c") == "1");
}

// RocksDB deletes a WAL that it recovered from late, and newer ones before it.
TEST_CASE("two_phase: a name is used again, and the end of its first transaction is in no WAL",
          "[e2e]") {
  LocalCluster cluster;
  auto leader = std::make_unique<TransactionalLeader>(cluster);
  const int port = leader->leader()->port();
  leader->Put("before", "1");
  { auto first = leader->Prepare("reused", "first", "1"); }
  const std::filesystem::path recovered = NewestWal(cluster.leader_path());
  leader.reset();
  leader = std::make_unique<TransactionalLeader>(cluster, port);
  RequireOk(leader->Recovered("reused")->Rollback());
  const std::filesystem::path deleted = NewestWal(cluster.leader_path());
  std::unique_ptr<rocksdb::Transaction> second(leader->db()->BeginTransaction(WriteOptions()));
  RequireOk(second->SetName("reused"));
  RequireOk(second->Put("second", "1"));
  RequireOk(second->Prepare());
  leader->Put("between", "1");
  leader->FlushAll();
  RequireOk(second->Commit());
  // Keeps the WAL of the commit.
  auto holds = leader->Prepare("holds", "held", "1");
  leader->Put("after", "1");
  leader->FlushAll();
  CHECK(Eventually([&] { return !std::filesystem::exists(deleted); }));
  REQUIRE(std::filesystem::exists(recovered));
  RequireLateEqual(cluster, leader.get());
  RequireOk(holds->Commit());
  RequireLateEqual(cluster, leader.get());
}

TEST_CASE("two_phase: the options file of a leader names no filter that others cannot load",
          "[e2e]") {
  LocalCluster cluster;
  const TransactionalLeader leader(cluster);
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(cluster.leader_path())) {
    if (!entry.path().filename().string().starts_with("OPTIONS-")) continue;
    ++files;
    std::ifstream in(entry.path());
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    CHECK_THAT(text, Catch::Contains("wal_filter=nullptr"));
  }
  CHECK(files > 0);
}

TEST_CASE("two_phase: an empty transaction consumes nothing", "[e2e]") {
  LocalCluster cluster;
  TransactionalLeader leader(cluster);
  TwoFollowers followers(cluster, leader.leader()->port());
  const std::unique_ptr<Transaction> empty(leader.db()->BeginTransaction(WriteOptions()));
  RequireOk(empty->SetName("empty"));
  RequireOk(empty->Prepare());
  followers.RequireEqual(&leader);
  RequireOk(empty->Commit());
  followers.RequireEqual(&leader);
  leader.Put("a", "1");
  followers.RequireEqual(&leader);
  RequireLateEqual(cluster, &leader);
}

TEST_CASE("two_phase: savepoints, deletes, single deletes and comments in a transaction", "[e2e]") {
  LocalCluster cluster;
  TransactionalLeader leader(cluster);
  TwoFollowers followers(cluster, leader.leader()->port());
  for (const char* key : {"deleted", "single"}) leader.Put(key, "1");
  const std::unique_ptr<Transaction> transaction(leader.db()->BeginTransaction(WriteOptions()));
  RequireOk(transaction->SetName("mixed"));
  RequireOk(transaction->Put("kept", "1"));
  transaction->SetSavePoint();
  RequireOk(transaction->Put("taken back", "1"));
  RequireOk(transaction->RollbackToSavePoint());
  RequireOk(transaction->Delete("deleted"));
  RequireOk(transaction->SingleDelete("single"));
  transaction->PutLogData("a comment");
  for (int i = 0; i < 5; ++i) RequireOk(transaction->Merge(leader.family(2), "n", "2"));
  RequireOk(transaction->Prepare());
  followers.RequireEqual(&leader);
  // A batch beside the prepared one, written with the commit.
  RequireOk(transaction->GetCommitTimeWriteBatch()->Put("commit time", "1"));
  RequireOk(transaction->Commit());
  followers.RequireEqual(&leader);
  CHECK(followers.lazy.Get(0, "kept") == "1");
  CHECK(followers.lazy.Get(0, "taken back") == "(not found)");
  CHECK(followers.lazy.Get(0, "deleted") == "(not found)");
  CHECK(followers.lazy.Get(0, "single") == "(not found)");
  CHECK(followers.lazy.Get(0, "commit time") == "1");
  CHECK(followers.lazy.Get(2, "n") == "10");
  RequireLateEqual(cluster, &leader);
  leader.FlushAll();
  followers.RequireEqual(&leader);
}

TEST_CASE("two_phase: a transaction of several MiB", "[e2e]") {
  LocalCluster cluster;
  TransactionalLeader leader(cluster);
  TwoFollowers followers(cluster, leader.leader()->port());
  auto transaction = leader.Begin("large", "a", "1");
  for (int i = 0; i < 40; ++i) {
    RequireOk(transaction->Put(leader.family(i % 2), "large" + std::to_string(i),
                               std::string(100'000 + i, static_cast<char>('a' + i % 26))));
  }
  RequireOk(transaction->Prepare());
  leader.Put("between", "1");
  followers.RequireEqual(&leader);
  leader.Flush(1);
  RequireOk(transaction->Commit());
  followers.RequireEqual(&leader);
  RequireLateEqual(cluster, &leader);
}

TEST_CASE("two_phase: a column family is created and dropped between prepare and commit", "[e2e]") {
  LocalCluster cluster;
  TransactionalLeader leader(cluster);
  TwoFollowers followers(cluster, leader.leader()->port());
  WriteOptions tolerant;
  tolerant.ignore_missing_column_families = true;
  const std::unique_ptr<Transaction> transaction(leader.db()->BeginTransaction(tolerant));
  RequireOk(transaction->SetName("one"));
  RequireOk(transaction->Put(leader.family(0), "a", "1"));
  RequireOk(transaction->Put(leader.family(1), "a", "1"));
  RequireOk(transaction->Put(leader.family(0), "b", "1"));
  RequireOk(transaction->Prepare());
  followers.RequireEqual(&leader);

  // A handle per column family: the comparison goes over those that are left.
  rocksdb::ColumnFamilyHandle* const dropped = leader.family(1);
  RequireOk(leader.db()->DropColumnFamily(dropped));
  leader.families()->erase(leader.families()->begin() + 1);
  for (LocalFollower* follower : {&followers.eager, &followers.lazy}) {
    RequireOk(follower->follower->WaitFor(leader.leader()->position(), kPatienceUs));
    delete follower->families[1];
    follower->families.erase(follower->families.begin() + 1);
  }
  followers.RequireEqual(&leader);
  RequireOk(transaction->Commit());
  followers.RequireEqual(&leader);
  CHECK(followers.lazy.Get(0, "a") == "1");
  CHECK(followers.lazy.Get(0, "b") == "1");
  leader.Put("c", "1");
  followers.RequireEqual(&leader);
  leader.FlushAll();
  followers.RequireEqual(&leader);
  delete dropped;
}

namespace {

// What a leader says that is to serve a TransactionDB which was opened like this.
rocksdb::Status ServeTransactionDB(rocksdb::DBOptions options,
                                   const rocksdb::TransactionDBOptions& transaction_options) {
  LocalCluster cluster;
  std::unique_ptr<Leader> leader;
  RequireOk(Leader::Create(cluster.leader_options(), cluster.leader_path(), &leader));
  RequireOk(leader->Prepare(&options, TestColumnFamilies()));
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  TransactionDB* opened = nullptr;
  RequireOk(TransactionDB::Open(options, transaction_options, cluster.leader_path(),
                                TestColumnFamilies(), &families, &opened));
  const std::unique_ptr<TransactionDB> db(opened);
  const rocksdb::Status s = leader->Serve(db.get(), families);
  for (rocksdb::ColumnFamilyHandle* family : families) delete family;
  return s;
}

}  // namespace

TEST_CASE("two_phase: other write policies are refused by name", "[e2e]") {
  for (const auto policy :
       {rocksdb::TxnDBWritePolicy::WRITE_PREPARED, rocksdb::TxnDBWritePolicy::WRITE_UNPREPARED}) {
    rocksdb::TransactionDBOptions options;
    options.write_policy = policy;
    const rocksdb::Status s = ServeTransactionDB(LocalCluster::db_options(), options);
    CHECK(s.IsInvalidArgument());
    CHECK_THAT(s.ToString(), Catch::Contains("write_policy") && Catch::Contains("WRITE_COMMITTED"));
  }
}

TEST_CASE("two_phase: a recovery that reads on behind damage is refused by name", "[e2e]") {
  rocksdb::DBOptions options = LocalCluster::db_options();
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
  const rocksdb::Status s = ServeTransactionDB(options, rocksdb::TransactionDBOptions());
  CHECK(s.IsInvalidArgument());
  CHECK_THAT(s.ToString(), Catch::Contains("wal_recovery_mode = kSkipAnyCorruptedRecords") &&
                               Catch::Contains("allow_2pc"));
}

namespace {

// What RocksDB makes of damage, all that is prepared behind it being lost, is what followers have
// to go by, through further crashes in which the damaged WAL is still there.
void RequireDamageIsFollowed(bool cut) {
  LocalCluster cluster;
  auto leader = std::make_unique<TransactionalLeader>(cluster);
  const int port = leader->leader()->port();
  TwoFollowers followers(cluster, port);
  leader->Put("plain", "1");
  { auto kept = leader->Prepare("kept", "a", "1"); }
  leader->Put("plain", "2");
  const uint64_t damage = std::filesystem::file_size(NewestWal(cluster.leader_path()));
  { auto lost = leader->Prepare("lost", "b", "1"); }
  leader->Put("plain", "3");
  followers.RequireEqual(leader.get());
  leader.reset();
  const std::filesystem::path damaged = NewestWal(cluster.leader_path());
  if (cut) {
    CutTail(damaged, std::filesystem::file_size(damaged) - damage - 20);
  } else {
    FlipByte(damaged, damage + 20);
  }

  leader = std::make_unique<TransactionalLeader>(cluster, port);
  CHECK(leader->db()->GetTransactionByName("lost") == nullptr);
  followers.RequireEqual(leader.get());
  CHECK(followers.lazy.Get(0, "plain") == "2");
  CHECK(followers.lazy.follower->stats().prepared_transactions == 1);
  RequireLateEqual(cluster, leader.get());
  { auto second = leader->Prepare("second", "c", "1"); }
  // The name of the one that was lost is free.
  { auto again = leader->Prepare("lost", "d", "1"); }
  leader->Put("plain", "4");
  leader.reset();

  leader = std::make_unique<TransactionalLeader>(cluster, port);
  REQUIRE(std::filesystem::exists(damaged));
  followers.RequireEqual(leader.get());
  CHECK(followers.lazy.Get(0, "plain") == "4");
  CHECK(followers.lazy.follower->stats().prepared_transactions == 3);
  RequireOk(leader->Recovered("kept")->Commit());
  RequireOk(leader->Recovered("lost")->Commit());
  RequireOk(leader->Recovered("second")->Rollback());
  followers.RequireEqual(leader.get());
  RequireLateEqual(cluster, leader.get());
  CHECK(followers.lazy.Get(0, "a") == "1");
  CHECK(followers.lazy.Get(0, "b") == "(not found)");
  CHECK(followers.lazy.Get(0, "c") == "(not found)");
  CHECK(followers.lazy.Get(0, "d") == "1");
}

}  // namespace

TEST_CASE("two_phase: who is told that history was taken back is shown what is left", "[e2e]") {
  LocalCluster cluster;
  auto leader = std::make_unique<TransactionalLeader>(cluster);
  const int port = leader->leader()->port();
  std::atomic<Follower*> told{nullptr};
  std::atomic<uint64_t> prepared{1000};
  FollowerOptions options = cluster.follower_options(port);
  options.on_history_reset = [&](const HistoryReset&) {
    prepared = told.load()->stats().prepared_transactions;
  };
  const LocalFollower follower = cluster.StartFollower(options);
  told = follower.follower.get();
  leader->Put("plain", "1");
  const uint64_t damage = std::filesystem::file_size(NewestWal(cluster.leader_path()));
  { auto lost = leader->Prepare("lost", "b", "1"); }
  leader->Put("plain", "2");
  leader->RequireEqual(follower);
  CHECK(follower.follower->stats().prepared_transactions == 1);
  leader.reset();
  FlipByte(NewestWal(cluster.leader_path()), damage + 20);
  leader = std::make_unique<TransactionalLeader>(cluster, port);
  leader->RequireEqual(follower);
  CHECK(prepared == 0);
}

TEST_CASE("two_phase: the torn tail of a WAL takes prepared transactions with it", "[e2e]") {
  RequireDamageIsFollowed(true);
}

TEST_CASE("two_phase: a flipped byte in a WAL takes prepared transactions with it", "[e2e]") {
  RequireDamageIsFollowed(false);
}

TEST_CASE("two_phase: a leader killed with prepared transactions recovers them", "[e2e]") {
  const std::vector<std::string> transactions{"transactions=1", "write_buffer_bytes=131072"};
  NodeCluster cluster;
  auto leader = cluster.StartLeader(0, transactions);
  const int port = leader->port();
  auto follower = cluster.StartFollower(port, {"rebuild_ms=20", "rebuild_bytes=65536"});
  follower->AwaitReady();
  leader->Ask("put default plain 1");
  leader->Ask("prepare commits default a 1 reverse a 1");
  leader->Ask("prepare rolls_back default b 1");
  // Flushes, and other WALs behind the one that holds the sections.
  leader->Ask("load 3000 100 1");
  leader->Ask("prepare late default c 1");
  RequireEqual(leader.get(), follower.get());
  for (int kill = 0; kill < 2; ++kill) {
    leader->Kill();
    leader = cluster.StartLeader(port, transactions);
    RequireEqual(leader.get(), follower.get());
    auto joins = cluster.StartFollower(port);
    joins->AwaitReady();
    RequireEqual(leader.get(), joins.get());
    if (kill == 0) leader->Ask("commit late");
    leader->Ask("load 1000 100 " + std::to_string(kill + 2));
  }
  leader->Ask("commit commits");
  leader->Ask("rollback rolls_back");
  RequireEqual(leader.get(), follower.get());
  CHECK(follower->Ask("get default a") == "1");
  CHECK(follower->Ask("get reverse a") == "1");
  CHECK(follower->Answer("get default b").starts_with("error NotFound"));
  CHECK(follower->Ask("get default c") == "1");
  leader->Kill();
  leader = cluster.StartLeader(port, transactions);
  RequireEqual(leader.get(), follower.get());
  CHECK(follower->Ask("get default a") == "1");
  CHECK(follower->Stat("history_resets") == 0);
}

TEST_CASE(
    "two_phase: a stream that a failed WAL has ended goes on when what was prepared has ended",
    "[e2e]") {
  const auto fs = std::make_shared<FaultFileSystem>();
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(fs);
  LocalCluster cluster;
  rocksdb::DBOptions options = LocalCluster::db_options();
  options.env = env.get();
  options.bgerror_resume_retry_interval = 1000;
  TransactionalLeader leader(cluster, 0, options);
  // No memtable is empty: with empty ones RocksDB would go on in the WAL that has failed.
  RequireOk(leader.Begin("base", "base", "1")->Commit());
  TwoFollowers followers(cluster, leader.leader()->port());
  auto transaction = leader.Prepare("held", "a", "1");
  followers.RequireEqual(&leader);
  fs->Arm({FileRole::kWal, FileCall::kAppend, 1, false, RetryableError(), 9});
  REQUIRE(leader.db()->Put(WriteOptions(), "refused", "1").IsIOError());
  rocksdb::Status s;
  const bool taken = Eventually([&] {
    s = leader.db()->Put(WriteOptions(), "again", "1");
    return s.ok();
  });
  INFO(s.ToString());
  REQUIRE(taken);
  // The file that failed holds what is prepared, and so is needed.
  CHECK_FALSE(leader.leader()->stats().replication.ok());
  RequireOk(transaction->Commit());
  leader.Put("after", "1");
  REQUIRE(Eventually([&] { return leader.leader()->stats().replication.ok(); }));
  followers.RequireEqual(&leader);
  CHECK(followers.lazy.Get(0, "a") == "1");
  CHECK(followers.lazy.Get(0, "refused") == "(not found)");
  auto next = leader.Prepare("held", "b", "1");
  followers.RequireEqual(&leader);
  RequireOk(next->Commit());
  followers.RequireEqual(&leader);
  RequireLateEqual(cluster, &leader);
}

}  // namespace slipstream::testing
