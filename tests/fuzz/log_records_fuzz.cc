// LogRecordReader: however a log is torn into pieces, it gives the same records and the same error.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/log_record_reader.h"
#include "lib/core/log_record_writer.h"
#include "tests/fuzz/fuzz.h"

using namespace slipstream;

namespace {

struct Reading {
  std::vector<std::pair<std::string, uint64_t>> records;
  std::string status;
  uint64_t boundary = 0;

  bool operator==(const Reading&) const = default;
};

Reading Read(const std::string& log, const std::vector<uint8_t>& pieces) {
  Reading reading;
  LogRecordReader reader("fuzzed");
  const auto sink = [&](rocksdb::Slice record, uint64_t end) {
    reading.records.emplace_back(record.ToString(), end);
    return rocksdb::Status::OK();
  };
  rocksdb::Status s;
  size_t piece = 0;
  for (size_t at = 0; at < log.size() && s.ok();) {
    size_t n = log.size() - at;
    if (!pieces.empty()) {
      // From single bytes, which tear headers, to pieces that hold whole records.
      const uint8_t p = pieces[piece++ % pieces.size()];
      n = std::min(n, p < 128 ? p % 16 + size_t{1} : size_t{1} << (p % 17));
    }
    // A buffer of its own: the reader must not look at an earlier one.
    const std::string bytes = log.substr(at, n);
    s = reader.Feed(bytes, sink);
    at += n;
  }
  reading.status = s.ToString();
  reading.boundary = reader.record_boundary();
  return reading;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider fuzz(data, size);
  std::vector<uint8_t> pieces = fuzz.ConsumeBytes<uint8_t>(fuzz.ConsumeIntegralInRange(1, 16));
  if (pieces.empty()) pieces.push_back(0);
  std::string log;
  std::vector<std::string> written;
  bool damaged = true;
  if (fuzz.ConsumeBool()) {
    log = fuzz.ConsumeRemainingBytesAsString();
  } else {
    damaged = fuzz.ConsumeBool();
    LogRecordWriter writer;
    const int flips = damaged ? fuzz.ConsumeIntegralInRange(1, 3) : 0;
    std::vector<std::pair<uint32_t, uint8_t>> at;
    for (int i = 0; i < flips; ++i) {
      at.emplace_back(fuzz.ConsumeIntegral<uint32_t>(), fuzz.ConsumeIntegral<uint8_t>());
    }
    while (fuzz.remaining_bytes() > 0 && log.size() < (200 << 10)) {
      // Records that cross blocks are made of little.
      const size_t repeat = fuzz.ConsumeBool() ? fuzz.ConsumeIntegralInRange<size_t>(1, 9000) : 1;
      const std::string piece = fuzz.ConsumeRandomLengthString(32);
      std::string record;
      for (size_t i = 0; i < repeat; ++i) record += piece;
      writer.AddRecord(record, &log);
      written.push_back(std::move(record));
    }
    for (const auto& [where, what] : at) {
      if (!log.empty()) log[where % log.size()] ^= static_cast<char>(what);
    }
  }
  const Reading whole = Read(log, {});
  FUZZ_REQUIRE(whole == Read(log, pieces));
  FUZZ_REQUIRE(whole.boundary <= log.size());
  if (!damaged) {
    FUZZ_REQUIRE(whole.status == rocksdb::Status::OK().ToString());
    FUZZ_REQUIRE(whole.records.size() == written.size());
    for (size_t i = 0; i < written.size(); ++i) {
      FUZZ_REQUIRE(whole.records[i].first == written[i]);
    }
    FUZZ_REQUIRE(whole.boundary == log.size());
  }
  return 0;
}
