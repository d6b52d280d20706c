// The health service and reflection of a replication server, asked as any gRPC client would, and
// followers that come before their leader.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/raw_follower.h"

namespace slipstream::testing {
namespace {

constexpr char kDatabase[] = "slipstream.v1.Replication/test";

// A client that sends and takes messages as bytes.
class Client {
 public:
  explicit Client(int port)
      : stub_(grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                  grpc::InsecureChannelCredentials())) {}

  // grpc.health.v1.Health/Check: the status of the answer, 1 = SERVING, 2 = NOT_SERVING.
  grpc::Status Check(const std::string& service, int* serving) {
    // HealthCheckRequest { string service = 1; }
    const std::string request = std::string("\x0a") + static_cast<char>(service.size()) + service;
    const grpc::Slice slice(request);
    const grpc::ByteBuffer message(&slice, 1);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    grpc::ByteBuffer reply;
    std::mutex mutex;
    std::condition_variable answered;
    std::optional<grpc::Status> status;
    stub_.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &message, &reply,
                    [&](grpc::Status s) {
                      std::lock_guard<std::mutex> lock(mutex);
                      status = std::move(s);
                      answered.notify_one();
                    });
    std::unique_lock<std::mutex> lock(mutex);
    answered.wait(lock, [&] { return status.has_value(); });
    // HealthCheckResponse { ServingStatus status = 1; }
    const std::string bytes = status->ok() ? BytesOf(reply) : std::string();
    *serving = bytes.size() == 2 && bytes[0] == 8 ? bytes[1] : -1;
    return *status;
  }
  int Check(const std::string& service) {
    int serving = -1;
    const grpc::Status s = Check(service, &serving);
    INFO(s.error_message());
    REQUIRE(s.ok());
    return serving;
  }

  // The bytes of the answer to grpc.reflection.v1alpha.ServerReflection: what services are there?
  grpc::Status ListServices(std::string* answer) {
    // ServerReflectionRequest { string list_services = 7; }
    const grpc::Slice slice(std::string("\x3a\x01*"));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    grpc::CompletionQueue queue;
    const auto wait = [&queue] {
      void* tag;
      bool ok = false;
      return queue.Next(&tag, &ok) && ok;
    };
    auto call = stub_.PrepareCall(
        &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
    call->StartCall(nullptr);
    if (wait()) {
      call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
      grpc::ByteBuffer reply;
      if (wait()) {
        call->Read(&reply, nullptr);
        if (wait()) *answer = BytesOf(reply);
      }
    }
    if (!answer->empty()) context.TryCancel();
    grpc::Status status;
    call->Finish(&status, nullptr);
    wait();
    return status;
  }

 private:
  static std::string BytesOf(const grpc::ByteBuffer& buffer) {
    std::vector<grpc::Slice> slices;
    buffer.Dump(&slices);
    std::string bytes;
    for (const grpc::Slice& slice : slices) {
      bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
    return bytes;
  }

  grpc::GenericStub stub_;
};

}  // namespace

TEST_CASE("server_features: the health service tells which databases are served", "[e2e]") {
  LocalCluster cluster;
  LeaderOptions options = cluster.leader_options();
  ReplicationServerOptions server_options;
  server_options.health_service = true;
  RequireOk(ReplicationServer::Start(server_options, &options.server));
  Client client(options.server->port());
  CHECK(client.Check("") == 1);
  int serving = 0;
  CHECK(client.Check(kDatabase, &serving).error_code() == grpc::StatusCode::NOT_FOUND);
  for (int round = 0; round < 2; ++round) {
    LocalLeader leader = cluster.StartLeader(options, LocalCluster::db_options());
    CHECK(client.Check(kDatabase) == 1);
    leader.Close();
    CHECK(client.Check(kDatabase) == 2);
    CHECK(client.Check("") == 1);
  }
  options.server->Stop();
}

TEST_CASE("server_features: a server of the leader's own has them too", "[e2e]") {
  LocalCluster cluster;
  LeaderOptions options = cluster.leader_options();
  options.server_options.health_service = true;
  options.server_options.reflection = true;
  LocalLeader leader = cluster.StartLeader(options, LocalCluster::db_options());
  LocalFollower follower = cluster.StartFollower(leader);
  RequireEqual(leader, follower);
  Client client(leader.leader->port());
  CHECK(client.Check(kDatabase) == 1);
  std::string services;
  client.ListServices(&services);
  CHECK(services.find("slipstream.v1.Replication") != std::string::npos);
  CHECK(services.find("grpc.health.v1.Health") != std::string::npos);
}

TEST_CASE("server_features: without the options there are neither", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  Client client(leader.leader->port());
  int serving = 0;
  CHECK(client.Check("", &serving).error_code() == grpc::StatusCode::UNIMPLEMENTED);
  // Though this program is linked with reflection.
  std::string services;
  CHECK(client.ListServices(&services).error_code() == grpc::StatusCode::UNIMPLEMENTED);
  CHECK(services.empty());
}

TEST_CASE("server_features: a follower of a server's second leader may come before it", "[e2e]") {
  LocalCluster first_cluster, second_cluster;
  LeaderOptions first_options = first_cluster.leader_options();
  RequireOk(ReplicationServer::Start({}, &first_options.server));
  LocalLeader first = first_cluster.StartLeader(first_options, LocalCluster::db_options());
  LeaderOptions options = second_cluster.leader_options();
  options.database = "second";
  options.server = first_options.server;
  v1::Hello hello = RawFollower::GoodHello();
  hello.set_database("second");
  const auto end_of_hello = [&] {
    RawFollower raw(options.server->port());
    raw.SendHello(hello);
    return raw.AwaitEnd();
  };
  // Nobody has said anything of it yet: for all that is known the name is a mistake.
  CHECK(end_of_hello().error_code() == grpc::StatusCode::NOT_FOUND);
  std::unique_ptr<Leader> leader;
  RequireOk(Leader::Create(options, second_cluster.leader_path(), &leader));
  CHECK(end_of_hello().error_message().find("is not served here yet") != std::string::npos);
  // It does not come after all.
  leader.reset();
  CHECK(end_of_hello().error_code() == grpc::StatusCode::NOT_FOUND);

  RequireOk(Leader::Create(options, second_cluster.leader_path(), &leader));
  FollowerOptions follower_options = second_cluster.follower_options(options.server->port());
  follower_options.database = "second";
  rocksdb::Options db_options;
  db_options.create_if_missing = true;
  std::unique_ptr<Follower> follower;
  rocksdb::Status opened;
  std::thread opener([&] { opened = Follower::Open(follower_options, db_options, &follower); });
  RequireOk(leader->Prepare(&db_options));
  rocksdb::DB* db = nullptr;
  RequireOk(rocksdb::DB::Open(db_options, second_cluster.leader_path(), &db));
  CHECK(end_of_hello().error_message().find("is not served here yet") != std::string::npos);
  RequireOk(leader->Serve(db));
  opener.join();
  RequireOk(opened);
  RequireOk(db->Put(rocksdb::WriteOptions(), "a", "1"));
  RequireOk(follower->WaitFor(leader->position(), kPatienceUs));
  follower.reset();
  RequireOk(leader->Close());
  delete db;
  leader.reset();
  CHECK(end_of_hello().error_code() == grpc::StatusCode::NOT_FOUND);
}

}  // namespace slipstream::testing
