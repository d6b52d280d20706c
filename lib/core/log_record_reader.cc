#include "lib/core/log_record_reader.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <utility>

#include "lib/core/coding.h"
#include "lib/core/crc32c.h"
#include "lib/core/rocksdb_release.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

constexpr uint8_t kMaxRecordType = static_cast<uint8_t>(LogFragmentType::kLast);

// A buffer that a huge record has grown is given back; smaller ones are kept for the next record.
constexpr size_t kKeptBufferBytes = size_t{256} << 10;

// The checksum of a type byte alone, with which every fragment's checksum begins. Those of the
// types up to kLast are needed at each fragment, so they are computed by the compiler, bit by bit.
constexpr uint32_t CrcOfTypeByte(uint8_t type) {
  uint32_t state = 0xffffffffu ^ type;
  for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1) * 0x82f63b78u);
  return ~state;
}

constexpr std::array<uint32_t, kMaxRecordType + 1> kTypeCrcs = {
    CrcOfTypeByte(0), CrcOfTypeByte(1), CrcOfTypeByte(2), CrcOfTypeByte(3), CrcOfTypeByte(4)};

uint32_t TypeCrc(LogFragmentType type) {
  const auto number = static_cast<uint8_t>(type);
  return number <= kMaxRecordType ? kTypeCrcs[number] : CrcOfTypeByte(number);
}

// A fragment that is whole by itself, stands between records and is not one: it says what RocksDB
// needs to read the records behind it.
bool IsAside(LogFragmentType type) {
  return SLIPSTREAM_ROCKSDB_9 != 0 && type == LogFragmentType::kUserDefinedTimestampSize;
}

bool StartsRecord(LogFragmentType type) {
  return type == LogFragmentType::kFull || type == LogFragmentType::kFirst;
}

std::string Hex(uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof(text), "0x%08x", value);
  return text;
}

// The feature behind a type that is refused by name, or null for an unknown type.
const char* RefusedFeature(LogFragmentType type) {
  switch (type) {
    case LogFragmentType::kRecyclableFull:
    case LogFragmentType::kRecyclableFirst:
    case LogFragmentType::kRecyclableMiddle:
    case LogFragmentType::kRecyclableLast:
      return "a recycled log (recycle_log_file_num)";
    case LogFragmentType::kSetCompression:
      return "WAL compression (wal_compression)";
    case LogFragmentType::kUserDefinedTimestampSize:
    case LogFragmentType::kRecyclableUserDefinedTimestampSize:
      return "user-defined timestamp sizes";
    default:
      return nullptr;
  }
}

}  // namespace

LogRecordReader::LogRecordReader(std::string file_name, uint64_t initial_offset)
    : file_name_(std::move(file_name)),
      offset_(initial_offset),
      record_boundary_(initial_offset),
      fragment_offset_(initial_offset) {}

Status LogRecordReader::Feed(Slice bytes, const Sink& sink) {
  return Feed(bytes, sink, [](Slice, uint64_t) { return Status::OK(); });
}

Status LogRecordReader::Feed(Slice bytes, const Sink& sink, const Sink& asides) {
  if (error_.ok()) error_ = FeedAll(&bytes, {sink, asides});
  return error_;
}

Status LogRecordReader::FeedAll(Slice* bytes, const Sinks& sinks) {
  Status s;
  while (s.ok() && !bytes->empty()) {
    if (in_fragment_) {
      s = ContinueFragment(bytes, sinks);
      continue;
    }
    if (skip_ == 0 && header_size_ == 0 && LeftInBlock() < kLogHeaderBytes) skip_ = LeftInBlock();
    if (skip_ > 0) {
      const size_t n = std::min(skip_, bytes->size());
      bytes->remove_prefix(n);
      offset_ += n;
      skip_ -= n;
      continue;
    }
    Header header;
    if (TakeHeader(bytes, &header)) s = StartFragment(header, bytes, sinks);
  }
  return s;
}

// Takes a header off the bytes. Returns false when its end has not arrived yet.
bool LogRecordReader::TakeHeader(Slice* bytes, Header* header) {
  const char* raw = bytes->data();
  size_t taken = kLogHeaderBytes;
  if (header_size_ == 0) fragment_offset_ = offset_;
  if (header_size_ > 0 || bytes->size() < kLogHeaderBytes) {
    taken = std::min(kLogHeaderBytes - header_size_, bytes->size());
    std::memcpy(header_bytes_ + header_size_, bytes->data(), taken);
    header_size_ += taken;
    raw = header_bytes_;
  } else {
    header_size_ = kLogHeaderBytes;
  }
  bytes->remove_prefix(taken);
  offset_ += taken;
  if (header_size_ < kLogHeaderBytes) return false;
  header_size_ = 0;
  header->crc = Crc32cUnmask(DecodeFixed32(raw));
  header->length = DecodeFixed16(raw + 4);
  header->type = static_cast<LogFragmentType>(static_cast<unsigned char>(raw[6]));
  return true;
}

Status LogRecordReader::StartFragment(const Header& header, Slice* bytes, const Sinks& sinks) {
  if (header.type == LogFragmentType::kZero && header.length == 0) {
    // A preallocated region: RocksDB's reader goes on with the next block, and so must we. It takes
    // this in the middle of a record for damage.
    if (in_record_) return Damaged("a zero-filled header, expected the next fragment of a record");
    // Nothing is left to skip when the header is the last thing in its block.
    skip_ = LeftInBlock() % kLogBlockBytes;
    return Status::OK();
  }
  Status s = CheckHeader(header);
  if (!s.ok()) return s;
  s = CheckOrder(header.type);
  if (!s.ok()) return s;

  if (bytes->size() >= header.length) return TakeWholeFragment(header, bytes, sinks);

  if (StartsRecord(header.type) || IsAside(header.type)) record_.clear();
  in_fragment_ = true;
  fragment_ = header;
  payload_missing_ = header.length;
  running_crc_ = TypeCrc(header.type);
  return Status::OK();
}

// Takes a payload that is contiguous in the bytes.
Status LogRecordReader::TakeWholeFragment(const Header& header, Slice* bytes, const Sinks& sinks) {
  const Slice payload(bytes->data(), header.length);
  const uint32_t crc = Crc32cExtend(TypeCrc(header.type), payload.data(), payload.size());
  if (crc != header.crc) return ChecksumMismatch(header, crc);
  bytes->remove_prefix(header.length);
  offset_ += header.length;
  if (header.type == LogFragmentType::kFull) {
    in_record_ = false;
    return Deliver(payload, sinks.records);
  }
  if (header.type == LogFragmentType::kFirst || IsAside(header.type)) record_.clear();
  record_.append(payload.data(), payload.size());
  return EndBufferedFragment(header.type, sinks);
}

// Takes more of a payload that arrives in pieces.
Status LogRecordReader::ContinueFragment(Slice* bytes, const Sinks& sinks) {
  if (payload_missing_ == fragment_.length && bytes->size() >= payload_missing_) {
    // The cut was between the header and the payload, as when they are appended one by one.
    in_fragment_ = false;
    return TakeWholeFragment(fragment_, bytes, sinks);
  }
  const size_t n = std::min(payload_missing_, bytes->size());
  running_crc_ = Crc32cExtend(running_crc_, bytes->data(), n);
  record_.append(bytes->data(), n);
  bytes->remove_prefix(n);
  offset_ += n;
  payload_missing_ -= n;
  if (payload_missing_ > 0) return Status::OK();
  in_fragment_ = false;
  if (running_crc_ != fragment_.crc) return ChecksumMismatch(fragment_, running_crc_);
  return EndBufferedFragment(fragment_.type, sinks);
}

// A fragment that stands at the end of record_ is complete and its checksum is right.
Status LogRecordReader::EndBufferedFragment(LogFragmentType type, const Sinks& sinks) {
  if (type == LogFragmentType::kFirst || type == LogFragmentType::kMiddle) {
    in_record_ = true;
    return Status::OK();
  }
  in_record_ = false;
  Status s = Deliver(Slice(record_), IsAside(type) ? sinks.asides : sinks.records);
  if (record_.capacity() > kKeptBufferBytes) {
    std::string().swap(record_);
  } else {
    record_.clear();
  }
  return s;
}

Status LogRecordReader::Deliver(Slice payload, const Sink& sink) {
  Status s = sink(payload, offset_);
  if (s.ok()) record_boundary_ = offset_;
  return s;
}

Status LogRecordReader::CheckHeader(const Header& header) const {
  const auto type = static_cast<unsigned>(header.type);
  if (type == 0 || (type > kMaxRecordType && !IsAside(header.type))) {
    if (const char* feature = RefusedFeature(header.type); feature != nullptr) {
      return Status::NotSupported("log " + file_name_, "fragment at offset " +
                                                           std::to_string(fragment_offset_) +
                                                           " has type " + std::to_string(type) +
                                                           " of " + feature + ", expected 1 to 4");
    }
    return Damaged("type " + std::to_string(type) + ", expected 1 to 4");
  }
  const size_t room = kLogBlockBytes - fragment_offset_ % kLogBlockBytes - kLogHeaderBytes;
  if (header.length > room) {
    return Damaged("length " + std::to_string(header.length) + ", expected at most " +
                   std::to_string(room) + " up to the block's end");
  }
  return Status::OK();
}

Status LogRecordReader::CheckOrder(LogFragmentType type) const {
  const bool starts = StartsRecord(type) || IsAside(type);
  if (starts == !in_record_) return Status::OK();
  // Old writers could leave an empty kFirst at a block's end and start over in the next block.
  if (starts && record_.empty()) return Status::OK();
  return Damaged("type " + std::to_string(static_cast<unsigned>(type)) + ", expected " +
                 (in_record_ ? "3 or 4 inside a record" : "1 or 2 at a record's start"));
}

Status LogRecordReader::Damaged(const std::string& what) const {
  return Status::Corruption(
      "log " + file_name_,
      "fragment at offset " + std::to_string(fragment_offset_) + " has " + what);
}

Status LogRecordReader::ChecksumMismatch(const Header& header, uint32_t found) const {
  return Damaged("a payload of " + std::to_string(header.length) + " bytes with crc32c " +
                 Hex(found) + ", expected " + Hex(header.crc));
}

}  // namespace slipstream
