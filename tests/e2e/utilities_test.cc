// What RocksDB offers beside reads and writes, on a leader: each works and followers stay equal, or
// says that it does not.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/convenience.h"
#include "rocksdb/experimental.h"
#include "rocksdb/trace_reader_writer.h"
#include "rocksdb/transaction_log.h"
#include "rocksdb/utilities/backup_engine.h"
#include "rocksdb/utilities/checkpoint.h"
#include "rocksdb/utilities/db_ttl.h"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"

namespace slipstream::testing {
namespace {

using rocksdb::Status;
using rocksdb::WriteOptions;

// What the ordinary database in `path` shows.
ContentDigest DigestOfDirectory(const std::string& path) {
  rocksdb::DB* opened = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  RequireOk(
      rocksdb::DB::Open(rocksdb::DBOptions(), path, TestColumnFamilies(), &families, &opened));
  const std::unique_ptr<rocksdb::DB> db(opened);
  ContentDigest digest;
  RequireOk(DigestOf(db.get(), families, nullptr, &digest));
  for (rocksdb::ColumnFamilyHandle* family : families) delete family;
  return digest;
}

std::vector<std::string> TableNames(rocksdb::DB* db) {
  std::vector<rocksdb::LiveFileMetaData> files;
  db->GetLiveFilesMetaData(&files);
  std::vector<std::string> names;
  for (const rocksdb::LiveFileMetaData& file : files) {
    if (file.column_family_name == rocksdb::kDefaultColumnFamilyName) names.push_back(file.name);
  }
  return names;
}

}  // namespace

TEST_CASE("utilities: a checkpoint of a leader is an ordinary database", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  MixedLoad load(leader.db(), leader.families, 100, 1);
  RequireOk(load.Write(500));
  leader.Flush();
  RequireOk(load.Write(500));
  rocksdb::Checkpoint* created = nullptr;
  RequireOk(rocksdb::Checkpoint::Create(leader.db(), &created));
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(created);
  const std::string path = cluster.directory().path("checkpoint");
  const uint64_t log_size_for_flush = GENERATE(uint64_t{0}, UINT64_MAX);
  RequireOk(checkpoint->CreateCheckpoint(path, log_size_for_flush));
  CHECK(DigestOfDirectory(path) == leader.Digest());
  RequireEqual(leader, follower);
}

TEST_CASE("utilities: a backup of a leader restores to an ordinary database", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  MixedLoad load(leader.db(), leader.families, 100, 1);
  rocksdb::BackupEngine* opened = nullptr;
  // The database is read through the leader's Env, the backup is written through another.
  rocksdb::BackupEngineOptions options(cluster.directory().path("backups"),
                                       rocksdb::Env::Default());
  RequireOk(rocksdb::BackupEngine::Open(leader.db()->GetEnv(), options, &opened));
  std::unique_ptr<rocksdb::BackupEngine> backups(opened);
  for (int round = 0; round < 2; ++round) {
    RequireOk(load.Write(300));
    leader.Flush();
    RequireOk(load.Write(300));
    RequireOk(backups->CreateNewBackup(leader.db(), /*flush_before_backup=*/round == 0));
  }
  const ContentDigest expected = leader.Digest();
  const std::string path = cluster.directory().path("restored");
  RequireOk(backups->RestoreDBFromLatestBackup(path, path));
  CHECK(DigestOfDirectory(path) == expected);
  RequireEqual(leader, follower);

  // It is another database, which may be led under another name.
  backups.reset();
  leader.Close();
  LeaderOptions leader_options = cluster.leader_options();
  LocalLeader restored;
  const Status s = Leader::Open(leader_options, LocalCluster::db_options(), path,
                                TestColumnFamilies(), &restored.families, &restored.leader);
  INFO(s.ToString());
  CHECK(s.IsInvalidArgument());
  leader_options.database = "restored";
  RequireOk(Leader::Open(leader_options, LocalCluster::db_options(), path, TestColumnFamilies(),
                         &restored.families, &restored.leader));
  CHECK(restored.Digest() == expected);
}

TEST_CASE("utilities: a leader's directory is no ordinary database, and stays whole", "[e2e]") {
  LocalCluster cluster;
  ContentDigest expected;
  {
    LocalLeader leader = cluster.StartLeader();
    RequireOk(MixedLoad(leader.db(), leader.families, 100, 1).Write(500));
    leader.Flush();
    expected = leader.Digest();
  }
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  const Status s = rocksdb::DB::Open(LocalCluster::db_options(), cluster.leader_path(),
                                     TestColumnFamilies(), &families, &db);
  INFO(s.ToString());
  CHECK(s.IsCorruption());
  CHECK(s.ToString().find("No such file") != std::string::npos);
  LocalLeader leader = cluster.StartLeader();
  CHECK(leader.Digest() == expected);
}

TEST_CASE("utilities: a destroyed directory leaves the storage, which then refuses another",
          "[e2e]") {
  LocalCluster cluster;
  {
    LocalLeader leader = cluster.StartLeader();
    RequireOk(MixedLoad(leader.db(), leader.families, 100, 1).Write(500));
    leader.Flush();
  }
  const size_t tables = cluster.Tables().size();
  RequireOk(rocksdb::DestroyDB(cluster.leader_path(), rocksdb::Options()));
  CHECK(cluster.Tables().size() == tables);
  LocalLeader leader;
  const Status s =
      Leader::Open(cluster.leader_options(), LocalCluster::db_options(), cluster.leader_path(),
                   TestColumnFamilies(), &leader.families, &leader.leader);
  INFO(s.ToString());
  CHECK(s.IsInvalidArgument());
  CHECK(s.ToString().find("holds no database") != std::string::npos);
  // Once its objects are removed the name is free.
  std::vector<std::string> names;
  RequireOk(cluster.storage()->List("test/", &names));
  for (const std::string& name : names) RequireOk(cluster.storage()->Delete(name));
  std::filesystem::remove_all(cluster.leader_path());
  LocalLeader fresh = cluster.StartLeader();
  CHECK(fresh.Digest().entries == 0);
}

TEST_CASE("utilities: calls that move, delete and protect files keep followers equal", "[e2e]") {
  LocalCluster cluster;
  rocksdb::DBOptions db_options = LocalCluster::db_options();
  LocalLeader leader = cluster.StartLeader(cluster.leader_options(), db_options);
  LocalFollower follower = cluster.StartFollower(leader);
  rocksdb::DB* db = leader.db();
  MixedLoad load(db, leader.families, 100, 1);
  for (int round = 0; round < 3; ++round) {
    RequireOk(load.Write(300));
    leader.Flush();
  }
  RequireOk(db->CompactFiles(rocksdb::CompactionOptions(), TableNames(db), 1));
  RequireEqual(leader, follower);
  RequireOk(rocksdb::experimental::SuggestCompactRange(db, nullptr, nullptr));
  RequireEqual(leader, follower);

  // By free functions that go round the handle.
  const rocksdb::Slice begin("key000000"), end("key009999");
  leader.Compact();
  RequireOk(load.Write(300));
  RequireOk(rocksdb::DeleteFilesInRange(db, db->DefaultColumnFamily(), &begin, &end));
  RequireEqual(leader, follower);

  RequireOk(db->DisableFileDeletions());
  leader.Compact();
  RequireOk(load.Write(100));
  RequireEqual(leader, follower);
  RequireOk(db->EnableFileDeletions());
  leader.Compact();
  RequireEqual(leader, follower);

  RequireOk(db->LockWAL());
  RequireOk(db->UnlockWAL());
  RequireOk(db->PauseBackgroundWork());
  RequireOk(db->ContinueBackgroundWork());
  RequireOk(load.Write(100));
  RequireEqual(leader, follower);
  CHECK(follower.follower->stats().resyncs == 0);
}

TEST_CASE("utilities: DeleteFile is a change that followers see", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  RequireOk(leader.db()->Put(WriteOptions(), "a", "1"));
  leader.Flush();
  leader.Compact();
  RequireOk(leader.db()->Put(WriteOptions(), "b", "2"));
  CatchUp(leader, follower);
  REQUIRE(follower.Get(0, "a") == "1");
  const std::vector<std::string> tables = TableNames(leader.db());
  REQUIRE(tables.size() == 1);
  RequireOk(leader.db()->DeleteFile(tables[0]));
  RequireEqual(leader, follower);
  CHECK(follower.Get(0, "a") == "(not found)");
  CHECK(follower.Get(0, "b") == "2");
}

TEST_CASE("utilities: traces and what reads WALs work on a leader", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  rocksdb::DB* db = leader.db();
  std::unique_ptr<rocksdb::TraceWriter> writer;
  RequireOk(rocksdb::NewFileTraceWriter(rocksdb::Env::Default(), rocksdb::EnvOptions(),
                                        cluster.directory().path("trace"), &writer));
  RequireOk(db->StartTrace(rocksdb::TraceOptions(), std::move(writer)));
  RequireOk(MixedLoad(db, leader.families, 100, 1).Write(100));
  RequireOk(db->EndTrace());
  CHECK(std::filesystem::file_size(cluster.directory().path("trace")) > 1000);
  const rocksdb::SequenceNumber from = db->GetLatestSequenceNumber() + 1;
  RequireOk(db->Put(WriteOptions(), "a", "1"));
  std::unique_ptr<rocksdb::TransactionLogIterator> updates;
  RequireOk(db->GetUpdatesSince(from, &updates));
  REQUIRE(updates->Valid());
  CHECK(updates->GetBatch().sequence == from);
  RequireOk(db->VerifyChecksum());
  RequireOk(db->Resume());
  std::vector<rocksdb::ColumnFamilyMetaData> metadata;
  db->GetAllColumnFamilyMetaData(&metadata);
  CHECK(metadata.size() == 3);
  RequireEqual(leader, follower);
}

TEST_CASE("utilities: followers of a DBWithTTL have its values with their times", "[e2e]") {
  LocalCluster cluster;
  std::unique_ptr<Leader> leader;
  RequireOk(Leader::Create(cluster.leader_options(), cluster.leader_path(), &leader));
  rocksdb::Options options(LocalCluster::db_options(), rocksdb::ColumnFamilyOptions());
  RequireOk(leader->Prepare(&options));
  rocksdb::DBWithTTL* opened = nullptr;
  RequireOk(rocksdb::DBWithTTL::Open(options, cluster.leader_path(), &opened, 3600));
  const std::unique_ptr<rocksdb::DBWithTTL> db(opened);
  RequireOk(leader->Serve(db.get()));
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  std::unique_ptr<Follower> follower;
  RequireOk(Follower::Open(cluster.follower_options(leader->port()), rocksdb::DBOptions(),
                           {{rocksdb::kDefaultColumnFamilyName, rocksdb::ColumnFamilyOptions()}},
                           &families, &follower));
  RequireOk(db->Put(WriteOptions(), "a", "1"));
  RequireOk(db->Flush(rocksdb::FlushOptions()));
  RequireOk(db->Put(WriteOptions(), "b", "2"));
  RequireOk(follower->WaitFor(leader->position(), kPatienceUs));
  for (const std::string key : {"a", "b"}) {
    std::string raw, shown, value;
    RequireOk(db->GetBaseDB()->Get(rocksdb::ReadOptions(), key, &raw));
    RequireOk(db->Get(rocksdb::ReadOptions(), key, &value));
    RequireOk(follower->db()->Get(rocksdb::ReadOptions(), key, &shown));
    CHECK(shown == raw);
    CHECK(shown.size() == value.size() + 4);
    CHECK(shown.starts_with(value));
  }
  for (rocksdb::ColumnFamilyHandle* family : families) delete family;
  RequireOk(follower->Close());
  RequireOk(leader->Close());
}

}  // namespace slipstream::testing
