#include "lib/observe/http/connection_loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "lib/host/steady_clock.h"
#include "lib/host/thread_name.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

constexpr uint64_t kListening = 0;  // connections count from 2
constexpr uint64_t kWake = 1;
constexpr uint64_t kTickUs = 100'000;
constexpr uint64_t kDrainUs = 1'000'000;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

ConnectionLoop::ConnectionLoop(const ConnectionLimits& limits, AnswerPool* pool, Answer answer)
    : limits_(limits), pool_(pool), answer_(std::move(answer)), last_id_(kWake) {}

ConnectionLoop::~ConnectionLoop() { Stop(); }

Status ConnectionLoop::Start(FileDescriptor listening) {
  listening_ = std::move(listening);
  poll_ = FileDescriptor(epoll_create1(EPOLL_CLOEXEC));
  wake_ = FileDescriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  epoll_event listen_event{EPOLLIN, {.u64 = kListening}};
  epoll_event wake_event{EPOLLIN, {.u64 = kWake}};
  if (!poll_.valid() || !wake_.valid() ||
      epoll_ctl(poll_.get(), EPOLL_CTL_ADD, listening_.get(), &listen_event) != 0 ||
      epoll_ctl(poll_.get(), EPOLL_CTL_ADD, wake_.get(), &wake_event) != 0) {
    return Status::IOError("make an epoll for the HTTP server", strerror(errno));
  }
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error& error) {
    return Status::IOError("no thread for the HTTP server", error.what());
  }
  return Status::OK();
}

void ConnectionLoop::Stop() {
  if (!thread_.joinable()) return;
  stopped_.store(true);
  eventfd_write(wake_.get(), 1);
  thread_.join();
  listening_ = FileDescriptor();
}

void ConnectionLoop::Run() {
  NameThisThread("ss-http");
  while (!stopped_.load()) {
    try {
      Step();
    } catch (const std::bad_alloc&) {
      // Connections are what takes memory here.
      connections_.clear();
      answer_bytes_ = 0;
      stats_.open.store(0);
    }
  }
  connections_.clear();
  stats_.open.store(0);
}

int ConnectionLoop::WaitMillis() const {
  if (connections_.empty() && accept_again_us_ == 0) return -1;
  return kTickUs / 1000;
}

void ConnectionLoop::Step() {
  std::array<epoll_event, 64> events;
  const int count = epoll_wait(poll_.get(), events.data(), events.size(), WaitMillis());
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    if (event.data.u64 == kListening) {
      Accept();
    } else if (event.data.u64 == kWake) {
      eventfd_t ignored = 0;
      eventfd_read(wake_.get(), &ignored);
      TakeAnswers();
    } else {
      Serve(event.data.u64, event.events);
    }
  }
  const uint64_t now_us = SteadyMicros();
  if (now_us < next_look_us_) return;
  next_look_us_ = now_us + kTickUs;
  CloseLate();
  if (accept_again_us_ != 0 && now_us >= accept_again_us_) {
    accept_again_us_ = 0;
    epoll_event listen_event{EPOLLIN, {.u64 = kListening}};
    epoll_ctl(poll_.get(), EPOLL_CTL_MOD, listening_.get(), &listen_event);
  }
}

void ConnectionLoop::Accept() {
  // Not without end, for the sake of those that are there.
  for (int i = 0; i < 64; ++i) {
    FileDescriptor fd(accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      AdmitConnection(std::move(fd));
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      // The process has no more to give: the socket would be reported again at once.
      accept_again_us_ = SteadyMicros() + kTickUs;
      epoll_event no_event{0, {.u64 = kListening}};
      epoll_ctl(poll_.get(), EPOLL_CTL_MOD, listening_.get(), &no_event);
      return;
    }
    if (WouldBlock()) return;
    // Else this one connection has failed already.
  }
}

void ConnectionLoop::AdmitConnection(FileDescriptor fd) {
  stats_.accepted.fetch_add(1);
  if (connections_.size() >= limits_.connections && !CloseIdleOne()) {
    stats_.turned_away.fetch_add(1);
    CountAnswer(503);
    const std::string answer = RequestProcessor::Refusal(503, "there are too many connections");
    // What does not fit into an empty socket buffer is not worth waiting for.
    [[maybe_unused]] const ssize_t sent =
        send(fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return;
  }
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  const uint64_t id = ++last_id_;
  epoll_event event{EPOLLIN, {.u64 = id}};
  if (epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) return;
  Connection connection;
  connection.fd = std::move(fd);
  connection.idle_since_us = SteadyMicros();
  connection.deadline_us = connection.idle_since_us + limits_.client_timeout_us;
  connections_.emplace(id, std::move(connection));
  stats_.open.store(connections_.size());
}

bool ConnectionLoop::CloseIdleOne() {
  auto longest = connections_.end();
  for (auto it = connections_.begin(); it != connections_.end(); ++it) {
    const Connection& c = it->second;
    if (c.phase == Phase::kDraining) {
      longest = it;
      break;
    }
    if (c.phase != Phase::kReading || !c.in.empty()) continue;
    if (longest == connections_.end() || c.idle_since_us < longest->second.idle_since_us) {
      longest = it;
    }
  }
  if (longest == connections_.end()) return false;
  stats_.turned_away.fetch_add(1);
  Close(longest->first);
  return true;
}

void ConnectionLoop::Serve(uint64_t id, uint32_t events) {
  const auto it = connections_.find(id);
  if (it == connections_.end()) return;  // closed by an event before this one
  Connection* const connection = &it->second;
  bool goes_on = (events & EPOLLERR) == 0;
  switch (connection->phase) {
    case Phase::kReading:
      goes_on = goes_on && Read(id, connection);
      break;
    case Phase::kAnswering:
      goes_on = goes_on && (events & EPOLLHUP) == 0;
      break;
    case Phase::kWriting:
      goes_on = goes_on && Write(id, connection);
      break;
    case Phase::kDraining:
      goes_on = goes_on && Drain(connection);
      break;
  }
  if (goes_on) {
    Watch(id, *connection);
  } else {
    Close(id);
  }
}

void ConnectionLoop::Watch(uint64_t id, const Connection& connection) {
  uint32_t wanted = EPOLLIN;
  if (connection.phase == Phase::kAnswering) wanted = 0;
  if (connection.phase == Phase::kWriting) wanted = EPOLLOUT;
  epoll_event event{wanted, {.u64 = id}};
  epoll_ctl(poll_.get(), EPOLL_CTL_MOD, connection.fd.get(), &event);
}

bool ConnectionLoop::Read(uint64_t id, Connection* connection) {
  char buffer[16 << 10];
  const ssize_t count = recv(connection->fd.get(), buffer, sizeof(buffer), 0);
  if (count < 0) return WouldBlock();
  if (count == 0) return false;
  if (connection->in.empty()) {
    connection->deadline_us = SteadyMicros() + limits_.client_timeout_us;
  }
  connection->in.append(buffer, static_cast<size_t>(count));
  return TakeRequest(id, connection);
}

bool ConnectionLoop::TakeRequest(uint64_t id, Connection* connection) {
  RequestFrame frame = FrameRequest(connection->in, limits_.frame);
  if (frame.state == RequestFrame::State::kRefused) {
    CountAnswer(frame.refusal);
    BeginAnswer(connection, RequestProcessor::Refusal(frame.refusal, frame.reason), true);
    return Write(id, connection);
  }
  if (frame.state == RequestFrame::State::kIncomplete) {
    if (!frame.wants_continue || connection->continued) return true;
    connection->continued = true;
    // It fits into a socket buffer that is empty: every answer before it was taken.
    return send(connection->fd.get(), kContinue.data(), kContinue.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(kContinue.size());
  }
  std::string body(frame.body);
  connection->in.erase(0, frame.size);
  connection->continued = false;
  connection->phase = Phase::kAnswering;
  auto job = [this, id, head = std::move(frame.head), body = std::move(body)] {
    Done done{id, answer_(head, body)};
    {
      PlainLock lock(&mutex_);
      done_.push_back(std::move(done));
    }
    eventfd_write(wake_.get(), 1);
  };
  if (pool_->TryAdd(std::move(job))) return true;
  CountAnswer(503);
  BeginAnswer(connection, RequestProcessor::Refusal(503, "there are too many requests"), true);
  return Write(id, connection);
}

void ConnectionLoop::TakeAnswers() {
  std::vector<Done> done;
  {
    PlainLock lock(&mutex_);
    done.swap(done_);
  }
  for (Done& each : done) {
    CountAnswer(each.answer.status);
    const auto it = connections_.find(each.id);
    if (it == connections_.end()) continue;
    BeginAnswer(&it->second, std::move(each.answer.bytes), each.answer.close);
    if (Write(each.id, &it->second)) {
      Watch(each.id, it->second);
    } else {
      Close(each.id);
    }
  }
}

void ConnectionLoop::BeginAnswer(Connection* connection, std::string bytes, bool close) {
  if (answer_bytes_ + bytes.size() > limits_.answer_bytes) {
    bytes = RequestProcessor::Refusal(503, "too many answers wait for their clients");
    close = true;
  }
  answer_bytes_ += bytes.size();
  connection->out = std::move(bytes);
  connection->written = 0;
  connection->close_after = close;
  connection->phase = Phase::kWriting;
  connection->deadline_us = SteadyMicros() + limits_.client_timeout_us;
}

bool ConnectionLoop::Write(uint64_t id, Connection* connection) {
  while (connection->written < connection->out.size()) {
    const ssize_t count = send(connection->fd.get(), connection->out.data() + connection->written,
                               connection->out.size() - connection->written, MSG_NOSIGNAL);
    if (count < 0) return WouldBlock();
    connection->written += static_cast<size_t>(count);
  }
  answer_bytes_ -= connection->out.size();
  connection->out = std::string();
  const uint64_t now_us = SteadyMicros();
  if (connection->close_after) {
    shutdown(connection->fd.get(), SHUT_WR);
    connection->in = std::string();
    connection->phase = Phase::kDraining;
    connection->deadline_us = now_us + kDrainUs;
    return true;
  }
  connection->phase = Phase::kReading;
  connection->idle_since_us = now_us;
  if (connection->in.empty()) {
    connection->deadline_us = now_us + limits_.idle_timeout_us;
    return true;
  }
  // The client has sent its next request already; its answer comes by way of the pool, so this
  // goes no deeper, but for a refusal, which is the last.
  connection->deadline_us = now_us + limits_.client_timeout_us;
  return TakeRequest(id, connection);
}

bool ConnectionLoop::Drain(Connection* connection) {
  char buffer[16 << 10];
  const ssize_t count = recv(connection->fd.get(), buffer, sizeof(buffer), 0);
  return count > 0 || (count < 0 && WouldBlock());
}

void ConnectionLoop::CloseLate() {
  const uint64_t now_us = SteadyMicros();
  std::vector<uint64_t> late;
  for (const auto& [id, connection] : connections_) {
    // How long an answer takes is up to its handler.
    if (connection.phase == Phase::kAnswering || now_us < connection.deadline_us) continue;
    late.push_back(id);
  }
  for (const uint64_t id : late) {
    const Connection& connection = connections_.find(id)->second;
    const bool is_idle = connection.phase == Phase::kReading && connection.in.empty();
    if (!is_idle && connection.phase != Phase::kDraining) stats_.timed_out.fetch_add(1);
    Close(id);
  }
}

void ConnectionLoop::Close(uint64_t id) {
  const auto it = connections_.find(id);
  if (it == connections_.end()) return;
  answer_bytes_ -= it->second.out.size();
  connections_.erase(it);
  stats_.open.store(connections_.size());
}

void ConnectionLoop::CountAnswer(int status) {
  const size_t digit = static_cast<size_t>(status) / 100;
  if (digit < stats_.answers.size()) stats_.answers[digit].fetch_add(1);
}

}  // namespace slipstream::observe
