// Everything that a database shows, in one comparable value.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/status.h"

namespace slipstream::testing {

struct ContentDigest {
  uint64_t entries = 0;
  uint64_t hash = 0;
  uint64_t sequence = 0;

  std::string ToString() const {
    return std::to_string(entries) + " " + std::to_string(hash) + " " + std::to_string(sequence);
  }
  friend bool operator==(const ContentDigest&, const ContentDigest&) = default;
  friend std::ostream& operator<<(std::ostream& out, const ContentDigest& d) {
    return out << d.ToString();
  }
};

// Reads all of `families`, in their order, as of `snapshot`, or of a snapshot of this moment.
[[nodiscard]] rocksdb::Status DigestOf(rocksdb::DB* db,
                                       const std::vector<rocksdb::ColumnFamilyHandle*>& families,
                                       const rocksdb::Snapshot* snapshot, ContentDigest* out);

}  // namespace slipstream::testing
