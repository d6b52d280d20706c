// A leader's list of its followers: what each has confirmed, which files it still needs, and when
// it is given up.
//
//                 Connect             Disconnect              lease over
//   (unknown) ------------> connected -----------> lease runs -----------> (unknown)
//                               ^                      |
//                               +------- Connect ------+
//
// Pure: time is passed in. Threads: thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/core/messages.h"

namespace slipstream {

class FollowerRegistry {
 public:
  struct Entry {
    std::string id;
    std::string name;
    std::string peer;
    std::string observe_endpoint;
    bool connected = false;
    bool serving = false;
    uint64_t stream = 0;  // which of its streams is the present one
    Position received;
    Position applied;
    Position pin;
    uint64_t live_generations = 0;
    uint64_t expires_ms = 0;  // while not connected
  };

  explicit FollowerRegistry(uint64_t lease_ms) : lease_ms_(lease_ms) {}

  // A stream began. `pin` is the older of what the follower says and of where its image will be
  // cut. Returns the number of the stream: the calls below that name an older one do nothing.
  uint64_t Connect(const Hello& hello, const std::string& peer, const Position& pin);
  // False if the stream is not the present one.
  bool Confirm(const std::string& id, uint64_t stream, const Ack& ack);
  void Disconnect(const std::string& id, uint64_t stream, uint64_t now_ms);
  // Gives up those whose lease is over.
  void Expire(uint64_t now_ms);

  // The oldest pin; empty if there is no follower.
  std::optional<Position> OldestPin() const;
  size_t CountReceived(const Position& position) const;
  size_t CountApplied(const Position& position) const;

  const std::map<std::string, Entry>& entries() const { return entries_; }

 private:
  const uint64_t lease_ms_;
  uint64_t last_stream_ = 0;
  std::map<std::string, Entry> entries_;
};

}  // namespace slipstream
