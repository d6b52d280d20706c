// The replication service without gRPC, which the thread sanitizer cannot see into: leaders and
// followers of one process meet here instead of in lib/wire, and find the same threads and the same
// order of calls.
#include <atomic>
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

// One stream, seen from both ends.
class MemoryStream : public LeaderStream {
 public:
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

  // Blocks until the follower has taken what was sent. False at the end.
  bool AwaitSent() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return ended_ || (sending_ && to_follower_.empty()); });
    sending_ = false;
    return !ended_;
  }
  bool AwaitAck(Ack* ack) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return ended_ || !acks_.empty(); });
    if (ended_) return false;
    *ack = acks_.front();
    acks_.pop_front();
    return true;
  }

  // ---- The follower's end.
  bool Read(FollowerInput* input) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return ended_ || !to_follower_.empty(); });
    if (to_follower_.empty()) return false;
    *input = std::move(to_follower_.front());
    to_follower_.pop_front();
    changed_.notify_all();
    return true;
  }
  bool WriteAck(const Ack& ack) {
    std::lock_guard<std::mutex> lock(mutex_);
    acks_.push_back(ack);
    changed_.notify_all();
    return !ended_;
  }
  void End(const Status& status) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ended_) return;
    ended_ = true;
    status_ = status;
    changed_.notify_all();
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
  explicit MemoryServer(int port) : port_(port) {}
  ~MemoryServer() override { Stop(); }

  int port() const override { return port_; }
  StreamRouter* router() override { return this; }

  void Stop() override {
    std::unique_lock<std::mutex> lock(mutex_);
    stopped_ = true;
    for (const auto& weak : streams_) {
      if (auto stream = weak.lock()) stream->Finish(Status::Aborted("the server is stopping"));
    }
    idle_.wait(lock, [this] { return serving_ == 0; });
  }

  void Expect(const std::string&) override {}
  void Unexpect(const std::string&) override {}
  Status Add(const std::string& database, std::shared_ptr<LeaderEndpoint> endpoint) override {
    std::lock_guard<std::mutex> lock(mutex_);
    if (endpoints_.emplace(database, std::move(endpoint)).second) return Status::OK();
    return Status::Busy(database);
  }
  void Remove(const std::string& database) override {
    std::unique_lock<std::mutex> lock(mutex_);
    endpoints_.erase(database);
    idle_.wait(lock, [this] { return accepting_ == 0; });
  }

  // Serves one stream to its end, as gRPC's threads do: one takes acknowledgements, another hears
  // of what was sent.
  void Serve(const Hello& hello, const std::shared_ptr<MemoryStream>& stream) {
    Status s = CheckHelloSizes(hello);
    std::shared_ptr<LeaderSession> session;
    if (s.ok()) session = Accept(hello, stream, &s);
    if (session == nullptr) {
      stream->Finish(s);
    } else {
      session->Start();
      std::thread sender([&] {
        while (stream->AwaitSent()) session->OnSent();
      });
      for (Ack ack; stream->AwaitAck(&ack);) session->OnAck(ack);
      sender.join();
      session->OnClosed();
    }
    std::lock_guard<std::mutex> lock(mutex_);
    --serving_;
    idle_.notify_all();
  }
  // Before Serve; false if the server is stopping.
  bool Enter(const std::shared_ptr<MemoryStream>& stream) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_) return false;
    streams_.push_back(stream);
    ++serving_;
    return true;
  }

 private:
  std::shared_ptr<LeaderSession> Accept(const Hello& hello, std::shared_ptr<MemoryStream> stream,
                                        Status* status) {
    std::shared_ptr<LeaderEndpoint> endpoint;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      auto it = endpoints_.find(hello.database);
      if (it == endpoints_.end()) {
        *status = Status::NotFound(hello.database);
        return nullptr;
      }
      endpoint = it->second;
      ++accepting_;
    }
    auto session = endpoint->Accept(hello, "memory", std::move(stream), status);
    endpoint.reset();
    std::lock_guard<std::mutex> lock(mutex_);
    --accepting_;
    idle_.notify_all();
    return session;
  }

  const int port_;
  std::mutex mutex_;
  std::condition_variable idle_;
  bool stopped_ = false;
  int accepting_ = 0;
  int serving_ = 0;
  std::map<std::string, std::shared_ptr<LeaderEndpoint>> endpoints_;
  std::vector<std::weak_ptr<MemoryStream>> streams_;
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
  MemoryFollowerStream(const std::string& address, const Hello& hello)
      : stream_(std::make_shared<MemoryStream>()) {
    std::shared_ptr<MemoryServer> server;
    {
      Ports& ports = Ports::All();
      std::lock_guard<std::mutex> lock(ports.mutex);
      if (auto it = ports.servers.find(PortOf(address)); it != ports.servers.end()) {
        server = it->second.lock();
      }
    }
    if (server == nullptr || !server->Enter(stream_)) {
      stream_->End(Status::IOError(address + ": nobody listens"));
      return;
    }
    thread_ = std::thread([server, hello, stream = stream_]() mutable {
      MemoryServer* borrowed = server.get();
      server.reset();  // Stop waits for this thread
      borrowed->Serve(hello, stream);
    });
  }
  ~MemoryFollowerStream() override {
    Cancel();
    if (thread_.joinable()) thread_.join();
  }

  bool Read(FollowerInput* input) override { return stream_->Read(input); }
  bool WriteAck(const Ack& ack) override { return stream_->WriteAck(ack); }
  void Cancel() override { stream_->End(Status::TimedOut("the stream was cancelled")); }
  Status Finish() override { return stream_->status(); }

 private:
  const std::shared_ptr<MemoryStream> stream_;
  std::thread thread_;
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
