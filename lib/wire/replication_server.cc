#include "slipstream/replication_server.h"

#include <grpc/support/time.h>
#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/core/quoted_text.h"
#include "lib/core/stream_checks.h"
#include "lib/core/transport.h"
#include "lib/host/steady_cond_var.h"
#include "lib/wire/conversions.h"
#include "lib/wire/grpc_status.h"
#include "lib/wire/server_features.h"
#include "slipstream/v1/replication.grpc.pb.h"

namespace slipstream {
namespace {

using grpc::ByteBuffer;
using rocksdb::Status;

class StreamReactor;

// The leader's end of a stream as its session sees it. The reactor below deletes itself when gRPC
// is done with it, which happens only after Finish; this object outlives both.
class GrpcLeaderStream : public LeaderStream {
 public:
  GrpcLeaderStream(StreamReactor* reactor, grpc::CallbackServerContext* context)
      : reactor_(reactor), context_(context) {}

  void SendWelcome(const Welcome& welcome) override {
    v1::LeaderMessage message;
    wire::ToProto(welcome, message.mutable_welcome());
    SendMessage(message);
  }
  void SendImageBegin(const ImageBegin& begin) override {
    v1::LeaderMessage message;
    wire::ToProto(begin, message.mutable_image_begin());
    SendMessage(message);
  }
  void SendImageEnd() override {
    v1::LeaderMessage message;
    message.mutable_image_end();
    SendMessage(message);
  }
  void SendHeartbeat(const Position& leader, uint64_t sent, bool confirm) override {
    v1::LeaderMessage message;
    wire::ToProto(leader, message.mutable_heartbeat()->mutable_leader());
    message.mutable_heartbeat()->set_sent(sent);
    message.mutable_heartbeat()->set_confirm(confirm);
    SendMessage(message);
  }
  void SendFrames(const FramesHeader& header, const std::vector<SharedBytes>& frames) override;
  void Finish(const Status& status) override;

  void Cancel() override {
    absl::MutexLock lock(&mutex_);
    if (context_ != nullptr) context_->TryCancel();
  }
  // gRPC is done with the stream.
  void Done() {
    absl::MutexLock lock(&mutex_);
    context_ = nullptr;
  }

 private:
  void SendMessage(const v1::LeaderMessage& message) {
    grpc::Slice slice(message.SerializeAsString());
    Send(ByteBuffer(&slice, 1));
  }
  void Send(ByteBuffer buffer);

  absl::Mutex mutex_;
  // Null once Finish was called: from then on the reactor may go at any time. It is called with the
  // lock held for that reason; gRPC never calls back from inside StartWrite or Finish.
  StreamReactor* reactor_ ABSL_GUARDED_BY(mutex_);
  grpc::CallbackServerContext* context_ ABSL_GUARDED_BY(mutex_);
};

// What the service, its streams and the server share.
class Router : public StreamRouter {
 public:
  // Is told of each database whether it is served. Before the first call of Add.
  void OnServing(std::function<void(const std::string&, bool)> call) {
    on_serving_ = std::move(call);
  }

  void Expect(const std::string& database) override {
    absl::MutexLock lock(&mutex_);
    ++expected_[database];
  }

  void Unexpect(const std::string& database) override {
    absl::MutexLock lock(&mutex_);
    if (--expected_[database] == 0) expected_.erase(database);
  }

  Status Add(const std::string& database, std::shared_ptr<LeaderEndpoint> endpoint) override {
    {
      absl::MutexLock lock(&mutex_);
      if (!endpoints_.emplace(database, std::move(endpoint)).second) {
        return Status::Busy("this server serves database \"" + database + "\" already");
      }
      began_ = true;
    }
    if (on_serving_) on_serving_(database, true);
    return Status::OK();
  }

  void Remove(const std::string& database) override {
    if (on_serving_) on_serving_(database, false);
    absl::MutexLock lock(&mutex_);
    endpoints_.erase(database);
    mutex_.Await(absl::Condition(
        +[](int* n) { return *n == 0; }, &accepting_));
  }

  std::shared_ptr<LeaderSession> Accept(const Hello& hello, const std::string& peer,
                                        std::shared_ptr<LeaderStream> stream, Status* status) {
    *status = CheckHelloSizes(hello);
    if (!status->ok()) return nullptr;
    std::shared_ptr<LeaderEndpoint> endpoint;
    {
      absl::MutexLock lock(&mutex_);
      auto it = endpoints_.find(hello.database);
      if (stopped_ || it == endpoints_.end()) {
        *status = stopped_ ? Status::Aborted("the server is stopping")
                  : !began_
                      // A server listens before its first leader is open.
                      ? Status::TryAgain("no database is served here yet")
                      : expected_.count(hello.database) > 0
                            ? Status::TryAgain("database " + Quoted(hello.database) +
                                               " is not served here yet")
                            : Status::NotFound("no database " + Quoted(hello.database) +
                                               " is served here");
        return nullptr;
      }
      endpoint = it->second;
      ++accepting_;
    }
    auto session = endpoint->Accept(hello, peer, std::move(stream), status);
    endpoint.reset();
    absl::MutexLock lock(&mutex_);
    --accepting_;
    return session;
  }

  void Opened(std::shared_ptr<GrpcLeaderStream> stream) {
    absl::MutexLock lock(&mutex_);
    streams_.insert(std::move(stream));
  }
  void Closed(const std::shared_ptr<GrpcLeaderStream>& stream) {
    absl::MutexLock lock(&mutex_);
    streams_.erase(stream);
    if (streams_.empty()) all_closed_.SignalAll();
  }

  // Ends all streams and waits until they are gone: at most five seconds, and longer than one only
  // for a peer that is stuck.
  void Stop() {
    constexpr absl::Duration kPatience = absl::Seconds(1);
    constexpr absl::Duration kPatienceAfterCancel = absl::Seconds(4);
    std::set<std::shared_ptr<GrpcLeaderStream>> streams;
    {
      absl::MutexLock lock(&mutex_);
      stopped_ = true;
      streams = streams_;
    }
    for (const auto& stream : streams) stream->Finish(Status::Aborted("the server is stopping"));
    if (WaitUntilClosed(kPatience)) return;
    for (const auto& stream : streams) stream->Cancel();
    WaitUntilClosed(kPatienceAfterCancel);
  }

 private:
  bool WaitUntilClosed(absl::Duration patience) {
    const SteadyTime deadline = DeadlineIn(patience);
    absl::MutexLock lock(&mutex_);
    for (bool late = false; !streams_.empty() && !late;) {
      late = all_closed_.WaitUntil(&mutex_, deadline);
    }
    return streams_.empty();
  }

  std::function<void(const std::string&, bool)> on_serving_;

  absl::Mutex mutex_;
  SteadyCondVar all_closed_;
  bool began_ ABSL_GUARDED_BY(mutex_) = false;  // a database was announced
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, int> expected_ ABSL_GUARDED_BY(mutex_);  // by leaders that are opening
  int accepting_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, std::shared_ptr<LeaderEndpoint>> endpoints_ ABSL_GUARDED_BY(mutex_);
  std::set<std::shared_ptr<GrpcLeaderStream>> streams_ ABSL_GUARDED_BY(mutex_);
};

class StreamReactor : public grpc::ServerBidiReactor<ByteBuffer, ByteBuffer> {
 public:
  StreamReactor(std::shared_ptr<Router> router, grpc::CallbackServerContext* context)
      : router_(std::move(router)),
        peer_(context->peer()),
        stream_(std::make_shared<GrpcLeaderStream>(this, context)) {
    router_->Opened(stream_);
    // A stream without a hello is nobody's: no lease and no leader would ever end it.
    constexpr int64_t kHelloPatienceMs = 5000;
    hello_alarm_.Set(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                  gpr_time_from_millis(kHelloPatienceMs, GPR_TIMESPAN)),
                     [stream = stream_](bool late) {
                       if (late) stream->Finish(Status::TimedOut("no hello within 5 seconds"));
                     });
    StartRead(&incoming_);
  }

  void Write(ByteBuffer buffer) {
    outgoing_ = std::move(buffer);
    StartWrite(&outgoing_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      stream_->Finish(Status::OK());
      return;
    }
    v1::FollowerMessage message;
    const grpc::Status parsed =
        grpc::SerializationTraits<v1::FollowerMessage>::Deserialize(&incoming_, &message);
    Status s = parsed.ok() ? Take(message)
                           : Status::InvalidArgument("malformed message from " + peer_ + ": " +
                                                     parsed.error_message());
    if (s.ok()) {
      StartRead(&incoming_);
    } else {
      stream_->Finish(s);
    }
  }

  void OnWriteDone(bool ok) override {
    if (ok) {
      session_->OnSent();
    } else {
      stream_->Finish(Status::OK());
    }
  }

  void OnCancel() override { stream_->Finish(Status::OK()); }

  void OnDone() override {
    stream_->Done();
    if (session_ != nullptr) session_->OnClosed();
    router_->Closed(stream_);
    delete this;
  }

 private:
  Status Take(const v1::FollowerMessage& message) {
    if (session_ != nullptr && message.has_ack()) {
      session_->OnAck(wire::FromProto(message.ack()));
      return Status::OK();
    }
    if (session_ == nullptr && message.has_hello()) {
      hello_alarm_.Cancel();
      Status s;
      session_ = router_->Accept(wire::FromProto(message.hello()), peer_, stream_, &s);
      if (s.ok()) session_->Start();
      return s;
    }
    return Status::InvalidArgument(
        std::string("unexpected message from ") + peer_ +
        (session_ == nullptr ? ", expected a hello" : ", expected an ack"));
  }

  const std::shared_ptr<Router> router_;
  const std::string peer_;
  const std::shared_ptr<GrpcLeaderStream> stream_;
  std::shared_ptr<LeaderSession> session_;  // set before the first write is started
  grpc::Alarm hello_alarm_;
  ByteBuffer incoming_;
  ByteBuffer outgoing_;
};

void GrpcLeaderStream::Send(ByteBuffer buffer) {
  absl::MutexLock lock(&mutex_);
  if (reactor_ != nullptr) reactor_->Write(std::move(buffer));
}

void GrpcLeaderStream::SendFrames(const FramesHeader& header,
                                  const std::vector<SharedBytes>& frames) {
  size_t size = 0;
  for (const SharedBytes& f : frames) size += f.bytes.size();
  std::vector<grpc::Slice> slices;
  slices.reserve(frames.size() + 1);
  slices.emplace_back(wire::FramesPrefix(header, size));
  for (const SharedBytes& f : frames) {
    // All streams share the bytes; the last slice that is freed lets go of them.
    auto* owner = new std::shared_ptr<const void>(f.owner);
    slices.emplace_back(
        const_cast<char*>(f.bytes.data()), f.bytes.size(),
        [](void* o) { delete static_cast<std::shared_ptr<const void>*>(o); }, owner);
  }
  Send(ByteBuffer(slices.data(), slices.size()));
}

void GrpcLeaderStream::Finish(const Status& status) {
  absl::MutexLock lock(&mutex_);
  if (reactor_ == nullptr) return;
  std::exchange(reactor_, nullptr)->Finish(wire::ToGrpc(status));
}

class Service : public v1::Replication::WithRawCallbackMethod_Follow<v1::Replication::Service> {
 public:
  explicit Service(std::shared_ptr<Router> router) : router_(std::move(router)) {}

  grpc::ServerBidiReactor<ByteBuffer, ByteBuffer>* Follow(
      grpc::CallbackServerContext* context) override {
    return new StreamReactor(router_, context);
  }

 private:
  const std::shared_ptr<Router> router_;
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
  ReplicationServerImpl() : router_(std::make_shared<Router>()), service_(router_) {}
  ~ReplicationServerImpl() override { Stop(); }

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
      router_->OnServing([server = server_.get()](const std::string& database, bool serving) {
        wire::SetServing(server, database, serving);
      });
    }
    return Status::OK();
  }

  void RegisterTo(grpc::ServerBuilder* builder) {
    builder->RegisterService(&service_);
    AddKeepalive(builder);
  }

  int port() const override { return port_; }

  void Stop() override {
    router_->Stop();
    if (server_ != nullptr) server_->Shutdown(gpr_now(GPR_CLOCK_MONOTONIC));
  }

  StreamRouter* router() override { return router_.get(); }

 private:
  const std::shared_ptr<Router> router_;
  Service service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;  // destroyed before the service
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
