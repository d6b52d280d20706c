// The column families of the databases of the end-to-end tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rocksdb/comparator.h"
#include "rocksdb/db.h"
#include "rocksdb/merge_operator.h"
#include "rocksdb/options.h"

namespace slipstream::testing {

inline constexpr char kReverse[] = "reverse";
inline constexpr char kSums[] = "sums";

// Adds up decimal numbers, so that an operand that is counted twice or not at all shows.
class AddingOperator : public rocksdb::AssociativeMergeOperator {
 public:
  bool Merge(const rocksdb::Slice&, const rocksdb::Slice* existing, const rocksdb::Slice& value,
             std::string* result, rocksdb::Logger*) const override {
    const uint64_t before = existing != nullptr ? std::stoull("0" + existing->ToString()) : 0;
    *result = std::to_string(before + std::stoull("0" + value.ToString()));
    return true;
  }
  const char* Name() const override { return "slipstream.testing.Adding"; }
};

// "default"; "reverse", in descending order of bytes; "sums", where merge operands are added up.
inline std::vector<rocksdb::ColumnFamilyDescriptor> TestColumnFamilies(
    uint64_t write_buffer_bytes = 64ull << 20) {
  rocksdb::ColumnFamilyOptions options;
  options.write_buffer_size = write_buffer_bytes;
  options.compression = rocksdb::kNoCompression;
  rocksdb::ColumnFamilyOptions reverse = options;
  reverse.comparator = rocksdb::ReverseBytewiseComparator();
  rocksdb::ColumnFamilyOptions sums = options;
  sums.merge_operator = std::make_shared<AddingOperator>();
  return {{rocksdb::kDefaultColumnFamilyName, options}, {kReverse, reverse}, {kSums, sums}};
}

}  // namespace slipstream::testing
