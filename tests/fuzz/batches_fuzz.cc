// BatchGatherer: it joins exactly the records that follow each other.
#include <fuzzer/FuzzedDataProvider.h>

#include <string>

#include "lib/core/batch_gatherer.h"
#include "lib/core/coding.h"
#include "tests/fuzz/fuzz.h"

using namespace slipstream;

namespace {

std::string Record(uint64_t sequence, uint32_t count, const std::string& entries) {
  std::string record;
  PutFixed64(&record, sequence);
  PutFixed32(&record, count);
  return record + entries;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider fuzz(data, size);
  BatchGatherer gatherer;
  uint64_t next = fuzz.ConsumeIntegral<uint64_t>() >> 8;  // RocksDB's numbers have 56 bits
  gatherer.Expect(next);
  uint64_t first = next;
  uint32_t count = 0;
  uint64_t records = 0;
  std::string entries;
  while (fuzz.remaining_bytes() > 0) {
    std::string record;
    if (fuzz.ConsumeBool()) {
      record = fuzz.ConsumeRandomLengthString(64);
    } else {
      // Near what is expected.
      const uint64_t sequence = next + fuzz.ConsumeIntegralInRange(-1, 1);
      const uint32_t n = fuzz.ConsumeIntegralInRange<uint32_t>(0, 5);
      record = Record(sequence, n, fuzz.ConsumeRandomLengthString(20));
    }
    BatchHeader header;
    const rocksdb::Status s = DecodeBatchHeader(record, &header);
    FUZZ_REQUIRE(s.ok() == (record.size() >= kBatchHeaderSize));
    if (!s.ok()) continue;
    const BatchGatherer::Result result = gatherer.Add(header, record);
    if (header.sequence > next) {
      FUZZ_REQUIRE(result == BatchGatherer::Result::kGap);
    } else if (header.count == 0) {
      FUZZ_REQUIRE(result == BatchGatherer::Result::kNothing);
    } else if (header.sequence < next) {
      FUZZ_REQUIRE(result == BatchGatherer::Result::kRepeat);
    } else {
      FUZZ_REQUIRE(result == BatchGatherer::Result::kAdded);
      if (records == 0) first = header.sequence;
      ++records;
      count += header.count;
      next += header.count;
      entries += record.substr(kBatchHeaderSize);
    }
    FUZZ_REQUIRE(gatherer.expected() == next);
    FUZZ_REQUIRE(gatherer.records() == records && gatherer.count() == count);
    if (records == 0 || !fuzz.ConsumeBool()) continue;
    FUZZ_REQUIRE(gatherer.Take() == Record(first, count, entries));
    FUZZ_REQUIRE(gatherer.empty() && gatherer.bytes() == 0);
    records = 0;
    count = 0;
    entries.clear();
  }
  return 0;
}
