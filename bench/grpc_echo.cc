#include "bench/grpc_echo.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "bench/benchmark.h"
#include "bench/cpu_time.h"
#include "bench/load.h"

namespace slipstream::bench {
namespace {

constexpr uint64_t kStartTimeoutMs = 30'000;

// Sends back each message of a call; ends with the caller.
class EchoReactor : public grpc::ServerGenericBidiReactor {
 public:
  EchoReactor() { StartRead(&message_); }
  void OnReadDone(bool ok) override {
    if (ok)
      StartWrite(&message_);
    else
      Finish(grpc::Status::OK);
  }
  void OnWriteDone(bool ok) override {
    if (ok) StartRead(&message_);
  }
  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer message_;
};

class EchoService : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new EchoReactor;
  }
};

class EchoClient {
 public:
  EchoClient(int port, uint64_t bytes)
      : stub_(grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                  grpc::InsecureChannelCredentials())),
        slice_(std::string(bytes, 'e')) {}
  ~EchoClient() {
    if (stream_ != nullptr) stream_context_.TryCancel();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  uint64_t Unary() {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    const grpc::ByteBuffer request(&slice_, 1);
    grpc::ByteBuffer response;
    grpc::Status status;
    const uint64_t begin_ns = NowNs();
    auto call = stub_.PrepareUnaryCall(&context, "/echo/Unary", request, &queue_);
    call->StartCall();
    call->Finish(&response, &status, this);
    Wait();
    const uint64_t ns = NowNs() - begin_ns;
    if (!status.ok()) throw Failure("echo: " + status.error_message());
    return ns;
  }

  uint64_t Stream() {
    if (stream_ == nullptr) {
      stream_ = stub_.PrepareCall(&stream_context_, "/echo/Stream", &queue_);
      stream_->StartCall(this);
      Wait();
    }
    const grpc::ByteBuffer request(&slice_, 1);
    grpc::ByteBuffer response;
    const uint64_t begin_ns = NowNs();
    stream_->Write(request, this);
    stream_->Read(&response, this);
    Wait();
    Wait();
    return NowNs() - begin_ns;
  }

 private:
  void Wait() {
    void* tag = nullptr;
    bool ok = false;
    const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(20);
    if (queue_.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT || !ok) {
      throw Failure("echo: no answer");
    }
  }

  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  const grpc::Slice slice_;
  grpc::ClientContext stream_context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

}  // namespace

rocksdb::Status RunGrpcEcho(ChildEnd* parent) {
  EchoService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return parent->Send({{"error", "the echo's server did not start"}});
  rocksdb::Status s = parent->Send({{"port", port}});
  nlohmann::json command;
  if (s.ok()) s = parent->Receive(&command);
  server->Shutdown(std::chrono::system_clock::now());
  return s.ok() ? parent->Send({{"closed", true}}) : s;
}

EchoTimes MeasureGrpcEcho(uint64_t messages, uint64_t bytes, uint64_t interval_us,
                          const std::function<void()>& between) {
  std::unique_ptr<ChildProcess> server;
  OrThrow(ChildProcess::Start("gRPC echo", nlohmann::json::parse(kEchoSettings), &server));
  nlohmann::json answer;
  OrThrow(server->Receive(kStartTimeoutMs, nullptr, &answer));
  EchoClient client(answer.at("port"), bytes);
  EchoTimes times;
  client.Unary();
  client.Stream();
  for (uint64_t n = 0; n < messages; ++n) {
    between();
    SleepUs(interval_us / 2 + Mix(1, n) % interval_us);
    times.unary_ns.push_back(client.Unary());
    SleepUs(interval_us / 2 + Mix(2, n) % interval_us);
    times.stream_ns.push_back(client.Stream());
  }
  std::sort(times.unary_ns.begin(), times.unary_ns.end());
  std::sort(times.stream_ns.begin(), times.stream_ns.end());
  return times;
}

}  // namespace slipstream::bench
