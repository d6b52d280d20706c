#include "lib/observe/http/listen_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace slipstream::observe {
namespace {

using rocksdb::Status;

Status NoAddress(const std::string& text, const char* expected) {
  return Status::InvalidArgument("HttpServerOptions::listen_address",
                                 "is \"" + text + "\", expected " + expected);
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

bool MakeAddress(const std::string& text, uint16_t port, Address* address) {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address->storage);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address->size = sizeof(*v4);
    return true;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address->storage);
  if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address->size = sizeof(*v6);
    return true;
  }
  return false;
}

}  // namespace

Status ParseListenAddress(const std::string& text, std::string* address, uint16_t* port) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return NoAddress(text, "ADDRESS:PORT");
  const std::string number = text.substr(colon + 1);
  if (number.empty() || number.size() > 5 ||
      number.find_first_not_of("0123456789") != std::string::npos || std::stoul(number) > 65'535) {
    return NoAddress(text, "a port from 0 to 65535");
  }
  std::string name = text.substr(0, colon);
  if (name.size() > 2 && name.front() == '[' && name.back() == ']') {
    name = name.substr(1, name.size() - 2);
  } else if (name.find(':') != std::string::npos) {
    return NoAddress(text, "brackets around an IPv6 address");
  }
  if (name == "localhost") name = "127.0.0.1";
  Address parsed;
  if (!MakeAddress(name, 0, &parsed)) return NoAddress(text, "an address in numbers");
  *address = name;
  *port = static_cast<uint16_t>(std::stoul(number));
  return Status::OK();
}

Status Listen(const std::string& listen_address, FileDescriptor* listening, uint16_t* port) {
  std::string name;
  Status s = ParseListenAddress(listen_address, &name, port);
  if (!s.ok()) return s;
  Address address;
  MakeAddress(name, *port, &address);
  auto* const raw = reinterpret_cast<sockaddr*>(&address.storage);
  FileDescriptor fd(
      socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  // Else a restart would have to wait for the connections of the process before.
  if (!fd.valid() || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      bind(fd.get(), raw, address.size) != 0 || listen(fd.get(), 128) != 0 ||
      getsockname(fd.get(), raw, &address.size) != 0) {
    return Status::IOError("listen on " + listen_address, strerror(errno));
  }
  // The port is at the same place in both kinds of address.
  *port = ntohs(reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port);
  *listening = std::move(fd);
  return Status::OK();
}

}  // namespace slipstream::observe
