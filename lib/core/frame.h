// Frames: the units of the replication log, in the form in which they lie in memory and travel.
//
//   offset  size
//        0     4  crc32c of everything behind it (masked, as in RocksDB's log format)
//        4     4  payload length, bytes
//        8     1  type
//        9     1  kind of file
//       10     2  zero
//       12     8  file number
//       20     8  argument; see FrameType
//       28     n  payload
//
// All numbers are little-endian. A frame is at most kMaxFramePayload + kFrameHeaderSize bytes: a
// longer append is cut into several frames.
#pragma once

#include <cstdint>
#include <string>

#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace slipstream {

inline constexpr size_t kFrameHeaderSize = 28;
inline constexpr size_t kMaxFramePayload = 256 << 10;

enum class FrameType : uint8_t {
  kUnspecified = 0,
  kLogAppend = 1,      // number: log file; argument: offset in it; payload: the bytes
  kLogRemoved = 2,     // number: log file
  kCurrentSet = 3,     // number: the MANIFEST that CURRENT names from here on
  kObjectAdded = 4,    // number: SST or blob file; argument: its size; payload: fixed64 epoch
  kObjectRemoved = 5,  // number: SST or blob file
  kColumnFamily = 6,   // file: MANIFEST; payload: a ColumnFamilyInfo, of one that is new or changed
};

enum class FrameFile : uint8_t {
  kUnspecified = 0,
  kWal = 1,
  kManifest = 2,
  kTable = 3,
  kBlob = 4,
};

struct Frame {
  FrameType type = FrameType::kUnspecified;
  FrameFile file = FrameFile::kUnspecified;
  uint64_t number = 0;
  uint64_t argument = 0;
  rocksdb::Slice payload;  // points into what was decoded

  size_t encoded_size() const { return kFrameHeaderSize + payload.size(); }
};

// Writes frame.encoded_size() bytes. REQUIRES: payload.size() <= kMaxFramePayload.
void EncodeFrame(const Frame& frame, char* out);
void AppendFrame(const Frame& frame, std::string* out);

// What the first frame says of itself; nothing is checked.
// REQUIRES: input.size() >= kFrameHeaderSize.
struct FrameHead {
  FrameType type;
  FrameFile file;
  size_t encoded_size;
};
FrameHead PeekFrame(rocksdb::Slice input);

// Takes the first frame off `*input`.
// Returns Corruption, naming what was found and expected, if `*input` does not begin with a whole
// and intact frame; `*input` is then unchanged.
[[nodiscard]] rocksdb::Status DecodeFrame(rocksdb::Slice* input, Frame* frame);

}  // namespace slipstream
