// The image: any sequence of frames is taken or refused, and what was taken adds up.
#include <fuzzer/FuzzedDataProvider.h>

#include <map>
#include <memory>
#include <string>

#include "lib/core/coding.h"
#include "lib/core/frame.h"
#include "lib/core/log_record_writer.h"
#include "lib/follower/image.h"
#include "tests/fuzz/fuzz.h"

using namespace slipstream;

namespace {

// Bytes for the end of a log file: raw, or a record that stands where the file ends.
std::string Bytes(FuzzedDataProvider* fuzz, uint64_t offset) {
  std::string payload = fuzz->ConsumeRandomLengthString(200);
  const int kind = fuzz->ConsumeIntegralInRange(0, 3);
  if (kind == 0) return payload;
  if (kind == 1) {
    // A WAL record: sequence, count, entries.
    std::string record;
    PutFixed64(&record, fuzz->ConsumeIntegralInRange<uint64_t>(0, 20));
    PutFixed32(&record, fuzz->ConsumeIntegralInRange<uint32_t>(0, 3));
    payload = record + payload;
  }
  std::string bytes;
  LogRecordWriter(offset).AddRecord(payload, &bytes);
  // A torn end, which the next frame may or may not go on with.
  if (kind == 3) bytes.resize(fuzz->ConsumeIntegralInRange<size_t>(0, bytes.size()));
  return bytes;
}

Frame NextFrame(FuzzedDataProvider* fuzz, const Image& image, std::string* payload) {
  Frame frame;
  frame.type = fuzz->ConsumeBool()
                   ? FrameType::kLogAppend
                   : static_cast<FrameType>(fuzz->ConsumeIntegralInRange<int>(1, 5));
  frame.file = static_cast<FrameFile>(fuzz->ConsumeIntegralInRange<int>(1, 4));
  frame.number = fuzz->ConsumeIntegralInRange<uint64_t>(0, 4);
  uint64_t size = 0;
  for (const LogFileSize& file : image.Sizes()) {
    if (file.id == LogFileId{frame.file, frame.number}) size = file.size;
  }
  frame.argument = size;
  if (frame.type == FrameType::kLogAppend) {
    *payload = Bytes(fuzz, size);
  } else {
    *payload = fuzz->ConsumeRandomLengthString(8);
  }
  if (fuzz->ConsumeIntegralInRange(0, 9) == 0) frame.argument = fuzz->ConsumeIntegral<uint64_t>();
  frame.payload = *payload;
  return frame;
}

ImageBegin Begin(FuzzedDataProvider* fuzz) {
  ImageBegin begin;
  begin.cut = Position{1, fuzz->ConsumeIntegralInRange<uint64_t>(0, 1000), 0};
  begin.current_manifest = fuzz->ConsumeIntegralInRange<uint64_t>(0, 4);
  for (int n = fuzz->ConsumeIntegralInRange(0, 4); n > 0; --n) {
    begin.files.push_back({{static_cast<FrameFile>(fuzz->ConsumeIntegralInRange<int>(0, 2)),
                            fuzz->ConsumeIntegralInRange<uint64_t>(0, 4)},
                           fuzz->ConsumeIntegralInRange<uint64_t>(0, 300)});
  }
  return begin;
}

// rewritten: WALs are shown without what belongs to transactions in two phases.
void RequireAddsUp(const Image& image, bool rewritten) {
  uint64_t bytes = 0;
  std::map<LogFileId, uint64_t> sizes;
  for (const LogFileSize& file : image.Sizes()) {
    sizes[file.id] = file.size;
    bytes += file.size;
  }
  FUZZ_REQUIRE(rewritten ? image.bytes() >= bytes : image.bytes() == bytes);
  const ImageCut cut = image.Cut();
  for (const ImageCut::File& file : cut.files) {
    if (!rewritten || file.id.file != FrameFile::kWal) {
      FUZZ_REQUIRE(file.data->size() == sizes[file.id]);
    }
    FUZZ_REQUIRE(file.size <= file.data->size());
    std::string read(file.size, '\0');
    FUZZ_REQUIRE(file.data->Read(0, file.size, read.data()) == file.size);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider fuzz(data, size);
  Welcome welcome;
  welcome.epoch = 1;
  welcome.newest_recovered_wal = fuzz.ConsumeIntegralInRange<uint64_t>(0, 3);
  welcome.recovered_sequence = fuzz.ConsumeIntegralInRange<uint64_t>(0, 20);
  welcome.two_phase_commit = fuzz.ConsumeBool();
  auto image = std::make_unique<Image>(Begin(&fuzz), welcome);
  while (fuzz.remaining_bytes() > 0) {
    const int step = fuzz.ConsumeIntegralInRange(0, 19);
    if (step == 0) {
      if (!image->Complete().ok()) return 0;
    } else if (step == 1) {
      image = Image::Completing(std::move(image), Begin(&fuzz));
      if (image == nullptr) return 0;
    } else {
      std::string payload;
      std::string encoded;
      AppendFrame(NextFrame(&fuzz, *image, &payload), &encoded);
      rocksdb::Slice rest(encoded);
      Frame frame;
      FUZZ_REQUIRE(DecodeFrame(&rest, &frame).ok());
      image->set_offset(image->offset() + encoded.size());
      Image::Effect effect;
      const rocksdb::Status s = image->Apply(
          frame, [](rocksdb::Slice, uint64_t) { return rocksdb::Status::OK(); }, &effect);
      FUZZ_REQUIRE(s.ok() || s.IsCorruption() || s.IsNotSupported());
      // After an error the image is given up.
      if (!s.ok()) return 0;
    }
    RequireAddsUp(*image, welcome.two_phase_commit);
  }
  return 0;
}
