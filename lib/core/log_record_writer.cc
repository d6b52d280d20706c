#include "lib/core/log_record_writer.h"

#include <algorithm>

#include "lib/core/coding.h"
#include "lib/core/crc32c.h"

namespace slipstream {
namespace {

LogFragmentType TypeOf(bool first, bool last) {
  if (first) return last ? LogFragmentType::kFull : LogFragmentType::kFirst;
  return last ? LogFragmentType::kLast : LogFragmentType::kMiddle;
}

}  // namespace

size_t LogRecordWriter::LeftInBlock() const { return kLogBlockBytes - offset_ % kLogBlockBytes; }

void LogRecordWriter::PadBlock(std::string* out) {
  const size_t left = LeftInBlock();
  out->append(left, '\0');
  offset_ += left;
}

void LogRecordWriter::AddFragment(LogFragmentType type, rocksdb::Slice payload, std::string* out) {
  char header[kLogHeaderBytes];
  EncodeFixed16(header + 4, static_cast<uint16_t>(payload.size()));
  header[6] = static_cast<char>(type);
  const uint32_t crc = Crc32cExtend(Crc32c(header + 6, 1), payload.data(), payload.size());
  EncodeFixed32(header, Crc32cMask(crc));
  out->append(header, kLogHeaderBytes);
  out->append(payload.data(), payload.size());
  offset_ += kLogHeaderBytes + payload.size();
}

void LogRecordWriter::AddRecord(rocksdb::Slice record, std::string* out) {
  bool first = true;
  // An empty record still takes one fragment.
  do {
    if (LeftInBlock() < kLogHeaderBytes) PadBlock(out);
    const size_t length = std::min(record.size(), LeftInBlock() - kLogHeaderBytes);
    AddFragment(TypeOf(first, length == record.size()), rocksdb::Slice(record.data(), length), out);
    record.remove_prefix(length);
    first = false;
  } while (!record.empty());
}

void LogRecordWriter::AddTimestampSizes(rocksdb::Slice sizes, std::string* out) {
  // It is never torn, so more than a header's size may have to be left empty.
  if (LeftInBlock() < kLogHeaderBytes + sizes.size()) PadBlock(out);
  AddFragment(LogFragmentType::kUserDefinedTimestampSize, sizes, out);
}

}  // namespace slipstream
