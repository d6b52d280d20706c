// HTTP as bytes on a socket: what a test sends is what the server gets, well formed or not.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace slipstream::observe {

struct RawReply {
  int status = 0;  // 0 = the connection was closed without an answer
  std::string head;
  std::string body;

  nlohmann::json Json() const { return nlohmann::json::parse(body); }
  // Empty if there is no such header.
  std::string Header(const std::string& name) const {
    const size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

class RawConnection {
 public:
  explicit RawConnection(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~RawConnection() { close(fd_); }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  int fd() const { return fd_; }
  bool connected() const { return connected_; }

  // False if the server has closed it.
  bool Send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      text.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }

  // The next answer; what comes behind it is kept for the call after.
  RawReply Read() {
    RawReply reply;
    size_t head_end = std::string::npos;
    while ((head_end = in_.find("\r\n\r\n")) == std::string::npos) {
      if (!ReadMore()) return reply;
    }
    reply.head = in_.substr(0, head_end + 2);
    reply.status = std::atoi(reply.head.c_str() + 9);
    in_.erase(0, head_end + 4);
    const std::string length = reply.Header("Content-Length");
    const size_t size = length.empty() ? 0 : std::stoul(length);
    while (in_.size() < size) {
      if (!ReadMore()) break;
    }
    reply.body = in_.substr(0, size);
    in_.erase(0, size);
    return reply;
  }

  // True once the server has closed the connection.
  bool IsClosed() {
    while (ReadMore()) {
    }
    return closed_;
  }

 private:
  bool ReadMore() {
    pollfd ready{fd_, POLLIN, 0};
    int count_ready = 0;
    // Dumps of stacks interrupt it.
    while ((count_ready = poll(&ready, 1, 20'000)) < 0 && errno == EINTR) {
    }
    if (count_ready != 1) return false;
    char buffer[16 << 10];
    const ssize_t count = recv(fd_, buffer, sizeof(buffer), 0);
    closed_ = count <= 0;
    if (closed_) return false;
    in_.append(buffer, static_cast<size_t>(count));
    return true;
  }

  const int fd_;
  bool connected_ = false;
  bool closed_ = false;
  std::string in_;
};

// headers: whole lines, each with its line end.
inline std::string RawRequest(const std::string& verb, const std::string& target,
                              const std::string& headers = "", const std::string& body = "") {
  std::string request = verb + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers;
  if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return request + "\r\n" + body;
}

inline RawReply Fetch(uint16_t port, const std::string& verb, const std::string& target,
                      const std::string& headers = "", const std::string& body = "") {
  RawConnection connection(port);
  // No assertion, which only the test's own thread may make: a status of 0 is noticed anyway.
  if (!connection.connected() || !connection.Send(RawRequest(verb, target, headers, body))) {
    return {};
  }
  return connection.Read();
}

}  // namespace slipstream::observe
