#include "lib/core/frame.h"

#include <cstring>

#include "lib/core/coding.h"
#include "lib/core/crc32c.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

Status Bad(const char* what, uint64_t found, const std::string& expected) {
  return Status::Corruption("frame: " + std::string(what) + " is " + std::to_string(found) +
                            ", expected " + expected);
}

}  // namespace

void EncodeFrame(const Frame& frame, char* out) {
  EncodeFixed32(out + 4, static_cast<uint32_t>(frame.payload.size()));
  out[8] = static_cast<char>(frame.type);
  out[9] = static_cast<char>(frame.file);
  out[10] = 0;
  out[11] = 0;
  EncodeFixed64(out + 12, frame.number);
  EncodeFixed64(out + 20, frame.argument);
  if (!frame.payload.empty()) {
    memcpy(out + kFrameHeaderSize, frame.payload.data(), frame.payload.size());
  }
  EncodeFixed32(out, Crc32cMask(Crc32c(out + 4, kFrameHeaderSize - 4 + frame.payload.size())));
}

void AppendFrame(const Frame& frame, std::string* out) {
  const size_t before = out->size();
  out->resize(before + frame.encoded_size());
  EncodeFrame(frame, out->data() + before);
}

FrameHead PeekFrame(Slice input) {
  return {static_cast<FrameType>(input[8]), static_cast<FrameFile>(input[9]),
          kFrameHeaderSize + DecodeFixed32(input.data() + 4)};
}

Status DecodeFrame(Slice* input, Frame* frame) {
  if (input->size() < kFrameHeaderSize) {
    return Bad("remaining length", input->size(),
               "at least the header's " + std::to_string(kFrameHeaderSize));
  }
  const char* p = input->data();
  const uint32_t length = DecodeFixed32(p + 4);
  if (length > kMaxFramePayload) {
    return Bad("payload length", length, "at most " + std::to_string(kMaxFramePayload));
  }
  if (input->size() - kFrameHeaderSize < length) {
    return Bad(
        "payload length", length,
        "at most the " + std::to_string(input->size() - kFrameHeaderSize) + " bytes that follow");
  }
  const uint32_t stored = Crc32cUnmask(DecodeFixed32(p));
  const uint32_t actual = Crc32c(p + 4, kFrameHeaderSize - 4 + length);
  if (stored != actual) return Bad("checksum", stored, std::to_string(actual));
  const uint8_t type = static_cast<uint8_t>(p[8]);
  const uint8_t file = static_cast<uint8_t>(p[9]);
  if (type < static_cast<uint8_t>(FrameType::kLogAppend) ||
      type > static_cast<uint8_t>(FrameType::kColumnFamily)) {
    return Bad("type", type, "1 to 6");
  }
  if (file < static_cast<uint8_t>(FrameFile::kWal) ||
      file > static_cast<uint8_t>(FrameFile::kBlob)) {
    return Bad("kind of file", file, "1 to 4");
  }
  frame->type = static_cast<FrameType>(type);
  frame->file = static_cast<FrameFile>(file);
  frame->number = DecodeFixed64(p + 12);
  frame->argument = DecodeFixed64(p + 20);
  frame->payload = Slice(p + kFrameHeaderSize, length);
  input->remove_prefix(kFrameHeaderSize + length);
  return Status::OK();
}

}  // namespace slipstream
