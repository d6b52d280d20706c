// What a follower has to know of a column family's options before it opens it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace slipstream {

struct ColumnFamilyInfo {
  std::string name;
  std::string comparator;
  std::string merge_operator;  // empty: none
  // Bytes of the comparator's timestamps, 0 without any. Not known of a column family that was
  // created with a comparator that none had when the database was opened: a name alone does not
  // tell.
  std::optional<uint32_t> timestamp_size;

  friend bool operator==(const ColumnFamilyInfo&, const ColumnFamilyInfo&) = default;
};

// The payload of a FrameType::kColumnFamily: three strings with their lengths, then the size of
// timestamps plus 1, or 0 if it is not known.
std::string EncodeColumnFamilyInfo(const ColumnFamilyInfo& info);

// Returns Corruption, and leaves `*out` in an unspecified state, if `payload` is anything else.
[[nodiscard]] rocksdb::Status DecodeColumnFamilyInfo(rocksdb::Slice payload, ColumnFamilyInfo* out);

}  // namespace slipstream
