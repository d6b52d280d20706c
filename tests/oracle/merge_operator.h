// The merge operator of the oracle's databases: exact, so that a write that is applied twice, or
// not at all, or out of order, shows in the value.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "rocksdb/merge_operator.h"
#include "rocksdb/slice.h"

namespace slipstream::oracle {

// Keys that begin with 'c' are counters: 8 bytes each, added up. All others are lists: operands are
// appended with a comma between them.
std::shared_ptr<rocksdb::MergeOperator> NewOracleMergeOperator();

std::string EncodeCount(uint64_t count);
// Returns false if `value` is not a count.
bool DecodeCount(const rocksdb::Slice& value, uint64_t* count);

}  // namespace slipstream::oracle
