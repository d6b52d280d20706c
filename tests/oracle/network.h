// The connections between the followers and their leader, which can be cut and held up.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/tcp_proxy.h"
#include "tests/oracle/random.h"

namespace slipstream::oracle {

// Threads: the conductor's.
class Network {
 public:
  // faulty: else followers connect to the leader directly, and nothing is ever disturbed.
  Network(size_t followers, bool faulty);

  // Where the leader listens. The same each time.
  void SetLeaderPort(int port);
  // What follower `i` connects to.
  int port(size_t i) const;

  // Cuts the connection of one follower, holds it up, or refuses it for a while. Returns what was
  // done, for people; empty if the network is not a faulty one.
  std::string Disturb(Random* random);
  // Everything flows again. Returns whether anything was disturbed since the last time.
  bool Heal();

 private:
  const bool faulty_;
  int leader_port_ = 0;
  bool disturbed_ = false;
  std::vector<std::unique_ptr<testing::TcpProxy>> proxies_;  // by follower
};

}  // namespace slipstream::oracle
