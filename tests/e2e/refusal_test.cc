// What cannot work is refused at once, by name.
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"
#include "tests/e2e/node_process.h"
#include "tests/e2e/plain_server.h"
#include "tests/e2e/tcp_proxy.h"

namespace slipstream::testing {
namespace {

using rocksdb::ColumnFamilyDescriptor;
using rocksdb::Status;

Status TryFollower(const FollowerOptions& options,
                   const std::vector<ColumnFamilyDescriptor>& families) {
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  std::unique_ptr<Follower> follower;
  Status s = Follower::Open(options, rocksdb::DBOptions(), families, &handles, &follower);
  CHECK(handles.empty());
  CHECK(follower == nullptr);
  return s;
}

void CheckNames(const Status& s, const std::vector<std::string>& names) {
  INFO(s.ToString());
  for (const std::string& name : names) CHECK(s.ToString().find(name) != std::string::npos);
}

}  // namespace

TEST_CASE("refusal: a database that the leader does not serve is not found", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  FollowerOptions options = cluster.follower_options(leader.leader->port());
  options.database = "other";
  const auto begin = std::chrono::steady_clock::now();
  const Status s = TryFollower(options, TestColumnFamilies());
  CHECK(s.IsNotFound());
  CheckNames(s, {"other"});
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(3));
}

TEST_CASE("refusal: options that are not the leader's are named with the leader's", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  const FollowerOptions options = cluster.follower_options(leader.leader->port());
  std::vector<ColumnFamilyDescriptor> families = TestColumnFamilies();

  SECTION("comparator") {
    families[1].options.comparator = rocksdb::BytewiseComparator();
    const Status s = TryFollower(options, families);
    CHECK(s.IsInvalidArgument());
    CheckNames(s, {kReverse, rocksdb::BytewiseComparator()->Name(),
                   rocksdb::ReverseBytewiseComparator()->Name()});
  }
  SECTION("comparator of a column family that is not named") {
    families.erase(families.begin() + 1);
    const Status s = TryFollower(options, families);
    CHECK(s.IsInvalidArgument());
    CheckNames(s, {kReverse, rocksdb::BytewiseComparator()->Name(),
                   rocksdb::ReverseBytewiseComparator()->Name()});
  }
  SECTION("merge operator") {
    families[2].options.merge_operator = nullptr;
    const Status s = TryFollower(options, families);
    CHECK(s.IsInvalidArgument());
    CheckNames(s, {kSums, "\"\"", AddingOperator().Name()});
  }
  SECTION("merge operator where the leader has none") {
    families[0].options.merge_operator = std::make_shared<AddingOperator>();
    const Status s = TryFollower(options, families);
    CHECK(s.IsInvalidArgument());
    CheckNames(s, {"default", AddingOperator().Name()});
  }
  SECTION("missing column family") {
    families.emplace_back("absent", rocksdb::ColumnFamilyOptions());
    const Status s = TryFollower(options, families);
    CHECK(s.IsInvalidArgument());
    CheckNames(s, {"absent"});
  }
  SECTION("no default column family") {
    families.erase(families.begin());
    CHECK(TryFollower(options, families).IsInvalidArgument());
  }
}

TEST_CASE("refusal: a follower gives up on an address that does not answer", "[e2e]") {
  LocalCluster cluster;
  int unused_port = 0;
  TcpProxy silent(1);
  silent.Pause();
  {
    // A port on which nobody listens any more.
    const TcpProxy gone(1);
    unused_port = gone.port();
  }
  const bool listening = GENERATE(true, false);
  const int port = listening ? silent.port() : unused_port;
  FollowerOptions options = cluster.follower_options(port);
  options.open_timeout_ms = 300;
  const auto begin = std::chrono::steady_clock::now();
  const Status s = TryFollower(options, TestColumnFamilies());
  INFO(s.ToString());
  CHECK(s.IsTimedOut());
  CheckNames(s, {std::to_string(port)});
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(3));
}

TEST_CASE("refusal: a follower gives up on an address where something else answers", "[e2e]") {
  LocalCluster cluster;
  const std::vector<std::string> greetings{
      "",
      "SSH-2.0-OpenSSH_9.2\r\n",
      std::string(100000, '\x5a'),
      std::string(1000, '\0'),
      "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello",
  };
  const std::string& greeting = greetings[GENERATE(range(0, 5))];
  const bool hangs_up = GENERATE(false, true);
  const PlainServer server(greeting, hangs_up);
  FollowerOptions options = cluster.follower_options(server.port());
  options.open_timeout_ms = 300;
  const auto begin = std::chrono::steady_clock::now();
  const Status s = TryFollower(options, TestColumnFamilies());
  CHECK(s.IsTimedOut());
  CheckNames(s, {options.leader_address, "test"});
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(3));
}

TEST_CASE("refusal: a gRPC server of another service is no leader", "[e2e]") {
  LocalCluster cluster;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  grpc::CallbackGenericService other;
  builder.RegisterCallbackGenericService(&other);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  REQUIRE(server != nullptr);
  const FollowerOptions options = cluster.follower_options(port);
  const Status s = TryFollower(options, TestColumnFamilies());
  CHECK(s.IsNotSupported());
  CheckNames(s, {options.leader_address, "is not a Slipstream leader"});
}

TEST_CASE("refusal: an address that is none", "[e2e]") {
  LocalCluster cluster;
  FollowerOptions options = cluster.follower_options(1);
  options.open_timeout_ms = 300;
  options.leader_address = GENERATE(as<std::string>{}, "127.0.0.1", "127.0.0.1:99999",
                                    ":::", "no.such.host.invalid:1", "http://127.0.0.1:1");
  const Status s = TryFollower(options, TestColumnFamilies());
  INFO(s.ToString());
  CHECK(s.IsTimedOut());
  CheckNames(s, {options.leader_address});
}

TEST_CASE("refusal: a port in use is an I/O error that names it", "[e2e]") {
  LocalCluster first, second;
  LocalLeader leader = first.StartLeader();
  LeaderOptions options = second.leader_options();
  options.server_options.listen_address = "127.0.0.1:" + std::to_string(leader.leader->port());
  LocalLeader other;
  const Status s = Leader::Open(options, LocalCluster::db_options(), second.leader_path(),
                                TestColumnFamilies(), &other.families, &other.leader);
  CHECK(s.IsIOError());
  CheckNames(s, {options.server_options.listen_address});
  CHECK(other.leader == nullptr);
  CHECK(other.families.empty());
  // What was opened for it is closed again.
  options.server_options.listen_address = "127.0.0.1:0";
  RequireOk(Leader::Open(options, LocalCluster::db_options(), second.leader_path(),
                         TestColumnFamilies(), &other.families, &other.leader));
}

TEST_CASE("refusal: a second leader on a directory is busy and does no harm", "[e2e]") {
  NodeCluster cluster;
  auto leader = cluster.StartLeader(0, {"write_buffer_bytes=262144"});
  auto follower = cluster.StartFollower(leader->port());
  follower->AwaitReady();
  leader->Ask("load 5000 100 1");
  leader->Ask("flush");
  NodeProcess second("leader", {"directory=" + cluster.leader_path(),
                                "storage=" + cluster.directory().path("storage"), "database=test"});
  const std::string refusal = second.AwaitRefusal();
  INFO(refusal);
  CHECK(refusal.starts_with("Resource busy"));
  CHECK(refusal.find(cluster.leader_path()) != std::string::npos);
  leader->Ask("load 5000 100 2");
  leader->Ask("compact");
  RequireEqual(leader.get(), follower.get());
  auto late = cluster.StartFollower(leader->port());
  late->AwaitReady();
  RequireEqual(leader.get(), late.get());
  CHECK(leader->Stat("healthy") == 1);
}

TEST_CASE("refusal: a second leader of one process on a directory is busy", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalLeader second;
  const Status s =
      Leader::Open(cluster.leader_options(), LocalCluster::db_options(), cluster.leader_path(),
                   TestColumnFamilies(), &second.families, &second.leader);
  INFO(s.ToString());
  CHECK(s.IsBusy());
  RequireOk(leader.db()->Put(rocksdb::WriteOptions(), "a", "1"));
  LocalFollower follower = cluster.StartFollower(leader);
  RequireEqual(leader, follower);
}

TEST_CASE("refusal: followers do not write and leaders do not write without a WAL", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  rocksdb::DB* db = follower.db();
  const rocksdb::WriteOptions write;
  rocksdb::WriteBatch batch;
  RequireOk(batch.Put("a", "1"));
  CHECK(db->Put(write, "a", "1").IsNotSupported());
  CHECK(db->Delete(write, "a").IsNotSupported());
  CHECK(db->SingleDelete(write, "a").IsNotSupported());
  CHECK(db->Merge(write, follower.families[2], "a", "1").IsNotSupported());
  CHECK(db->DeleteRange(write, follower.families[0], "a", "b").IsNotSupported());
  CHECK(db->PutEntity(write, follower.families[0], "a", {{"x", "y"}}).IsNotSupported());
  CHECK(db->Write(write, &batch).IsNotSupported());
  CHECK(db->Flush(rocksdb::FlushOptions()).IsNotSupported());
  CHECK(db->CompactRange(rocksdb::CompactRangeOptions(), nullptr, nullptr).IsNotSupported());
  rocksdb::ColumnFamilyHandle* created = nullptr;
  CHECK(db->CreateColumnFamily(rocksdb::ColumnFamilyOptions(), "x", &created).IsNotSupported());

  rocksdb::WriteOptions without_wal;
  without_wal.disableWAL = true;
  db = leader.db();
  CHECK(db->Put(without_wal, "a", "1").IsInvalidArgument());
  CHECK(db->Delete(without_wal, "a").IsInvalidArgument());
  CHECK(db->Merge(without_wal, leader.families[2], "a", "1").IsInvalidArgument());
  CHECK(db->DeleteRange(without_wal, leader.families[0], "a", "b").IsInvalidArgument());
  CHECK(db->Write(without_wal, &batch).IsInvalidArgument());
  CHECK(leader.Digest().entries == 0);
  RequireEqual(leader, follower);
}

}  // namespace slipstream::testing
