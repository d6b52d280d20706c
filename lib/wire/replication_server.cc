#include "slipstream/replication_server.h"

#include <grpc/support/time.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/impl/server_builder_plugin.h>
#include <grpcpp/impl/server_initializer.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/host/steady_clock.h"
#include "lib/host/thread_name.h"
#include "lib/host/timer_slack.h"
#include "lib/wire/leader_call.h"
#include "lib/wire/server_features.h"
#include "lib/wire/stream_loop.h"
#include "lib/wire/stream_router.h"

namespace slipstream {
namespace {

using rocksdb::Status;

// All streams of a server, and the thread "ss-stream" that sends and receives for them.
class StreamCore {
 public:
  explicit StreamCore(std::unique_ptr<grpc::ServerCompletionQueue> queue)
      : loop_(std::make_shared<StreamLoop>(std::move(queue))),
        router_(std::make_shared<ServerRouter>(loop_)) {}
  ~StreamCore() { End(); }

  ServerRouter* router() { return router_.get(); }

  // The server was built, with this service.
  void Begin(ReplicationService* service) {
    auto context = std::make_shared<CallContext>();
    context->service = service;
    context->loop = loop_;
    context->router = router_;
    context->arrived = [this](const std::shared_ptr<LeaderCall>& call) {
      without_hello_.push_back(call);
      WaitForCall();
    };
    context->gone = [this] { --calls_; };
    call_context_ = std::move(context);
    // Here, and not in the thread: the server may be gone again before that runs.
    WaitForCall();
    thread_ = std::thread([this] {
      NameThisThread("ss-stream");
      WakeThisThreadInTime();
      Run();
    });
  }

  // The server has shut down: no call comes any more, and those that were there end.
  void End() {
    if (std::exchange(ended_, true)) return;
    stopping_ = true;
    loop_->Wake();
    if (thread_.joinable()) {
      thread_.join();
      return;
    }
    loop_->Shutdown();
    while (loop_->Wait({.after_us = 0})) {
    }
  }

 private:
  void WaitForCall() {
    ++calls_;
    std::make_shared<LeaderCall>(call_context_)->Request();
  }

  void Run() {
    for (StreamWait wait{.after_us = 0}; loop_->Wait(wait);) {
      const uint64_t now_us = SteadyMicros();
      wait = router_->Advance(now_us);
      wait.Join(CheckHellos(now_us));
      if (stopping_ && calls_ == 0) loop_->Shutdown();
    }
  }

  StreamWait CheckHellos(uint64_t now_us) {
    StreamWait wait;
    std::erase_if(without_hello_, [&](const std::weak_ptr<LeaderCall>& weak) {
      const std::shared_ptr<LeaderCall> call = weak.lock();
      const uint64_t us = call == nullptr ? UINT64_MAX : call->CheckHello(now_us);
      wait.Join({.after_us = us, .must_hear = us != UINT64_MAX});
      return us == UINT64_MAX;
    });
    return wait;
  }

  const std::shared_ptr<StreamLoop> loop_;
  const std::shared_ptr<ServerRouter> router_;
  std::shared_ptr<const CallContext> call_context_;
  std::atomic<bool> stopping_{false};
  bool ended_ = false;
  std::thread thread_;

  // Of the thread, once it was started.
  int calls_ = 0;  // waited for, or not gone yet
  std::vector<std::weak_ptr<LeaderCall>> without_hello_;
};

// Belongs to the gRPC server, and is destroyed together with it: the last moment at which gRPC may
// be asked for events of calls that were waited for, whoever owns the server.
class Service : public ReplicationService {
 public:
  explicit Service(std::shared_ptr<StreamCore> core) : core_(std::move(core)) {}
  ~Service() override { core_->End(); }

  void Begin() { core_->Begin(this); }

 private:
  const std::shared_ptr<StreamCore> core_;
};

// Puts the service into a server that is being built, and begins once it was: only then calls can
// be waited for.
class ServicePlugin : public grpc::ServerBuilderPlugin {
 public:
  explicit ServicePlugin(std::shared_ptr<StreamCore> core)
      : service_(std::make_shared<Service>(std::move(core))) {}
  std::string name() override { return "slipstream"; }
  bool has_async_methods() const override { return true; }
  void InitServer(grpc::ServerInitializer* server) override { server->RegisterService(service_); }
  void Finish(grpc::ServerInitializer*) override { std::exchange(service_, nullptr)->Begin(); }
  void ChangeArguments(const std::string&, void*) override {}

 private:
  std::shared_ptr<Service> service_;
};

class ServicePluginOption : public grpc::ServerBuilderOption {
 public:
  explicit ServicePluginOption(std::shared_ptr<StreamCore> core) : core_(std::move(core)) {}
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    if (core_ != nullptr) plugins->push_back(std::make_unique<ServicePlugin>(std::move(core_)));
  }

 private:
  std::shared_ptr<StreamCore> core_;  // null once it has its server
};

// A stopped or unreachable follower answers no ping; its stream then ends, and its lease begins.
void AddKeepalive(grpc::ServerBuilder* builder) {
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 2500);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 2500);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  // Two servers on one port would each get some of the followers.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

// What followers say is little, whatever the bandwidth: there is nothing to be probed for. Not on a
// host's own server, which may have other services.
void TurnOffWhatIsNotUsed(grpc::ServerBuilder* builder) {
  builder->AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder->AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);
}

class ReplicationServerImpl : public ReplicationServer {
 public:
  ~ReplicationServerImpl() override {
    if (core_ != nullptr) Stop();
  }

  Status Listen(const ReplicationServerOptions& options) {
    if (options.listen_address.empty()) {
      return Status::InvalidArgument(
          "ReplicationServerOptions::listen_address is empty, expected host:port");
    }
    grpc::ServerBuilder builder;
    builder.AddListeningPort(
        options.listen_address,
        options.credentials != nullptr ? options.credentials : grpc::InsecureServerCredentials(),
        &port_);
    RegisterTo(&builder);
    TurnOffWhatIsNotUsed(&builder);
    const Status s = wire::BuildServer(options, &builder, &server_);
    if (!s.ok()) return s;
    if (server_ == nullptr || port_ == 0) {
      return Status::IOError("cannot listen on " + options.listen_address +
                             ": the address is malformed, not of this machine, or in use");
    }
    if (options.health_service) {
      core_->router()->OnServing(
          [server = server_.get()](const std::string& database, bool serving) {
            wire::SetServing(server, database, serving);
          });
    }
    return Status::OK();
  }

  void RegisterTo(grpc::ServerBuilder* builder) {
    core_ = std::make_shared<StreamCore>(builder->AddCompletionQueue());
    builder->SetOption(std::make_unique<ServicePluginOption>(core_));
    AddKeepalive(builder);
  }

  int port() const override { return port_; }

  void Stop() override {
    core_->router()->Stop();
    if (server_ != nullptr) server_->Shutdown(gpr_now(GPR_CLOCK_MONOTONIC));
  }

  StreamRouter* router() override { return core_->router(); }

 private:
  std::shared_ptr<StreamCore> core_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Status ReplicationServer::Start(const ReplicationServerOptions& options,
                                std::shared_ptr<ReplicationServer>* out) {
  auto server = std::make_shared<ReplicationServerImpl>();
  Status s = server->Listen(options);
  if (s.ok()) *out = std::move(server);
  return s;
}

std::shared_ptr<ReplicationServer> ReplicationServer::Register(grpc::ServerBuilder* builder) {
  auto server = std::make_shared<ReplicationServerImpl>();
  server->RegisterTo(builder);
  return server;
}

}  // namespace slipstream
