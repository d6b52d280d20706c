// The calls of a host's own gRPC server in the process list.
#include "slipstream/observe/grpc_tasks.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catch2/catch.hpp"
#include "slipstream/observe/task_registry.h"
#include "slipstream/v1/replication.grpc.pb.h"
#include "tests/e2e/eventually.h"

namespace slipstream::testing {
namespace {

using observe::TaskInfo;
using observe::TaskOutcome;

using Stream = grpc::ServerReaderWriter<v1::LeaderMessage, v1::FollowerMessage>;

// A host's service: reads until its client is done or gone.
class HostService : public v1::Replication::Service {
 public:
  grpc::Status Follow(grpc::ServerContext* context, Stream* stream) override {
    v1::FollowerMessage message;
    while (stream->Read(&message)) {
    }
    if (context->IsCancelled())
      return grpc::Status(grpc::StatusCode::CANCELLED, "its client is gone");
    return end;
  }
  grpc::Status end;
};

struct Host {
  Host() {
    REQUIRE(observe::TaskRegistry::Create({}, &registry).ok());
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service);
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
        interceptors;
    interceptors.push_back(observe::NewTaskInterceptorFactory(registry.get()));
    builder.experimental().SetInterceptorCreators(std::move(interceptors));
    server = builder.BuildAndStart();
    REQUIRE(server != nullptr);
    stub = v1::Replication::NewStub(grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                                        grpc::InsecureChannelCredentials()));
  }
  ~Host() { server->Shutdown(std::chrono::system_clock::now()); }

  // The one call that there is, once `accept` likes it.
  template <typename Accept>
  TaskInfo Call(Accept accept) {
    std::vector<TaskInfo> tasks;
    REQUIRE(Eventually([&] {
      tasks = registry->List({.running = true, .finished = true, .accept = accept});
      return !tasks.empty();
    }));
    REQUIRE(tasks.size() == 1);
    return tasks[0];
  }

  std::unique_ptr<observe::TaskRegistry> registry;
  HostService service;
  int port = 0;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<v1::Replication::Stub> stub;
};

std::string AttributeOf(const TaskInfo& task, const std::string& key) {
  for (const auto& [name, value] : task.attributes) {
    if (name == key) return value;
  }
  return "";
}

// Running, with all that is told of it.
bool HasBegun(const TaskInfo& task) {
  return task.outcome == TaskOutcome::kRunning && !AttributeOf(task, "peer").empty();
}
bool HasEnded(const TaskInfo& task) { return task.outcome != TaskOutcome::kRunning; }

TEST_CASE("grpc_tasks: a call is in the list while it runs, and after it with its outcome",
          "[e2e]") {
  Host host;
  const bool succeeds = GENERATE(true, false);
  if (!succeeds) host.service.end = grpc::Status(grpc::StatusCode::NOT_FOUND, "no map");
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  auto stream = host.stub->Follow(&context);
  const TaskInfo running = host.Call(HasBegun);
  CHECK(running.kind == "grpc");
  CHECK(AttributeOf(running, "method") == "/slipstream.v1.Replication/Follow");
  CHECK(AttributeOf(running, "peer").find("127.0.0.1") != std::string::npos);

  stream->WritesDone();
  CHECK(stream->Finish().error_code() == host.service.end.error_code());
  const TaskInfo ended = host.Call(HasEnded);
  CHECK(ended.id == running.id);
  CHECK(ended.outcome == (succeeds ? TaskOutcome::kOk : TaskOutcome::kFailed));
  if (!succeeds) CHECK(ended.error.find("no map") != std::string::npos);
}

TEST_CASE("grpc_tasks: to cancel the task is to cancel the call", "[e2e]") {
  Host host;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  auto stream = host.stub->Follow(&context);
  const TaskInfo running = host.Call(HasBegun);
  REQUIRE(host.registry->Cancel(running.id, "it blocks the others").ok());
  CHECK(stream->Finish().error_code() == grpc::StatusCode::CANCELLED);
  CHECK(host.Call(HasEnded).outcome == TaskOutcome::kCancelled);
}

TEST_CASE("grpc_tasks: a client that goes ends its task", "[e2e]") {
  Host host;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  auto stream = host.stub->Follow(&context);
  host.Call(HasBegun);
  context.TryCancel();
  CHECK(stream->Finish().error_code() == grpc::StatusCode::CANCELLED);
  CHECK(host.Call(HasEnded).outcome == TaskOutcome::kFailed);
}

}  // namespace
}  // namespace slipstream::testing
