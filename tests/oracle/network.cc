#include "tests/oracle/network.h"

namespace slipstream::oracle {

Network::Network(size_t followers, bool faulty) : faulty_(faulty) { proxies_.resize(followers); }

void Network::SetLeaderPort(int port) {
  leader_port_ = port;
  if (!faulty_) return;
  for (auto& proxy : proxies_) {
    if (proxy == nullptr) proxy = std::make_unique<testing::TcpProxy>(port);
  }
}

int Network::port(size_t i) const { return faulty_ ? proxies_[i]->port() : leader_port_; }

std::string Network::Disturb(Random* random) {
  if (!faulty_) return "";
  const size_t i = random->Below(proxies_.size());
  testing::TcpProxy& proxy = *proxies_[i];
  disturbed_ = true;
  const std::string whose = " the connection of follower " + std::to_string(i);
  switch (random->Below(4)) {
    case 0:
      proxy.Pause();
      return "holding up" + whose;
    case 1:
      proxy.Refuse();
      return "refusing" + whose;
    case 2:
      proxy.Resume();
      return "resuming" + whose;
    default:
      proxy.Cut();
      return "cutting" + whose;
  }
}

bool Network::Heal() {
  if (!disturbed_) return false;
  disturbed_ = false;
  for (auto& proxy : proxies_) proxy->Resume();
  return true;
}

}  // namespace slipstream::oracle
