#include "lib/core/frame.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "lib/core/coding.h"
#include "lib/core/crc32c.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

std::string Encoded(const Frame& frame) {
  std::string bytes;
  AppendFrame(frame, &bytes);
  return bytes;
}

// With a header field changed and the checksum made right again.
std::string Altered(std::string bytes, size_t at, char value) {
  bytes[at] = value;
  EncodeFixed32(bytes.data(), Crc32cMask(Crc32c(bytes.data() + 4, bytes.size() - 4)));
  return bytes;
}

void RequireRefused(const std::string& bytes) {
  Slice input(bytes);
  Frame frame{FrameType::kCurrentSet, FrameFile::kManifest, 42, 43, "as before"};
  const Status s = DecodeFrame(&input, &frame);
  INFO(s.ToString());
  REQUIRE(s.IsCorruption());
  REQUIRE(input.data() == bytes.data());
  REQUIRE(input.size() == bytes.size());
  REQUIRE(frame.number == 42);
}

TEST_CASE("frame: what is encoded is decoded", "[unit]") {
  const std::string large(kMaxFramePayload, 'p');
  const std::string eight(8, '\0');
  const std::vector<Frame> frames = {
      {FrameType::kLogAppend, FrameFile::kWal, 1, 0, "bytes"},
      {FrameType::kLogAppend, FrameFile::kManifest, UINT64_MAX, UINT64_MAX, large},
      {FrameType::kLogRemoved, FrameFile::kWal, 7, 0, Slice()},
      {FrameType::kCurrentSet, FrameFile::kManifest, 1 << 20, 0, Slice()},
      {FrameType::kObjectAdded, FrameFile::kTable, 9, 1ull << 40, eight},
      {FrameType::kObjectRemoved, FrameFile::kBlob, 3, 0, Slice()},
      {FrameType::kColumnFamily, FrameFile::kManifest, 0, 0, "names"},
  };
  std::string bytes;
  for (const Frame& frame : frames) {
    const size_t before = bytes.size();
    AppendFrame(frame, &bytes);
    REQUIRE(bytes.size() - before == frame.encoded_size());
  }
  Slice input(bytes);
  for (const Frame& expected : frames) {
    Frame frame;
    REQUIRE(DecodeFrame(&input, &frame).ok());
    REQUIRE(frame.type == expected.type);
    REQUIRE(frame.file == expected.file);
    REQUIRE(frame.number == expected.number);
    REQUIRE(frame.argument == expected.argument);
    REQUIRE(frame.payload.size() == expected.payload.size());
    REQUIRE(frame.payload == expected.payload);
  }
  REQUIRE(input.empty());
}

TEST_CASE("frame: the layout is what the header says", "[unit]") {
  const std::string bytes =
      Encoded({FrameType::kLogAppend, FrameFile::kManifest, 0x0102030405060708, 0x1112, "xyz"});
  REQUIRE(bytes.size() == 31);
  REQUIRE(DecodeFixed32(bytes.data()) == Crc32cMask(Crc32c(bytes.data() + 4, 27)));
  REQUIRE(bytes.substr(4) == std::string("\x03\0\0\0\x01\x02\0\0"
                                         "\x08\x07\x06\x05\x04\x03\x02\x01"
                                         "\x12\x11\0\0\0\0\0\0xyz",
                                         27));
}

TEST_CASE("frame: every flipped bit is refused", "[unit]") {
  const std::string bytes = Encoded({FrameType::kLogAppend, FrameFile::kWal, 12, 34, "payload"});
  // What follows must not be taken for a longer payload either.
  const std::string more =
      bytes + Encoded({FrameType::kLogRemoved, FrameFile::kWal, 1, 0, ""}) + std::string(300, 'x');
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    INFO("bit " << bit);
    std::string damaged = bytes;
    damaged[bit / 8] ^= static_cast<char>(1 << bit % 8);
    RequireRefused(damaged);
    damaged = more;
    damaged[bit / 8] ^= static_cast<char>(1 << bit % 8);
    RequireRefused(damaged);
  }
}

TEST_CASE("frame: a part of one is refused at every length", "[unit]") {
  const std::string bytes =
      Encoded({FrameType::kLogAppend, FrameFile::kWal, 12, 34, std::string(100, 'p')});
  for (size_t size = 0; size < bytes.size(); ++size) RequireRefused(bytes.substr(0, size));
}

TEST_CASE("frame: an oversized payload is refused before it is read", "[unit]") {
  std::string bytes(kFrameHeaderSize + kMaxFramePayload + 1, 'x');
  bytes[8] = 1;
  bytes[9] = 1;
  EncodeFixed32(bytes.data() + 4, kMaxFramePayload + 1);
  EncodeFixed32(bytes.data(), Crc32cMask(Crc32c(bytes.data() + 4, bytes.size() - 4)));
  RequireRefused(bytes);
  EncodeFixed32(bytes.data() + 4, UINT32_MAX);
  RequireRefused(bytes);
}

TEST_CASE("frame: unknown types and files are refused", "[unit]") {
  const std::string bytes = Encoded({FrameType::kLogAppend, FrameFile::kWal, 12, 34, "payload"});
  for (const int type : {0, 7, 8, 128, 255})
    RequireRefused(Altered(bytes, 8, static_cast<char>(type)));
  for (const int file : {0, 5, 6, 128, 255})
    RequireRefused(Altered(bytes, 9, static_cast<char>(file)));
  Slice input;
  Frame frame;
  const std::string good = Altered(bytes, 8, 6);
  input = good;
  REQUIRE(DecodeFrame(&input, &frame).ok());
  REQUIRE(frame.type == FrameType::kColumnFamily);
}

TEST_CASE("frame: bytes that are zero hold no frame", "[unit]") {
  RequireRefused(std::string(kFrameHeaderSize, '\0'));
  RequireRefused(std::string(4096, '\0'));
}

}  // namespace
}  // namespace slipstream
