#include "lib/core/log_record_writer.h"

#include <algorithm>

#include "lib/core/coding.h"
#include "lib/core/crc32c.h"
#include "lib/core/log_format.h"

namespace slipstream {
namespace {

LogFragmentType TypeOf(bool first, bool last) {
  if (first) return last ? LogFragmentType::kFull : LogFragmentType::kFirst;
  return last ? LogFragmentType::kLast : LogFragmentType::kMiddle;
}

}  // namespace

void LogRecordWriter::AddRecord(rocksdb::Slice record, std::string* out) {
  bool first = true;
  // An empty record still takes one fragment.
  do {
    size_t left_in_block = kLogBlockBytes - offset_ % kLogBlockBytes;
    if (left_in_block < kLogHeaderBytes) {
      out->append(left_in_block, '\0');
      offset_ += left_in_block;
      left_in_block = kLogBlockBytes;
    }
    const size_t length = std::min(record.size(), left_in_block - kLogHeaderBytes);
    const LogFragmentType type = TypeOf(first, length == record.size());
    char header[kLogHeaderBytes];
    EncodeFixed16(header + 4, static_cast<uint16_t>(length));
    header[6] = static_cast<char>(type);
    const uint32_t crc = Crc32cExtend(Crc32c(header + 6, 1), record.data(), length);
    EncodeFixed32(header, Crc32cMask(crc));
    out->append(header, kLogHeaderBytes);
    out->append(record.data(), length);
    offset_ += kLogHeaderBytes + length;
    record.remove_prefix(length);
    first = false;
  } while (!record.empty());
}

}  // namespace slipstream
