#include "lib/follower/rewritten_log.h"

#include <algorithm>
#include <string>

namespace slipstream {

void RewrittenLog::Add(const ImageFile& original, uint64_t begin, rocksdb::Slice record,
                       bool changed) {
  if (data_ == nullptr) {
    if (!changed) return;
    // Up to here they are the same.
    data_ = std::make_shared<ImageFile>();
    std::string piece(std::min<uint64_t>(begin, 256 << 10), '\0');
    for (uint64_t offset = 0; offset < begin;) {
      const size_t n =
          original.Read(offset, std::min<uint64_t>(piece.size(), begin - offset), piece.data());
      data_->Append(rocksdb::Slice(piece.data(), n));
      offset += n;
    }
    writer_ = LogRecordWriter(begin);
  }
  std::string bytes;
  writer_.AddRecord(record, &bytes);
  data_->Append(bytes);
}

void RewrittenLog::Restart() {
  // Generations may still read what it was.
  data_ = std::make_shared<ImageFile>();
  writer_ = LogRecordWriter();
}

void RewrittenLog::AddTimestampSizes(rocksdb::Slice sizes) {
  if (data_ == nullptr) return;
  std::string bytes;
  writer_.AddTimestampSizes(sizes, &bytes);
  data_->Append(bytes);
}

}  // namespace slipstream
