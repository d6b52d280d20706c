#include "lib/core/column_family_info.h"

#include "lib/core/coding.h"

namespace slipstream {

using rocksdb::Slice;

std::string EncodeColumnFamilyInfo(const ColumnFamilyInfo& info) {
  std::string payload;
  PutLengthPrefixedSlice(&payload, info.name);
  PutLengthPrefixedSlice(&payload, info.comparator);
  PutLengthPrefixedSlice(&payload, info.merge_operator);
  PutVarint64(&payload, info.timestamp_size ? uint64_t{*info.timestamp_size} + 1 : 0);
  return payload;
}

rocksdb::Status DecodeColumnFamilyInfo(Slice payload, ColumnFamilyInfo* out) {
  Slice name, comparator, merge_operator;
  uint64_t size_and_one = 0;
  if (!GetLengthPrefixedSlice(&payload, &name) || !GetLengthPrefixedSlice(&payload, &comparator) ||
      !GetLengthPrefixedSlice(&payload, &merge_operator) || !GetVarint64(&payload, &size_and_one) ||
      !payload.empty() || size_and_one > uint64_t{UINT32_MAX} + 1) {
    return rocksdb::Status::Corruption("frame: malformed options of a column family");
  }
  out->name = name.ToString();
  out->comparator = comparator.ToString();
  out->merge_operator = merge_operator.ToString();
  out->timestamp_size.reset();
  if (size_and_one > 0) out->timestamp_size = static_cast<uint32_t>(size_and_one - 1);
  return rocksdb::Status::OK();
}

}  // namespace slipstream
