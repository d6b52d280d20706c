// RocksDB's log format, which its WALs and manifests share.
//
// A log is a sequence of blocks of 32 KiB. A logical record is stored as one or more fragments,
// none of which crosses a block's end:
//
//   +--------------+-------------+-----------+------------------+
//   | crc32c (4 B) | length (2 B)| type (1 B)| payload (length) |
//   +--------------+-------------+-----------+------------------+
//
// All integers are little-endian. The checksum covers the type and the payload, and is masked. When
// fewer than 7 bytes are left in a block, they are zeros and the next fragment starts a new block.
// When exactly 7 are left, an empty kFirst fragment may fill them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace slipstream {

inline constexpr size_t kLogBlockBytes = 32768;
inline constexpr size_t kLogHeaderBytes = 7;

enum class LogFragmentType : uint8_t {
  // A header of a preallocated region that was never written.
  kZero = 0,
  // A whole record.
  kFull = 1,
  // The fragments of a record that does not fit in its block.
  kFirst = 2,
  kMiddle = 3,
  kLast = 4,
  // The types below, but for kUserDefinedTimestampSize, belong to features that Slipstream refuses;
  // they are known by name only.
  kRecyclableFull = 5,
  kRecyclableFirst = 6,
  kRecyclableMiddle = 7,
  kRecyclableLast = 8,
  kSetCompression = 9,
  // RocksDB 9.10 writes it before the first record of a column family with user-defined timestamps.
  kUserDefinedTimestampSize = 10,
  kRecyclableUserDefinedTimestampSize = 11,
};

}  // namespace slipstream
