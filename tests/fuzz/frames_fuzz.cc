// DecodeFrame: what it takes encodes to the same bytes; what it refuses it leaves alone.
#include <algorithm>
#include <string>

#include "lib/core/coding.h"
#include "lib/core/crc32c.h"
#include "lib/core/frame.h"
#include "tests/fuzz/fuzz.h"

using namespace slipstream;

namespace {

// Makes the checksum of each frame right for as long as the lengths allow it.
void RepairChecksums(std::string* bytes) {
  for (size_t at = 0; bytes->size() - at >= kFrameHeaderSize;) {
    char* p = bytes->data() + at;
    const size_t room = bytes->size() - at - kFrameHeaderSize;
    // A length of four random bytes would hardly ever fit.
    const uint32_t length = static_cast<uint32_t>(std::min<size_t>(DecodeFixed16(p + 4), room));
    EncodeFixed32(p + 4, length);
    const size_t covered = kFrameHeaderSize - 4 + length;
    EncodeFixed32(p, Crc32cMask(Crc32c(p + 4, covered)));
    at += kFrameHeaderSize + length;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 1) RepairChecksums(&bytes);
  rocksdb::Slice input(bytes);
  for (;;) {
    const rocksdb::Slice before = input;
    Frame frame;
    const rocksdb::Status s = DecodeFrame(&input, &frame);
    if (!s.ok()) {
      FUZZ_REQUIRE(s.IsCorruption());
      FUZZ_REQUIRE(input.data() == before.data() && input.size() == before.size());
      return 0;
    }
    FUZZ_REQUIRE(frame.payload.size() <= kMaxFramePayload);
    std::string again;
    AppendFrame(frame, &again);
    FUZZ_REQUIRE(again.size() == frame.encoded_size());
    FUZZ_REQUIRE(input.size() + again.size() == before.size());
    // Two bytes are reserved, and are not read.
    std::string taken(before.data(), again.size());
    if (taken[10] == 0 && taken[11] == 0) FUZZ_REQUIRE(taken == again);
  }
}
