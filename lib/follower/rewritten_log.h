// A log file as generations read it, where it differs from the one that the leader wrote.
#pragma once

#include <cstdint>
#include <memory>

#include "lib/core/log_record_writer.h"
#include "lib/follower/image_file.h"
#include "rocksdb/slice.h"

namespace slipstream {

// Costs nothing until the first record that differs; from there on it is a file of its own.
// Threads: thread-compatible; the bytes are read as those of an ImageFile.
class RewrittenLog {
 public:
  // The next record of `original`, which has ended at `begin` before it: `record` stands for it.
  // changed: whether `record` is another one.
  void Add(const ImageFile& original, uint64_t begin, rocksdb::Slice record, bool changed);

  // The whole file anew, whatever it was before: the records follow by Add, from the first one on.
  void Restart();

  // The payload of a fragment with timestamp sizes (see LogFragmentType), behind which the next
  // record of `original` stands.
  void AddTimestampSizes(rocksdb::Slice sizes);

  // Null while there is no difference.
  const std::shared_ptr<ImageFile>& data() const { return data_; }
  uint64_t bytes() const { return data_ == nullptr ? 0 : data_->size(); }

 private:
  std::shared_ptr<ImageFile> data_;
  LogRecordWriter writer_;
};

}  // namespace slipstream
