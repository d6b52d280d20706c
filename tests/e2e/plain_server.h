// A TCP server that is not what it is taken for.
#pragma once

#include <string>
#include <thread>

namespace slipstream::testing {

// Says the same to everybody who connects, whatever they say.
// Threads: one of its own.
class PlainServer {
 public:
  // hangs_up: right behind the greeting.
  PlainServer(std::string greeting, bool hangs_up);
  ~PlainServer();
  PlainServer(const PlainServer&) = delete;
  PlainServer& operator=(const PlainServer&) = delete;

  int port() const { return port_; }

 private:
  void Run();

  const std::string greeting_;
  const bool hangs_up_;
  int port_ = 0;
  int listener_ = -1;
  int wake_ = -1;
  std::thread thread_;
};

}  // namespace slipstream::testing
