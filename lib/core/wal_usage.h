// Whose entries a WAL holds: how much of it a recovery still needs.
// Pure. Threads: thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>

#include "lib/core/batch_gatherer.h"
#include "lib/core/manifest_state.h"
#include "rocksdb/slice.h"

namespace slipstream {

// The column families of a manifest by id.
using ManifestColumnFamilies = std::map<uint32_t, ManifestState::ColumnFamily>;

// Whether a recovery by a manifest with `families` inserts what WAL `wal` holds for the column
// family. What was written to one that is gone is not.
inline bool NeedsWal(const ManifestColumnFamilies& families, uint32_t family, uint64_t wal) {
  auto it = families.find(family);
  return it != families.end() && it->second.log_number <= wal;
}

class WalUsage {
 public:
  // The next record of the WAL, a whole write batch with this header. One that cannot be read makes
  // the usage unknown.
  void Add(const BatchHeader& header, rocksdb::Slice record);
  // The same, where all entries are of one column family.
  void AddOf(uint32_t family, const BatchHeader& header, rocksdb::Slice record);

  // Of entries, and of their batches' headers.
  uint64_t bytes() const { return bytes_; }
  // The same, of what a recovery inserts. Everything if it is not known.
  uint64_t NeededBytes(const ManifestColumnFamilies& families, uint64_t wal) const;
  bool known() const { return known_; }
  // Of the first record; 0 before there is one.
  uint64_t first_sequence() const { return first_sequence_; }
  // Behind the last record; 0 before there is one.
  uint64_t next_sequence() const { return next_sequence_; }

 private:
  void Count(const BatchHeader& header, rocksdb::Slice record);

  std::unordered_map<uint32_t, uint64_t> by_family_;
  uint64_t bytes_ = 0;
  uint64_t first_sequence_ = 0;
  uint64_t next_sequence_ = 0;
  bool known_ = true;
};

}  // namespace slipstream
