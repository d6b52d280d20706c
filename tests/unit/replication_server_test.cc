#include "slipstream/replication_server.h"

#include <grpcpp/health_check_service_interface.h>

#include <catch2/catch.hpp>
#include <memory>

namespace slipstream {
namespace {

using rocksdb::Status;

TEST_CASE("replication_server: reflection needs a process that is linked with it", "[unit]") {
  ReplicationServerOptions options;
  options.reflection = true;
  std::shared_ptr<ReplicationServer> server;
  const Status s = ReplicationServer::Start(options, &server);
  CHECK(s.IsInvalidArgument());
  CHECK(s.ToString().find("grpc++_reflection") != std::string::npos);
  CHECK(server == nullptr);
}

TEST_CASE("replication_server: the health service is not switched on for other servers", "[unit]") {
  ReplicationServerOptions options;
  options.health_service = true;
  std::shared_ptr<ReplicationServer> server;
  REQUIRE(ReplicationServer::Start(options, &server).ok());
  CHECK_FALSE(grpc::DefaultHealthCheckServiceEnabled());
}

}  // namespace
}  // namespace slipstream
