// Joins consecutive WAL records into one write batch, and checks that they are consecutive.
//
// A WAL record is a write batch: 8 bytes of sequence number, 4 bytes of count, entries.
// Pure. Threads: thread-compatible.
#pragma once

#include <cstdint>
#include <string>

#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace slipstream {

inline constexpr size_t kBatchHeaderSize = 12;

struct BatchHeader {
  uint64_t sequence = 0;  // of the first entry
  uint32_t count = 0;
};

// Returns Corruption if the record is shorter than a header.
[[nodiscard]] rocksdb::Status DecodeBatchHeader(rocksdb::Slice record, BatchHeader* header);

class BatchGatherer {
 public:
  enum class Result {
    kAdded,
    kNothing,  // the record consumes no sequence number
    kGap,      // the record begins above the expected sequence number; it was not added
    kRepeat,   // it begins below; it was not added
  };

  // The sequence number that the next record is expected to begin with.
  void Expect(uint64_t sequence) { expected_ = sequence; }
  uint64_t expected() const { return expected_; }

  Result Add(const BatchHeader& header, rocksdb::Slice record);

  bool empty() const { return records_ == 0; }
  size_t bytes() const { return rep_.size(); }
  uint32_t count() const { return count_; }
  uint64_t records() const { return records_; }

  // The joined batch; the gatherer is empty after.
  std::string Take();

 private:
  uint64_t expected_ = 0;
  std::string rep_;
  uint32_t count_ = 0;
  uint64_t records_ = 0;
};

}  // namespace slipstream
