// Hosts that bring their own: databases, transactions, servers.
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/utilities/optimistic_transaction_db.h"
#include "rocksdb/utilities/transaction_db.h"
#include "slipstream/replay_memtable.h"
#include "slipstream/replication_server.h"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"

namespace slipstream::testing {
namespace {

using rocksdb::Status;
using rocksdb::WriteOptions;

size_t LocalTables(const std::string& path) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().extension() == ".sst") ++count;
  }
  return count;
}

// A database that RocksDB itself opened by way of a Leader.
template <typename DB>
struct HostedDatabase {
  ~HostedDatabase() {
    for (rocksdb::ColumnFamilyHandle* family : families) delete family;
    if (leader != nullptr) RequireOk(leader->Close());
    delete db;
  }

  void RequireEqual(const LocalFollower& follower) const {
    RequireOk(follower.follower->WaitFor(leader->position(), kPatienceUs));
    ContentDigest digest;
    RequireOk(DigestOf(db, families, nullptr, &digest));
    REQUIRE(follower.Digest() == digest);
  }

  std::unique_ptr<Leader> leader;  // outlives db
  DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
};

// Commits, rolls back, commits again with a flush between, and compares. `begin` makes a
// transaction.
template <typename DB, typename Begin>
void RequireTransactionsReplicate(const LocalCluster& cluster, HostedDatabase<DB>* host,
                                  Begin begin) {
  LocalFollower follower = cluster.StartFollower(cluster.follower_options(host->leader->port()));
  for (int i = 0; i < 20; ++i) {
    std::unique_ptr<rocksdb::Transaction> committed(begin());
    RequireOk(committed->Put(host->families[0], "a", std::to_string(i)));
    RequireOk(committed->Put(host->families[1], "a" + std::to_string(i), "1"));
    RequireOk(committed->Merge(host->families[2], "n", "1"));
    std::unique_ptr<rocksdb::Transaction> dropped(begin());
    RequireOk(dropped->Put(host->families[0], "dropped", "1"));
    RequireOk(dropped->Rollback());
    RequireOk(committed->Commit());
    if (i % 7 == 3) RequireOk(host->db->Flush(rocksdb::FlushOptions(), host->families));
    RequireOk(host->db->Put(WriteOptions(), "plain", std::to_string(i)));
    host->RequireEqual(follower);
  }
  CHECK(follower.Get(0, "a") == "19");
  CHECK(follower.Get(2, "n") == "20");
  CHECK(follower.Get(0, "dropped") == "(not found)");
  LocalFollower late = cluster.StartFollower(cluster.follower_options(host->leader->port()));
  host->RequireEqual(late);
  CHECK(follower.follower->stats().resyncs == 0);
}

}  // namespace

TEST_CASE("host: an existing ordinary database is taken over", "[e2e]") {
  LocalCluster cluster;
  rocksdb::DBOptions options = LocalCluster::db_options();
  options.allow_2pc = GENERATE(false, true);
  const std::string path = cluster.leader_path();
  ContentDigest before;
  {
    rocksdb::DB* opened = nullptr;
    std::vector<rocksdb::ColumnFamilyHandle*> families;
    RequireOk(rocksdb::DB::Open(options, path, TestColumnFamilies(), &families, &opened));
    const std::unique_ptr<rocksdb::DB> db(opened);
    MixedLoad load(db.get(), families, 100, 1);
    for (int round = 0; round < 3; ++round) {
      RequireOk(load.Write(1000));
      RequireOk(db->Flush(rocksdb::FlushOptions(), families));
    }
    RequireOk(load.Write(500));
    RequireOk(DigestOf(db.get(), families, nullptr, &before));
    for (rocksdb::ColumnFamilyHandle* family : families) delete family;
    // Its WAL is left to be recovered.
  }
  REQUIRE(LocalTables(path) > 0);
  for (int opening = 0; opening < 2; ++opening) {
    LocalLeader leader = cluster.StartLeader(cluster.leader_options(), options);
    CHECK(LocalTables(path) == 0);
    CHECK(leader.Digest() == before);
    LocalFollower follower = cluster.StartFollower(leader);
    CHECK(follower.Digest() == before);
    RequireOk(leader.db()->Put(WriteOptions(), "after", "1"));
    leader.Compact();
    RequireEqual(leader, follower);
    CHECK(LocalTables(path) == 0);
    RequireOk(leader.db()->Put(WriteOptions(), "after", "2"));
    before = leader.Digest();
  }
}

TEST_CASE("host: the threads and the clock of its Env stay in use", "[e2e]") {
  class CountingEnv : public rocksdb::EnvWrapper {
   public:
    CountingEnv() : EnvWrapper(Env::Default()) {}
    const char* Name() const override { return "slipstream.testing.Counting"; }
    void Schedule(void (*function)(void*), void* argument, Priority priority, void* tag,
                  void (*unschedule)(void*)) override {
      ++scheduled;
      EnvWrapper::Schedule(function, argument, priority, tag, unschedule);
    }
    uint64_t NowMicros() override {
      ++asked;
      return EnvWrapper::NowMicros();
    }
    Status GetCurrentTime(int64_t* unix_time) override {
      *unix_time = 1000000;
      return Status::OK();
    }
    std::atomic<uint64_t> scheduled{0}, asked{0};
  } env;
  LocalCluster cluster;
  rocksdb::DBOptions options = LocalCluster::db_options();
  options.env = &env;
  LocalLeader leader = cluster.StartLeader(cluster.leader_options(), options);
  const uint64_t scheduled = env.scheduled, asked = env.asked;
  RequireOk(leader.db()->Put(WriteOptions(), "a", "1"));
  leader.Flush();
  CHECK(env.scheduled > scheduled);
  CHECK(env.asked > asked);
  std::vector<rocksdb::LiveFileMetaData> files;
  leader.db()->GetLiveFilesMetaData(&files);
  REQUIRE(files.size() == 1);
  CHECK(files[0].file_creation_time == 1000000);
  LocalFollower follower = cluster.StartFollower(leader);
  RequireEqual(leader, follower);
}

TEST_CASE("host: transactions of a TransactionDB replicate", "[e2e]") {
  LocalCluster cluster;
  HostedDatabase<rocksdb::TransactionDB> host;
  RequireOk(Leader::Create(cluster.leader_options(), cluster.leader_path(), &host.leader));
  rocksdb::DBOptions db_options = LocalCluster::db_options();
  RequireOk(host.leader->Prepare(&db_options, TestColumnFamilies()));
  RequireOk(rocksdb::TransactionDB::Open(db_options, rocksdb::TransactionDBOptions(),
                                         cluster.leader_path(), TestColumnFamilies(),
                                         &host.families, &host.db));
  RequireOk(host.leader->Serve(host.db, host.families));
  RequireTransactionsReplicate(cluster, &host,
                               [&] { return host.db->BeginTransaction(WriteOptions()); });
}

TEST_CASE("host: transactions of an OptimisticTransactionDB replicate", "[e2e]") {
  LocalCluster cluster;
  HostedDatabase<rocksdb::OptimisticTransactionDB> host;
  RequireOk(Leader::Create(cluster.leader_options(), cluster.leader_path(), &host.leader));
  rocksdb::DBOptions db_options = LocalCluster::db_options();
  RequireOk(host.leader->Prepare(&db_options, TestColumnFamilies()));
  RequireOk(rocksdb::OptimisticTransactionDB::Open(db_options, cluster.leader_path(),
                                                   TestColumnFamilies(), &host.families, &host.db));
  RequireOk(host.leader->Serve(host.db, host.families));
  RequireTransactionsReplicate(cluster, &host,
                               [&] { return host.db->BeginTransaction(WriteOptions()); });
}

TEST_CASE("host: a leader with the replay memtable replicates", "[e2e]") {
  LocalCluster cluster;
  LeaderOptions options = cluster.leader_options();
  options.replay_memtable = true;
  LocalLeader leader = cluster.StartLeader(options, LocalCluster::db_options());
  CHECK_FALSE(leader.db()->GetDBOptions().allow_concurrent_memtable_write);
  rocksdb::ColumnFamilyHandle* created = nullptr;
  RequireOk(leader.db()->CreateColumnFamily(rocksdb::ColumnFamilyOptions(), "created", &created));
  const std::unique_ptr<rocksdb::ColumnFamilyHandle> owner(created);
  CHECK(leader.db()->GetOptions(created).memtable_factory->GetId() ==
        "ReplayMemTableFactory:bytewise");
  LocalFollower follower = cluster.StartFollower(leader);
  // Writers that would insert at the same time with the skip list.
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < 500; ++i) {
        const std::string key = std::to_string(w) + "/" + std::to_string(i);
        const Status s = leader.db()->Put(WriteOptions(), key, std::to_string(i));
        if (!s.ok()) std::abort();
      }
    });
  }
  for (std::thread& t : writers) t.join();
  RequireEqual(leader, follower);
  leader.Compact();
  RequireEqual(leader, follower);
}

TEST_CASE("host: a TransactionDB with the replay memtable replicates", "[e2e]") {
  LocalCluster cluster;
  HostedDatabase<rocksdb::TransactionDB> host;
  LeaderOptions options = cluster.leader_options();
  options.replay_memtable = true;
  RequireOk(Leader::Create(options, cluster.leader_path(), &host.leader));
  std::vector<rocksdb::ColumnFamilyDescriptor> families = TestColumnFamilies();
  rocksdb::DBOptions db_options = LocalCluster::db_options();
  const Status refused = host.leader->Prepare(&db_options, families);
  INFO(refused.ToString());
  CHECK(refused.IsInvalidArgument());
  CHECK(refused.ToString().find("UseReplayMemTable") != std::string::npos);
  for (auto& family : families) RequireOk(UseReplayMemTable(&family.options));
  RequireOk(host.leader->Prepare(&db_options, families));
  CHECK_FALSE(db_options.allow_concurrent_memtable_write);
  RequireOk(rocksdb::TransactionDB::Open(db_options, rocksdb::TransactionDBOptions(),
                                         cluster.leader_path(), families, &host.families,
                                         &host.db));
  RequireOk(host.leader->Serve(host.db, host.families));
  RequireTransactionsReplicate(cluster, &host,
                               [&] { return host.db->BeginTransaction(WriteOptions()); });
}

TEST_CASE("host: a leader serves only what it prepared", "[e2e]") {
  LocalCluster cluster;
  std::unique_ptr<Leader> leader;
  RequireOk(Leader::Create(cluster.leader_options(), cluster.leader_path(), &leader));
  rocksdb::Options options(LocalCluster::db_options(), rocksdb::ColumnFamilyOptions());
  rocksdb::DB* opened = nullptr;
  RequireOk(rocksdb::DB::Open(options, cluster.directory().path("other"), &opened));
  const std::unique_ptr<rocksdb::DB> other(opened);
  CHECK(leader->Serve(other.get()).IsInvalidArgument());
  rocksdb::DBOptions db_options = LocalCluster::db_options();
  RequireOk(leader->Prepare(&db_options));
  CHECK(leader->Prepare(&db_options).IsInvalidArgument());
  CHECK(leader->Serve(other.get()).IsInvalidArgument());
  RequireOk(leader->Close());
}

TEST_CASE("host: two databases share one server", "[e2e]") {
  std::shared_ptr<ReplicationServer> server;
  RequireOk(ReplicationServer::Start(ReplicationServerOptions(), &server));
  LocalCluster first_cluster, second_cluster, clashing_cluster;
  LeaderOptions options = first_cluster.leader_options();
  options.server = server;
  LocalLeader first = first_cluster.StartLeader(options, LocalCluster::db_options());
  options.storage = clashing_cluster.storage();
  LocalLeader clash;
  CHECK(Leader::Open(options, LocalCluster::db_options(), clashing_cluster.leader_path(),
                     TestColumnFamilies(), &clash.families, &clash.leader)
            .IsBusy());
  options.storage = second_cluster.storage();
  options.database = "second";
  LocalLeader second = second_cluster.StartLeader(options, LocalCluster::db_options());
  CHECK(first.leader->port() == server->port());
  CHECK(second.leader->port() == server->port());

  LocalFollower of_first = first_cluster.StartFollower(first);
  FollowerOptions follower_options = second_cluster.follower_options(server->port());
  follower_options.database = "second";
  LocalFollower of_second = second_cluster.StartFollower(follower_options);
  RequireOk(MixedLoad(first.db(), first.families, 100, 1).Write(1000));
  RequireOk(MixedLoad(second.db(), second.families, 100, 2).Write(1500));
  RequireEqual(first, of_first);
  RequireEqual(second, of_second);
  CHECK_FALSE(of_first.Digest() == of_second.Digest());

  // One goes, the other stays.
  first.Close();
  CHECK(Eventually([&] { return !of_first.follower->stats().connected; }));
  second.Flush();
  RequireOk(MixedLoad(second.db(), second.families, 100, 3).Write(100));
  RequireEqual(second, of_second);
  CHECK(of_second.follower->stats().reconnects == 0);
}

TEST_CASE("host: a follower waits for the first leader of a server", "[e2e]") {
  LocalCluster cluster;
  LeaderOptions options = cluster.leader_options();
  RequireOk(ReplicationServer::Start(ReplicationServerOptions(), &options.server));
  FollowerOptions follower_options = cluster.follower_options(options.server->port());
  follower_options.open_timeout_ms = 300;
  LocalFollower early;
  const rocksdb::Status s = Follower::Open(follower_options, LocalCluster::db_options(),
                                           TestColumnFamilies(), &early.families, &early.follower);
  CHECK(s.IsTimedOut());
  CHECK_THAT(s.ToString(), Catch::Contains("no database is served here yet"));
  follower_options.open_timeout_ms = 60000;
  std::optional<LocalFollower> follower;
  std::thread opener([&] { follower.emplace(cluster.StartFollower(follower_options)); });
  LocalLeader leader = cluster.StartLeader(options, LocalCluster::db_options());
  opener.join();
  RequireEqual(leader, *follower);
  // From then on another name is a mistake.
  follower_options.database = "other";
  CHECK(Follower::Open(follower_options, LocalCluster::db_options(), TestColumnFamilies(),
                       &early.families, &early.follower)
            .IsNotFound());
}

TEST_CASE("host: a leader serves from a server that the host built", "[e2e]") {
  LocalCluster cluster;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  LeaderOptions options = cluster.leader_options();
  options.server = ReplicationServer::Register(&builder);
  const std::unique_ptr<grpc::Server> server(builder.BuildAndStart());
  REQUIRE(server != nullptr);
  CHECK(options.server->port() == 0);
  LocalLeader leader = cluster.StartLeader(options, LocalCluster::db_options());
  LocalFollower follower = cluster.StartFollower(cluster.follower_options(port));
  RequireOk(MixedLoad(leader.db(), leader.families, 100, 1).Write(1000));
  RequireEqual(leader, follower);
  leader.Close();
  follower.Close();
  options.server->Stop();
  server->Shutdown();
}

}  // namespace slipstream::testing
