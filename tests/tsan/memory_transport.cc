// The replication service without gRPC, which the thread sanitizer cannot see into: leaders and
// followers of one process meet here instead of in lib/wire, and find the same threads and the same
// order of calls.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/core/stream_checks.h"
#include "lib/core/transport.h"
#include "lib/wire/grpc_transport.h"
#include "slipstream/replication_server.h"

namespace slipstream {
namespace {

using rocksdb::Status;

// What the server's thread sleeps on.
class MemoryWaker : public StreamWaker {
 public:
  void Wake() override {
    std::lock_guard<std::mutex> lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  }
  void Wait(uint64_t after_us) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto after = std::chrono::microseconds(std::min<uint64_t>(after_us, 1'000'000));
    changed_.wait_for(lock, after, [this] { return woken_; });
    woken_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

// One stream, seen from both ends.
class MemoryStream : public LeaderStream {
 public:
  // `server` may be null, of a stream that nobody serves.
  explicit MemoryStream(std::shared_ptr<MemoryWaker> server) : server_(std::move(server)) {}

  // ---- The leader's end.
  void SendWelcome(const Welcome& welcome) override {
    FollowerInput input{};
    input.type = FollowerInput::Type::kWelcome;
    input.welcome = welcome;
    Send(std::move(input));
  }
  void SendImageBegin(const ImageBegin& begin) override {
    FollowerInput input{};
    input.type = FollowerInput::Type::kImageBegin;
    input.image_begin = begin;
    Send(std::move(input));
  }
  void SendImageEnd() override {
    FollowerInput input{};
    input.type = FollowerInput::Type::kImageEnd;
    Send(std::move(input));
  }
  void SendFrames(const FramesHeader& header, const std::vector<SharedBytes>& frames) override {
    FollowerInput input{};
    input.type = FollowerInput::Type::kFrames;
    input.header = header;
    for (const SharedBytes& f : frames) input.payload.append(f.bytes.data(), f.bytes.size());
    Send(std::move(input));
  }
  void SendHeartbeat(const Position& leader, uint64_t sent, bool confirm) override {
    FollowerInput input{};
    input.type = FollowerInput::Type::kHeartbeat;
    input.header.leader = leader;
    input.header.offset = sent;
    input.header.confirm = confirm;
    Send(std::move(input));
  }
  void Finish(const Status& status) override {
    End(status.ok() ? Status::Aborted("ended") : status);
  }

  void Cancel() override { End(Status::TimedOut("cancelled")); }

  // Whether the follower has taken what was sent since the last call.
  bool TakeSent() {
    std::lock_guard<std::mutex> lock(mutex_);
    return !ended_ && to_follower_.empty() && std::exchange(sending_, false);
  }
  bool TakeAck(Ack* ack) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ended_ || acks_.empty()) return false;
    *ack = acks_.front();
    acks_.pop_front();
    return true;
  }
  bool ended() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return ended_;
  }

  // ---- The follower's end.
  bool Read(FollowerInput* input) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return ended_ || !to_follower_.empty(); });
    if (to_follower_.empty()) return false;
    *input = std::move(to_follower_.front());
    to_follower_.pop_front();
    WakeServer();
    return true;
  }
  bool WriteAck(const Ack& ack) {
    std::lock_guard<std::mutex> lock(mutex_);
    acks_.push_back(ack);
    WakeServer();
    return !ended_;
  }
  void End(const Status& status) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ended_) return;
    ended_ = true;
    status_ = status;
    changed_.notify_all();
    WakeServer();
  }
  Status status() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return status_;
  }

 private:
  void Send(FollowerInput input) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ended_) return;
    to_follower_.push_back(std::move(input));
    sending_ = true;
    changed_.notify_all();
  }
  void WakeServer() {
    if (server_ != nullptr) server_->Wake();
  }

  const std::shared_ptr<MemoryWaker> server_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<FollowerInput> to_follower_;
  std::deque<Ack> acks_;
  bool sending_ = false;
  bool ended_ = false;
  Status status_;
};

class MemoryServer : public ReplicationServer, public StreamRouter {
 public:
  explicit MemoryServer(int port) : port_(port), thread_([this] { Run(); }) {}
  ~MemoryServer() override {
    Stop();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      ending_ = true;
    }
    waker_->Wake();
    thread_.join();
  }

  int port() const override { return port_; }
  StreamRouter* router() override { return this; }
  std::shared_ptr<StreamWaker> waker() override { return waker_; }
  std::shared_ptr<MemoryWaker> memory_waker() const { return waker_; }

  void Stop() override {
    std::unique_lock<std::mutex> lock(mutex_);
    stopped_ = true;
    for (const Served& served : arrived_) End(*served.stream);
    for (const auto& weak : streams_) {
      if (auto stream = weak.lock()) End(*stream);
    }
    idle_.wait(lock, [this] { return serving_ == 0; });
  }

  void Expect(const std::string&) override {}
  void Unexpect(const std::string&) override {}
  Status Add(const std::string& database, std::shared_ptr<LeaderEndpoint> endpoint) override {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!endpoints_.emplace(database, std::move(endpoint)).second) return Status::Busy(database);
    waker_->Wake();
    return Status::OK();
  }
  void Remove(const std::string& database) override {
    std::unique_lock<std::mutex> lock(mutex_);
    endpoints_.erase(database);
    idle_.wait(lock, [this] { return !calling_; });
  }

  // A follower opens a stream; false if the server is stopping.
  bool Enter(const Hello& hello, const std::shared_ptr<MemoryStream>& stream) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_) return false;
    streams_.push_back(stream);
    arrived_.push_back({hello, stream, nullptr});
    ++serving_;
    waker_->Wake();
    return true;
  }

 private:
  struct Served {
    Hello hello;
    std::shared_ptr<MemoryStream> stream;
    std::shared_ptr<LeaderSession> session;
  };

  static void End(MemoryStream& stream) {
    stream.Finish(Status::Aborted("the server is stopping"));
  }

  // One thread serves all streams, as in lib/wire.
  void Run() {
    std::vector<Served> served;
    for (uint64_t after_us = 0;;) {
      waker_->Wait(after_us);
      std::vector<Served> arrived;
      std::map<std::string, std::shared_ptr<LeaderEndpoint>> endpoints;
      {
        std::lock_guard<std::mutex> lock(mutex_);
        if (ending_) return;
        arrived.swap(arrived_);
        endpoints = endpoints_;
        calling_ = true;
      }
      for (Served& s : arrived) {
        if (Accept(&s, endpoints)) served.push_back(std::move(s));
      }
      Receive(&served);
      after_us = UINT64_MAX;
      const auto now = std::chrono::steady_clock::now().time_since_epoch();
      const auto now_us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
      for (const auto& [database, endpoint] : endpoints) {
        after_us = std::min(after_us, endpoint->Advance(static_cast<uint64_t>(now_us)).after_us);
      }
      endpoints.clear();
      std::lock_guard<std::mutex> lock(mutex_);
      calling_ = false;
      idle_.notify_all();
    }
  }

  bool Accept(Served* s, const std::map<std::string, std::shared_ptr<LeaderEndpoint>>& endpoints) {
    Status status = CheckHelloSizes(s->hello);
    auto it = endpoints.find(s->hello.database);
    if (status.ok() && it == endpoints.end()) status = Status::NotFound(s->hello.database);
    if (status.ok()) s->session = it->second->Accept(s->hello, "memory", s->stream, &status);
    if (s->session != nullptr) {
      s->session->Start();
      return true;
    }
    s->stream->Finish(status);
    Gone();
    return false;
  }

  void Receive(std::vector<Served>* served) {
    std::erase_if(*served, [this](const Served& s) {
      if (s.stream->TakeSent()) s.session->OnSent();
      for (Ack ack; s.stream->TakeAck(&ack);) s.session->OnAck(ack);
      if (!s.stream->ended()) return false;
      s.session->OnClosed();
      Gone();
      return true;
    });
  }

  void Gone() {
    std::lock_guard<std::mutex> lock(mutex_);
    --serving_;
    idle_.notify_all();
  }

  const int port_;
  const std::shared_ptr<MemoryWaker> waker_ = std::make_shared<MemoryWaker>();
  std::mutex mutex_;
  std::condition_variable idle_;
  bool stopped_ = false;
  bool ending_ = false;
  bool calling_ = false;  // the thread is in an endpoint, or may go there
  int serving_ = 0;
  std::map<std::string, std::shared_ptr<LeaderEndpoint>> endpoints_;
  std::vector<Served> arrived_;
  std::vector<std::weak_ptr<MemoryStream>> streams_;
  std::thread thread_;  // the last: uses the others
};

// The ports of this process.
struct Ports {
  static Ports& All() {
    static Ports ports;
    return ports;
  }
  std::mutex mutex;
  std::map<int, std::weak_ptr<MemoryServer>> servers;
  int next = 1;
};

int PortOf(const std::string& address) { return std::stoi(address.substr(address.rfind(':') + 1)); }

class MemoryFollowerStream : public FollowerStream {
 public:
  MemoryFollowerStream(const std::string& address, const Hello& hello) {
    std::shared_ptr<MemoryServer> server;
    {
      Ports& ports = Ports::All();
      std::lock_guard<std::mutex> lock(ports.mutex);
      if (auto it = ports.servers.find(PortOf(address)); it != ports.servers.end()) {
        server = it->second.lock();
      }
    }
    stream_ = std::make_shared<MemoryStream>(server == nullptr ? nullptr : server->memory_waker());
    if (server == nullptr || !server->Enter(hello, stream_)) {
      stream_->End(Status::IOError(address + ": nobody listens"));
    }
  }
  ~MemoryFollowerStream() override { Cancel(); }

  bool Read(FollowerInput* input) override { return stream_->Read(input); }
  bool WriteAck(const Ack& ack) override { return stream_->WriteAck(ack); }
  void Cancel() override { stream_->End(Status::TimedOut("the stream was cancelled")); }
  Status Finish() override { return stream_->status(); }

 private:
  std::shared_ptr<MemoryStream> stream_;
};

class MemoryTransport : public FollowerTransport {
 public:
  explicit MemoryTransport(std::string address) : address_(std::move(address)) {}
  std::unique_ptr<FollowerStream> Open(const Hello& hello) override {
    return std::make_unique<MemoryFollowerStream>(address_, hello);
  }

 private:
  const std::string address_;
};

}  // namespace

std::unique_ptr<FollowerTransport> NewGrpcTransport(const std::string& address,
                                                    std::shared_ptr<grpc::ChannelCredentials>) {
  return std::make_unique<MemoryTransport>(address);
}

Status ReplicationServer::Start(const ReplicationServerOptions& options,
                                std::shared_ptr<ReplicationServer>* out) {
  Ports& ports = Ports::All();
  std::lock_guard<std::mutex> lock(ports.mutex);
  int port = PortOf(options.listen_address);
  if (port == 0) port = ports.next++;
  auto server = std::make_shared<MemoryServer>(port);
  ports.servers[port] = server;
  *out = std::move(server);
  return Status::OK();
}

}  // namespace slipstream
