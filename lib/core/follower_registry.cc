#include "lib/core/follower_registry.h"

#include <algorithm>

namespace slipstream {

uint64_t FollowerRegistry::Connect(const Hello& hello, const std::string& peer,
                                   const Position& pin) {
  Entry& e = entries_[hello.follower_id];
  e.id = hello.follower_id;
  e.name = hello.name;
  e.peer = peer;
  e.observe_endpoint = hello.observe_endpoint;
  e.connected = true;
  e.stream = ++last_stream_;
  e.received = hello.held;
  e.pin = pin;
  return e.stream;
}

bool FollowerRegistry::Confirm(const std::string& id, uint64_t stream, const Ack& ack) {
  auto it = entries_.find(id);
  if (it == entries_.end() || it->second.stream != stream) return false;
  Entry& e = it->second;
  e.received = ack.received;
  e.applied = ack.applied;
  e.live_generations = ack.live_generations;
  e.serving = ack.serving;
  // Before its first generation a follower has no pin of its own: the one set at Connect stays.
  if (ack.pin.epoch != 0) e.pin = ack.pin;
  return true;
}

void FollowerRegistry::Disconnect(const std::string& id, uint64_t stream, uint64_t now_ms) {
  auto it = entries_.find(id);
  if (it == entries_.end() || it->second.stream != stream) return;
  it->second.connected = false;
  it->second.expires_ms = now_ms + lease_ms_;
}

void FollowerRegistry::Expire(uint64_t now_ms) {
  std::erase_if(entries_, [now_ms](const auto& entry) {
    return !entry.second.connected && entry.second.expires_ms <= now_ms;
  });
}

std::optional<Position> FollowerRegistry::OldestPin() const {
  std::optional<Position> oldest;
  for (const auto& [id, e] : entries_) {
    if (!oldest || e.pin < *oldest) oldest = e.pin;
  }
  return oldest;
}

size_t FollowerRegistry::CountReceived(const Position& position) const {
  return std::count_if(entries_.begin(), entries_.end(), [&](const auto& entry) {
    return entry.second.received.epoch == position.epoch && entry.second.received >= position;
  });
}

size_t FollowerRegistry::CountApplied(const Position& position) const {
  return std::count_if(entries_.begin(), entries_.end(), [&](const auto& entry) {
    return entry.second.applied.epoch == position.epoch && entry.second.applied >= position;
  });
}

}  // namespace slipstream
