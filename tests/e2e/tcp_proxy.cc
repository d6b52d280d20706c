#include "tests/e2e/tcp_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <vector>

namespace slipstream::testing {
namespace {

constexpr size_t kBufferBytes = 256 << 10;

// Thrown, since not only test cases use a proxy.
void Require(bool ok, const char* what) {
  if (!ok) throw std::system_error(errno, std::generic_category(), what);
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

}  // namespace

TcpProxy::TcpProxy(int target_port) : target_port_(target_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  Require(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
  Require(listen(listener_, 16) == 0, "listen");
  Require(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0, "getsockname");
  port_ = ntohs(address.sin_port);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  Require(wake_ >= 0, "eventfd");
  thread_ = std::thread([this] { Run(); });
}

TcpProxy::~TcpProxy() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  eventfd_write(wake_, 1);
  thread_.join();
  close(listener_);
  close(wake_);
}

void TcpProxy::Pause() { Command(Mode::kPause, false); }
void TcpProxy::Resume() { Command(Mode::kForward, false); }
void TcpProxy::Cut() { Command(Mode::kForward, true); }
void TcpProxy::Refuse() { Command(Mode::kRefuse, true); }

void TcpProxy::Command(Mode mode, bool cut) {
  std::unique_lock<std::mutex> lock(mutex_);
  orders_.mode = mode;
  orders_.stalled[0] = orders_.stalled[1] = false;
  cut_ |= cut;
  Obey(&lock);
}

void TcpProxy::Stall(Way way) {
  std::unique_lock<std::mutex> lock(mutex_);
  orders_.stalled[static_cast<int>(way)] = true;
  Obey(&lock);
}

void TcpProxy::Corrupt(Way way, uint64_t at) {
  std::unique_lock<std::mutex> lock(mutex_);
  orders_.corrupt[static_cast<int>(way)] = true;
  orders_.corrupt_at = at;
  Obey(&lock);
}

void TcpProxy::Obey(std::unique_lock<std::mutex>* lock) {
  const uint64_t number = ++asked_;
  eventfd_write(wake_, 1);
  done_.wait(*lock, [&] { return obeyed_ >= number; });
}

void TcpProxy::Run() {
  for (;;) {
    Orders orders;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      orders = orders_;
      if (cut_ || stop_) {
        for (Connection& c : connections_) Reset(&c);
        connections_.clear();
      }
      cut_ = false;
      obeyed_ = asked_;
      done_.notify_all();
      if (stop_) return;
    }
    std::vector<pollfd> polled{{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const Connection& c : connections_) {
      for (int i = 0; i < 2; ++i) {
        short events = 0;
        const bool forward = orders.mode == Mode::kForward;
        if (forward && !orders.stalled[i] && c.waiting[i].size() < kBufferBytes) events |= POLLIN;
        if (forward && !orders.stalled[1 - i] && !c.waiting[1 - i].empty()) events |= POLLOUT;
        polled.push_back({events != 0 ? c.ends[i] : -1, events, 0});
      }
    }
    poll(polled.data(), polled.size(), -1);
    if ((polled[0].revents & POLLIN) != 0) {
      // What was asked for comes before anything else is moved.
      eventfd_t ignored;
      eventfd_read(wake_, &ignored);
      continue;
    }
    for (Connection& c : connections_) {
      if (orders.mode != Mode::kForward) break;
      for (int from = 0; from < 2; ++from) {
        if (!orders.stalled[from]) Move(&c, from, orders);
      }
      if (c.dead) Reset(&c);
    }
    connections_.remove_if([](const Connection& c) { return c.dead; });
    if ((polled[1].revents & POLLIN) != 0) Accept(orders.mode);
  }
}

void TcpProxy::Accept(Mode mode) {
  const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client < 0) return;
  Connection c;
  c.ends[0] = client;
  c.ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(target_port_);
  if (mode == Mode::kRefuse ||
      connect(c.ends[1], reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    Reset(&c);
    return;
  }
  const int on = 1;
  for (int end : c.ends) {
    fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK);
    setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  connections_.push_back(std::move(c));
}

void TcpProxy::Move(Connection* c, int from, const Orders& orders) {
  std::string* waiting = &c->waiting[from];
  if (waiting->size() < kBufferBytes) {
    char buffer[64 << 10];
    const ssize_t n = recv(c->ends[from], buffer, sizeof(buffer), 0);
    if (n > 0) waiting->append(buffer, static_cast<size_t>(n));
    if (n > 0 && orders.corrupt[from]) {
      (*waiting)[waiting->size() - 1 - orders.corrupt_at % static_cast<size_t>(n)] ^= 4;
      std::lock_guard<std::mutex> lock(mutex_);
      orders_.corrupt[from] = false;
    }
    if (n == 0 || (n < 0 && errno != EAGAIN)) c->dead = true;
  }
  if (waiting->empty()) return;
  const ssize_t n = send(c->ends[1 - from], waiting->data(), waiting->size(), MSG_NOSIGNAL);
  if (n > 0) waiting->erase(0, static_cast<size_t>(n));
  if (n < 0 && errno != EAGAIN) c->dead = true;
}

void TcpProxy::Reset(Connection* c) {
  // A reset instead of an orderly end, and nothing that was on its way arrives any more.
  const linger abort{1, 0};
  for (int& end : c->ends) {
    if (end < 0) continue;
    setsockopt(end, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
    close(end);
    end = -1;
  }
  c->dead = true;
}

}  // namespace slipstream::testing
