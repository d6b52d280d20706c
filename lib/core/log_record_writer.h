// Writes records in RocksDB's log format, byte for byte as RocksDB does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "lib/core/log_format.h"
#include "rocksdb/slice.h"

namespace slipstream {

// Threads: thread-compatible. One thread at a time.
class LogRecordWriter {
 public:
  // initial_offset: byte offset in the file at which the first record is to be appended. It must be
  //   0 or a record boundary of that file.
  explicit LogRecordWriter(uint64_t initial_offset = 0) : offset_(initial_offset) {}

  // Appends to `*out` the bytes that append `record` to the file. `*out` may hold anything before,
  // and is not cleared. Any record can be written, an empty one too; there is no error.
  void AddRecord(rocksdb::Slice record, std::string* out);

  // The same for the payload of a fragment of the type kUserDefinedTimestampSize, which stands
  // before a record.
  // REQUIRES: it fits in a block, as one that a LogRecordReader found does.
  void AddTimestampSizes(rocksdb::Slice sizes, std::string* out);

  // The file offset, in bytes, behind everything written so far: a record boundary.
  [[nodiscard]] uint64_t offset() const { return offset_; }

 private:
  [[nodiscard]] size_t LeftInBlock() const;
  void PadBlock(std::string* out);
  void AddFragment(LogFragmentType type, rocksdb::Slice payload, std::string* out);

  uint64_t offset_;
};

}  // namespace slipstream
