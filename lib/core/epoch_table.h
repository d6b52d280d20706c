// Which epochs there were and where each began: decides whether a write of an older epoch is part
// of a newer one.
// Pure. Threads: thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "lib/core/messages.h"
#include "slipstream/position.h"

namespace slipstream {

class EpochTable {
 public:
  EpochTable() = default;
  explicit EpochTable(const std::vector<EpochStart>& epochs) {
    for (const EpochStart& e : epochs) starts_[e.epoch] = e.sequence;
  }

  // The lowest sequence number at which one of the epochs after `from`, up to `to`, began: what
  // was written in `from` with a higher one was taken back. Empty if the start of one of them is
  // not known.
  std::optional<uint64_t> LowestStart(uint64_t from, uint64_t to) const {
    std::optional<uint64_t> lowest;
    uint64_t expected = from + 1;
    for (auto it = starts_.upper_bound(from); it != starts_.end() && it->first <= to; ++it) {
      // An epoch that was claimed but whose opening failed has no start: it wrote nothing that
      // a later one could have recovered, but that cannot be told from one that was forgotten.
      if (it->first != expected) return std::nullopt;
      ++expected;
      if (!lowest || it->second < *lowest) lowest = it->second;
    }
    if (expected != to + 1) return std::nullopt;
    return lowest;
  }

 private:
  std::map<uint64_t, uint64_t> starts_;
};

}  // namespace slipstream
