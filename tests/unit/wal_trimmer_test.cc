#include "lib/core/wal_trimmer.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "lib/core/batch_entry.h"
#include "lib/core/coding.h"
#include "rocksdb/write_batch.h"
#include "tests/unit/random_seed.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

constexpr uint64_t kWal = 7;

ManifestColumnFamilies Families(std::initializer_list<std::pair<uint32_t, uint64_t>> log_numbers) {
  ManifestColumnFamilies families;
  for (const auto& [id, log_number] : log_numbers) {
    families[id].id = id;
    families[id].log_number = log_number;
  }
  return families;
}

// Column family 0 has flushed WAL 7, column family 1 has not, and 2 is gone.
const ManifestColumnFamilies kFamilies = Families({{0, 8}, {1, 7}});

// Entries of a batch, as RocksDB encodes them.
std::string Put(uint32_t family, const std::string& key) {
  std::string entry = family == 0 ? std::string("\x01") : std::string{'\x05', char(family)};
  return entry + char(key.size()) + key + "\1v";
}
std::string RangeDeletion(uint32_t family) {
  return (family == 0 ? std::string("\x0f") : std::string{'\x0e', char(family)}) + "\1a\1b";
}
std::string Comment() { return std::string("\x03\2hi"); }

std::string Record(uint64_t sequence, const std::vector<std::string>& entries) {
  std::string record(kBatchHeaderSize, '\0');
  uint32_t count = 0;
  for (const std::string& entry : entries) {
    count += entry[0] != '\x03';
    record += entry;
  }
  EncodeFixed64(record.data(), sequence);
  EncodeFixed32(record.data() + 8, count);
  return record;
}

std::string WalOf(const std::vector<std::string>& records) {
  LogRecordWriter writer;
  std::string wal;
  for (const std::string& record : records) writer.AddRecord(record, &wal);
  return wal;
}

std::vector<std::string> RecordsOf(const std::string& wal) {
  std::vector<std::string> records;
  LogRecordReader reader("wal");
  REQUIRE(reader
              .Feed(wal,
                    [&](Slice record, uint64_t) {
                      records.push_back(record.ToString());
                      return Status::OK();
                    })
              .ToString() == "OK");
  return records;
}

std::vector<std::string> Trim(const std::vector<std::string>& records) {
  WalTrimmer trimmer("000007.log", kWal, &kFamilies);
  std::string out;
  REQUIRE(trimmer.Feed(WalOf(records), &out).ToString() == "OK");
  trimmer.Finish(&out);
  return RecordsOf(out);
}

WalUsage UsageOf(const std::vector<std::string>& records) {
  WalUsage usage;
  for (const std::string& record : records) {
    BatchHeader header;
    REQUIRE(DecodeBatchHeader(record, &header).ok());
    usage.Add(header, record);
  }
  return usage;
}

TEST_CASE("wal_trimmer: a WAL of which everything is needed stays as it is", "[unit]") {
  const std::vector<std::string> records{Record(5, {Put(1, "a"), Comment()}),
                                         Record(6, {Put(1, "b"), Put(1, "c")})};
  REQUIRE(Trim(records) == records);
}

TEST_CASE("wal_trimmer: what is left keeps its sequence numbers", "[unit]") {
  REQUIRE(Trim({Record(5, {Put(0, "a")}), Record(6, {Put(1, "b")})}) ==
          std::vector<std::string>{Record(5, {}), Record(6, {Put(1, "b")})});
  REQUIRE(Trim({Record(
              5, {Put(0, "a"), Put(1, "b"), Comment(), Put(1, "c"), Put(2, "d"), Put(1, "e")})}) ==
          std::vector<std::string>{Record(5, {}), Record(6, {Put(1, "b"), Put(1, "c")}),
                                   Record(9, {Put(1, "e")})});
}

TEST_CASE("wal_trimmer: sequence numbers at the end are kept by an empty record", "[unit]") {
  REQUIRE(Trim({Record(5, {Put(1, "a")}), Record(6, {Put(0, "b"), Put(0, "c")})}) ==
          std::vector<std::string>{Record(5, {Put(1, "a")}), Record(8, {})});
  REQUIRE(Trim({Record(5, {Put(0, "a")})}) ==
          std::vector<std::string>{Record(5, {}), Record(6, {})});
  REQUIRE(RecordsOf(EmptyWal(5, 6)) == std::vector<std::string>{Record(5, {}), Record(6, {})});
  REQUIRE(RecordsOf(EmptyWal(5, 5)) == std::vector<std::string>{Record(5, {})});
  REQUIRE(EmptyWal(0, 0).empty());
  // It survives a second time.
  REQUIRE(Trim({Record(5, {Put(0, "a")}), Record(9, {})}) ==
          std::vector<std::string>{Record(5, {}), Record(9, {})});
}

TEST_CASE("wal_trimmer: a batch with a range deletion is kept whole, or not at all", "[unit]") {
  const std::string kept = Record(5, {Put(0, "a"), RangeDeletion(0), Put(1, "b")});
  REQUIRE(Trim({kept}) == std::vector<std::string>{kept});
  REQUIRE(Trim({Record(5, {Put(0, "a"), RangeDeletion(0)})}) ==
          std::vector<std::string>{Record(5, {}), Record(7, {})});
}

TEST_CASE("wal_trimmer: what must not be left out is refused", "[unit]") {
  WalTrimmer trimmer("000007.log", kWal, &kFamilies);
  std::string out;
  const std::string begin_prepare("\x09");
  REQUIRE(trimmer.Feed(WalOf({Record(5, {begin_prepare, Put(1, "a")})}), &out).IsNotSupported());
  WalTrimmer other("000007.log", kWal, &kFamilies);
  std::string strange = Record(5, {Put(1, "a")});
  strange[kBatchHeaderSize] = '\x7f';
  REQUIRE(other.Feed(WalOf({strange}), &out).IsCorruption());
}

TEST_CASE("wal_trimmer: random batches, in random pieces, lose what is not needed", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::string> records;
    std::vector<std::pair<uint64_t, std::string>> needed;  // sequence number and entry
    const uint64_t first_sequence = 1 + random() % 1000;
    uint64_t sequence = first_sequence;
    for (uint64_t n = random() % 200; n > 0; --n) {
      std::vector<std::string> entries;
      const uint64_t first = sequence;
      for (uint64_t m = 1 + random() % 6; m > 0; --m) {
        const auto family = static_cast<uint32_t>(random() % 3);
        entries.push_back(Put(family, std::string(random() % 100, 'k')));
        if (family == 1) needed.emplace_back(sequence, entries.back());
        ++sequence;
      }
      records.push_back(Record(first, entries));
    }
    const std::string wal = WalOf(records);
    WalTrimmer trimmer("000007.log", kWal, &kFamilies);
    std::string out;
    for (size_t offset = 0; offset < wal.size();) {
      const size_t n = std::min<size_t>(1 + random() % 5000, wal.size() - offset);
      REQUIRE(trimmer.Feed(Slice(wal.data() + offset, n), &out).ok());
      offset += n;
    }
    trimmer.Finish(&out);
    std::vector<std::pair<uint64_t, std::string>> left;
    uint64_t end = 0;
    for (const std::string& record : RecordsOf(out)) {
      BatchHeader header;
      REQUIRE(DecodeBatchHeader(record, &header).ok());
      Slice entries(record.data() + kBatchHeaderSize, record.size() - kBatchHeaderSize);
      uint64_t at = header.sequence;
      while (!entries.empty()) {
        BatchEntry entry;
        REQUIRE(TakeBatchEntry(&entries, &entry).ok());
        left.emplace_back(at++, entry.bytes.ToString());
      }
      REQUIRE(at == header.sequence + header.count);
      end = at;
    }
    REQUIRE(left == needed);
    REQUIRE((records.empty() || end == sequence));
    if (!records.empty()) {
      BatchHeader header;
      REQUIRE(DecodeBatchHeader(RecordsOf(out).front(), &header).ok());
      REQUIRE(header.sequence == first_sequence);
    }
    const WalUsage usage = UsageOf(RecordsOf(out));
    REQUIRE(trimmer.usage().bytes() == usage.bytes());
    REQUIRE(trimmer.usage().NeededBytes(kFamilies, kWal) == usage.NeededBytes(kFamilies, kWal));
    REQUIRE(trimmer.usage().first_sequence() == usage.first_sequence());
    REQUIRE(trimmer.usage().next_sequence() == usage.next_sequence());
  }
}

}  // namespace
}  // namespace slipstream
