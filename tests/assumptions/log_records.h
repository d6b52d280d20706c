#ifndef SLIPSTREAM_TESTS_ASSUMPTIONS_LOG_RECORDS_H_
#define SLIPSTREAM_TESTS_ASSUMPTIONS_LOG_RECORDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "catch2/catch.hpp"

namespace slipstream {

// Returns the complete logical records in the bytes of a WAL or MANIFEST. Both are blocks of
// 32 KiB of physical records, each with a header of 7 bytes: checksum (4), length (2), type (1).
inline std::vector<std::string> ReadLogRecords(const std::string& bytes) {
  constexpr size_t kBlockSize = 32768;
  constexpr size_t kHeaderSize = 7;
  constexpr int kFull = 1;
  constexpr int kFirst = 2;
  constexpr int kLast = 4;
  std::vector<std::string> records;
  std::string partial;
  size_t offset = 0;
  while (offset + kHeaderSize <= bytes.size()) {
    const size_t left_in_block = kBlockSize - offset % kBlockSize;
    if (left_in_block < kHeaderSize) {
      offset += left_in_block;
      continue;
    }
    const size_t length = static_cast<uint8_t>(bytes[offset + 4]) |
                          static_cast<size_t>(static_cast<uint8_t>(bytes[offset + 5])) << 8;
    const int type = bytes[offset + 6];
    REQUIRE(type >= kFull);
    REQUIRE(type <= kLast);
    if (offset + kHeaderSize + length > bytes.size()) break;
    if (type == kFull || type == kFirst) partial.clear();
    partial.append(bytes, offset + kHeaderSize, length);
    if (type == kFull || type == kLast) records.push_back(partial);
    offset += kHeaderSize + length;
  }
  return records;
}

// What the first 12 bytes of a write batch say.
struct BatchHeader {
  uint64_t sequence = 0;
  uint32_t count = 0;
};

constexpr size_t kBatchHeaderSize = 12;

inline BatchHeader ReadBatchHeader(const std::string& batch) {
  REQUIRE(batch.size() >= kBatchHeaderSize);
  BatchHeader header;
  for (int i = 7; i >= 0; i--) {
    header.sequence = header.sequence << 8 | static_cast<uint8_t>(batch[static_cast<size_t>(i)]);
  }
  for (int i = 11; i >= 8; i--) {
    header.count = header.count << 8 | static_cast<uint8_t>(batch[static_cast<size_t>(i)]);
  }
  return header;
}

}  // namespace slipstream

#endif  // SLIPSTREAM_TESTS_ASSUMPTIONS_LOG_RECORDS_H_
