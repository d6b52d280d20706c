#include "lib/core/batch_gatherer.h"

#include <utility>

#include "lib/core/coding.h"

namespace slipstream {

rocksdb::Status DecodeBatchHeader(rocksdb::Slice record, BatchHeader* header) {
  if (record.size() < kBatchHeaderSize) {
    return rocksdb::Status::Corruption("WAL record of " + std::to_string(record.size()) +
                                       " bytes, expected at least " +
                                       std::to_string(kBatchHeaderSize));
  }
  header->sequence = DecodeFixed64(record.data());
  header->count = DecodeFixed32(record.data() + 8);
  return rocksdb::Status::OK();
}

BatchGatherer::Result BatchGatherer::Add(const BatchHeader& header, rocksdb::Slice record) {
  if (header.sequence > expected_) return Result::kGap;
  if (header.count == 0) return Result::kNothing;
  if (header.sequence < expected_) return Result::kRepeat;
  if (rep_.empty()) {
    rep_.assign(record.data(), record.size());
  } else {
    rep_.append(record.data() + kBatchHeaderSize, record.size() - kBatchHeaderSize);
  }
  count_ += header.count;
  expected_ += header.count;
  ++records_;
  return Result::kAdded;
}

std::string BatchGatherer::Take() {
  if (!rep_.empty()) EncodeFixed32(rep_.data() + 8, count_);
  count_ = 0;
  records_ = 0;
  return std::exchange(rep_, std::string());
}

}  // namespace slipstream
