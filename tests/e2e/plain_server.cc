#include "tests/e2e/plain_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "catch2/catch.hpp"

namespace slipstream::testing {

PlainServer::PlainServer(std::string greeting, bool hangs_up)
    : greeting_(std::move(greeting)), hangs_up_(hangs_up) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  REQUIRE(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(listen(listener_, 16) == 0);
  REQUIRE(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  wake_ = eventfd(0, EFD_CLOEXEC);
  REQUIRE(wake_ >= 0);
  thread_ = std::thread([this] { Run(); });
}

PlainServer::~PlainServer() {
  eventfd_write(wake_, 1);
  thread_.join();
  close(listener_);
  close(wake_);
}

void PlainServer::Run() {
  std::vector<int> open;
  for (;;) {
    std::vector<pollfd> polled{{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
    for (int connection : open) polled.push_back({connection, POLLIN, 0});
    poll(polled.data(), polled.size(), -1);
    if (polled[0].revents != 0) break;
    for (size_t i = 0; i < open.size(); ++i) {
      char ignored[4096];
      if (polled[i + 2].revents == 0 || recv(open[i], ignored, sizeof(ignored), 0) > 0) continue;
      close(std::exchange(open[i], -1));
    }
    std::erase(open, -1);
    if (polled[1].revents == 0) continue;
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    send(connection, greeting_.data(), greeting_.size(), MSG_NOSIGNAL);
    if (hangs_up_) {
      close(connection);
    } else {
      open.push_back(connection);
    }
  }
  for (int connection : open) close(connection);
}

}  // namespace slipstream::testing
