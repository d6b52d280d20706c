#include "lib/core/wal_usage.h"

#include <catch2/catch.hpp>
#include <string>

#include "lib/core/coding.h"

namespace slipstream {
namespace {

using rocksdb::Slice;

// A record with a put of `value` under "k" for each of `families`.
std::string Record(uint64_t sequence, const std::vector<uint32_t>& families,
                   const std::string& value) {
  std::string record(kBatchHeaderSize, '\0');
  EncodeFixed64(record.data(), sequence);
  EncodeFixed32(record.data() + 8, static_cast<uint32_t>(families.size()));
  for (const uint32_t family : families) {
    record += {'\x05', static_cast<char>(family), '\1', 'k', static_cast<char>(value.size())};
    record += value;
  }
  return record;
}

void Add(WalUsage* usage, const std::string& record) {
  BatchHeader header;
  REQUIRE(DecodeBatchHeader(record, &header).ok());
  usage->Add(header, record);
}

ManifestColumnFamilies Families(std::initializer_list<std::pair<uint32_t, uint64_t>> log_numbers) {
  ManifestColumnFamilies families;
  for (const auto& [id, log_number] : log_numbers) {
    families[id].id = id;
    families[id].log_number = log_number;
  }
  return families;
}

TEST_CASE("wal_usage: what is needed is what column families have not flushed", "[unit]") {
  WalUsage usage;
  REQUIRE(usage.next_sequence() == 0);
  Add(&usage, Record(10, {0}, "value"));
  Add(&usage, Record(11, {1, 2}, "other"));
  REQUIRE(usage.next_sequence() == 13);
  REQUIRE(usage.bytes() == 12 + 10 + 12 + 20);
  REQUIRE(usage.NeededBytes(Families({{0, 0}, {1, 0}, {2, 0}}), 7) == usage.bytes());
  REQUIRE(usage.NeededBytes(Families({{0, 8}, {1, 7}, {2, 8}}), 7) == 22);
  REQUIRE(usage.NeededBytes(Families({{0, 8}, {1, 8}, {2, 7}}), 7) == 10);
  REQUIRE(usage.NeededBytes(Families({{0, 8}, {1, 8}, {2, 8}}), 7) == 0);
  // What was dropped is needed by nobody.
  REQUIRE(usage.NeededBytes(Families({{0, 8}, {1, 8}}), 7) == 0);
}

TEST_CASE("wal_usage: of one column family nothing is decoded", "[unit]") {
  WalUsage usage;
  usage.AddOf(0, BatchHeader{5, 3}, Slice("whatever this is"));
  REQUIRE(usage.known());
  REQUIRE(usage.next_sequence() == 8);
  REQUIRE(usage.NeededBytes(Families({{0, 7}}), 7) == usage.bytes());
  REQUIRE(usage.NeededBytes(Families({{0, 8}}), 7) == 0);
}

TEST_CASE("wal_usage: what cannot be read is needed", "[unit]") {
  WalUsage usage;
  Add(&usage, Record(10, {0}, "value"));
  std::string strange = Record(11, {0}, "value");
  strange[kBatchHeaderSize] = '\x7f';
  Add(&usage, strange);
  REQUIRE_FALSE(usage.known());
  REQUIRE(usage.NeededBytes(Families({{0, 8}}), 7) == usage.bytes());
}

}  // namespace
}  // namespace slipstream
