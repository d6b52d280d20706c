// Position: one comparable value for "how far".
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "rocksdb/status.h"

namespace slipstream {

// A point in a database's replicated history: the token that a host passes from the process that
// wrote to the process that reads.
//
// `epoch`     which opening of the leader: every open of a leader begins a new one. 0 = no
// position. `offset`    bytes of the epoch's replication log before this point. Positions are
// ordered by
//             (epoch, offset): creating a column family or ingesting a file changes content without
//             consuming a sequence number, so sequence numbers alone could not order them.
// `sequence`  RocksDB's sequence number at this point; for people and for RocksDB. It takes no part
//             in comparisons.
//
// Threads: a plain value.
struct Position {
  uint64_t epoch = 0;
  uint64_t offset = 0;
  uint64_t sequence = 0;

  // "epoch:offset:sequence" in decimal, for example "3:1048576:90210". Never fails.
  std::string ToString() const;

  // Parses what ToString() printed.
  // Returns InvalidArgument, with the text found, if `text` is anything else; `*out` is unchanged.
  [[nodiscard]] static rocksdb::Status Parse(std::string_view text, Position* out);

  friend std::strong_ordering operator<=>(const Position& a, const Position& b) {
    if (auto c = a.epoch <=> b.epoch; c != 0) return c;
    return a.offset <=> b.offset;
  }
  friend bool operator==(const Position& a, const Position& b) { return (a <=> b) == 0; }
};

}  // namespace slipstream
