#include "lib/core/log_record_reader.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/coding.h"
#include "lib/core/crc32c.h"
#include "lib/core/log_record_writer.h"
#include "lib/core/rocksdb_release.h"
#include "tests/unit/random_seed.h"
#include "tests/unit/scratch_database.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

// What a sink has seen.
struct Collected {
  std::vector<std::string> records;
  std::vector<uint64_t> ends;

  Status operator()(Slice record, uint64_t end_offset) {
    records.push_back(record.ToString());
    ends.push_back(end_offset);
    return Status::OK();
  }
};

std::string Fragment(LogFragmentType type, const std::string& payload) {
  std::string covered(1, static_cast<char>(type));
  covered += payload;
  std::string bytes;
  PutFixed32(&bytes, Crc32cMask(Crc32c(covered.data(), covered.size())));
  PutFixed16(&bytes, static_cast<uint16_t>(payload.size()));
  return bytes + covered;
}

std::string Pattern(size_t size, unsigned salt) {
  std::string s(size, '\0');
  for (size_t i = 0; i < size; ++i) s[i] = static_cast<char>(i * 131 + salt);
  return s;
}

// Feeds everything at once and expects an error.
Status Refusal(const std::string& bytes, Collected* seen) {
  LogRecordReader reader("000007.log");
  Status s = reader.Feed(bytes, *seen);
  REQUIRE_FALSE(s.ok());
  const size_t before = seen->records.size();
  REQUIRE(reader.Feed(Fragment(LogFragmentType::kFull, "later"), *seen) == s);
  REQUIRE(seen->records.size() == before);
  REQUIRE(s.ToString().find("000007.log") != std::string::npos);
  return s;
}

TEST_CASE("log_record_reader: records come back whole, with their end offsets", "[unit]") {
  LogRecordWriter writer;
  std::string file;
  std::vector<std::string> records;
  std::vector<uint64_t> ends;
  for (const size_t size : {0, 1, 140, 32761, 0, 32754, 100000, 7}) {
    records.push_back(Pattern(size, static_cast<unsigned>(size)));
    writer.AddRecord(records.back(), &file);
    ends.push_back(file.size());
  }
  Collected seen;
  LogRecordReader reader("log");
  testing::RequireOk(reader.Feed(file, seen));
  REQUIRE(seen.records == records);
  REQUIRE(seen.ends == ends);
  REQUIRE(reader.fed_bytes() == file.size());
  REQUIRE(reader.record_boundary() == file.size());
}

TEST_CASE("log_record_reader: a contiguous record is not copied", "[unit]") {
  LogRecordWriter writer;
  std::string file;
  writer.AddRecord(Pattern(140, 1), &file);
  writer.AddRecord(Pattern(140, 2), &file);
  // Cut inside the header of the second record, before it, or just behind it: its payload stays
  // contiguous.
  for (const size_t cut : {size_t{147}, size_t{150}, size_t{154}}) {
    std::vector<const char*> pointers;
    auto sink = [&](Slice record, uint64_t) {
      pointers.push_back(record.data());
      return Status::OK();
    };
    LogRecordReader reader("log");
    testing::RequireOk(reader.Feed(Slice(file.data(), cut), sink));
    testing::RequireOk(reader.Feed(Slice(file.data() + cut, file.size() - cut), sink));
    REQUIRE(pointers == std::vector<const char*>{file.data() + 7, file.data() + 154});
    REQUIRE(reader.buffer_bytes() < 32);
  }
}

TEST_CASE("log_record_reader: any tearing gives the same records and boundaries", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 60; ++round) {
    LogRecordWriter writer;
    std::string file;
    Collected expected;
    const size_t max_size = size_t{1} << (random() % 17);
    while (file.size() < 150000 && expected.records.size() < 400) {
      size_t size = random() % max_size;
      // Aim at the last bytes of a block now and then, where padding and empty fragments happen.
      const size_t left = kLogBlockBytes - file.size() % kLogBlockBytes;
      if (random() % 4 == 0 && left > 30) size = left - 7 - random() % 16;
      (void)expected(Pattern(size, static_cast<unsigned>(random())), 0);
      writer.AddRecord(expected.records.back(), &file);
      expected.ends.back() = file.size();
    }
    const size_t max_piece = size_t{1} << (random() % 17);
    Collected seen;
    LogRecordReader reader("log");
    for (size_t at = 0; at < file.size();) {
      const size_t n = std::min<size_t>(file.size() - at, random() % (max_piece + 1));
      testing::RequireOk(reader.Feed(Slice(file.data() + at, n), seen));
      at += n;
      REQUIRE(reader.fed_bytes() == at);
      REQUIRE(reader.record_boundary() == (seen.ends.empty() ? 0 : seen.ends.back()));
    }
    REQUIRE(seen.records == expected.records);
    REQUIRE(seen.ends == expected.ends);
  }
}

TEST_CASE("log_record_reader: reading can begin at a record boundary", "[unit]") {
  LogRecordWriter writer;
  std::string file;
  writer.AddRecord(Pattern(40000, 1), &file);
  const uint64_t boundary = writer.offset();
  writer.AddRecord(Pattern(30000, 2), &file);
  Collected seen;
  LogRecordReader reader("log", boundary);
  REQUIRE(reader.record_boundary() == boundary);
  testing::RequireOk(reader.Feed(Slice(file.data() + boundary, file.size() - boundary), seen));
  REQUIRE(seen.records == std::vector<std::string>{Pattern(30000, 2)});
  REQUIRE(seen.ends == std::vector<uint64_t>{file.size()});
}

TEST_CASE("log_record_reader: a zero-filled tail is skipped to the block's end", "[unit]") {
  LogRecordWriter writer;
  std::string file;
  writer.AddRecord("first", &file);
  const uint64_t boundary = file.size();
  file.resize(kLogBlockBytes, '\0');
  LogRecordWriter next_block(kLogBlockBytes);
  next_block.AddRecord("second", &file);
  for (const size_t piece : {size_t{1}, size_t{3}, size_t{50000}}) {
    Collected seen;
    LogRecordReader reader("log");
    for (size_t at = 0; at < file.size(); at += piece) {
      const size_t n = std::min(piece, file.size() - at);
      testing::RequireOk(reader.Feed(Slice(file.data() + at, n), seen));
      if (at + n == kLogBlockBytes) REQUIRE(reader.record_boundary() == boundary);
    }
    REQUIRE(seen.records == std::vector<std::string>{"first", "second"});
  }
}

TEST_CASE("log_record_reader: a zero-filled header that ends its block skips nothing", "[unit]") {
  LogRecordWriter writer;
  std::string file;
  writer.AddRecord(Pattern(kLogBlockBytes - 14, 1), &file);
  REQUIRE(file.size() == kLogBlockBytes - 7);
  file.append(7, '\0');
  file += Fragment(LogFragmentType::kFull, "next");
  Collected seen;
  LogRecordReader reader("log");
  testing::RequireOk(reader.Feed(file, seen));
  REQUIRE(seen.records.size() == 2);
  REQUIRE(seen.records[1] == "next");
}

TEST_CASE("log_record_reader: every flipped bit is an error or leaves the records alone",
          "[unit]") {
  LogRecordWriter writer;
  std::string file;
  Collected expected;
  for (const size_t size : {40, 0, 90, 32700, 60}) {
    writer.AddRecord(Pattern(size, 9), &file);
    (void)expected(Pattern(size, 9), file.size());
  }
  for (size_t byte = 0; byte < file.size(); byte += (byte < 200 || byte > 32700) ? 1 : 97) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = file;
      damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << bit));
      Collected seen;
      LogRecordReader reader("log");
      const Status s = reader.Feed(damaged, seen);
      INFO("byte " << byte << " bit " << bit << ": " << s.ToString());
      // What was delivered before the damage is right.
      REQUIRE(seen.records.size() <= expected.records.size());
      REQUIRE(std::equal(seen.records.begin(), seen.records.end(), expected.records.begin()));
      // A longer length can make the last record wait for bytes that never come.
      if (s.ok()) REQUIRE(seen.records.size() < expected.records.size());
    }
  }
}

TEST_CASE("log_record_reader: a wrong checksum is refused with both values", "[unit]") {
  std::string bytes = Fragment(LogFragmentType::kFull, "payload");
  bytes.back() ^= 1;
  Collected seen;
  const Status s = Refusal(bytes, &seen);
  REQUIRE(s.IsCorruption());
  REQUIRE(s.ToString().find("crc32c 0x") != std::string::npos);
  REQUIRE(s.ToString().find("expected 0x") != std::string::npos);
  REQUIRE(seen.records.empty());
}

TEST_CASE("log_record_reader: a length over the block's end is refused", "[unit]") {
  std::string bytes = Fragment(LogFragmentType::kFull, std::string(kLogBlockBytes - 7, 'x'));
  Collected seen;
  LogRecordReader reader("log");
  testing::RequireOk(reader.Feed(bytes, seen));
  // A header that ends exactly at the block's end has room for no payload at all.
  LogRecordWriter writer;
  bytes.clear();
  writer.AddRecord(std::string(kLogBlockBytes - 14, 'x'), &bytes);
  REQUIRE(Refusal(bytes + Fragment(LogFragmentType::kFull, "x"), &seen).IsCorruption());
  bytes = Fragment(LogFragmentType::kFull, std::string(kLogBlockBytes - 6, 'x'));
  const Status s = Refusal(bytes, &seen);
  REQUIRE(s.IsCorruption());
  REQUIRE(s.ToString().find("length 32762, expected at most 32761") != std::string::npos);
}

TEST_CASE("log_record_reader: fragments out of order are refused", "[unit]") {
  using Type = LogFragmentType;
  const std::vector<std::pair<Type, Type>> wrong = {{Type::kFull, Type::kMiddle},
                                                    {Type::kFull, Type::kLast},
                                                    {Type::kFirst, Type::kFull},
                                                    {Type::kFirst, Type::kFirst}};
  for (const auto& [first, second] : wrong) {
    Collected seen;
    REQUIRE(Refusal(Fragment(first, "a") + Fragment(second, "b"), &seen).IsCorruption());
    REQUIRE(seen.records.size() == (first == Type::kFull ? 1 : 0));
  }
  Collected seen;
  REQUIRE(Refusal(Fragment(Type::kFirst, "a") + std::string(7, '\0'), &seen).IsCorruption());
}

TEST_CASE("log_record_reader: an empty first fragment may be started over", "[unit]") {
  using Type = LogFragmentType;
  for (const bool whole : {true, false}) {
    const std::string bytes = Fragment(Type::kFirst, "") +
                              (whole ? Fragment(Type::kFull, "ab")
                                     : Fragment(Type::kFirst, "a") + Fragment(Type::kLast, "b"));
    for (const size_t cut : {size_t{0}, size_t{7}, size_t{10}, size_t{15}}) {
      Collected seen;
      LogRecordReader reader("log");
      testing::RequireOk(reader.Feed(Slice(bytes.data(), cut), seen));
      testing::RequireOk(reader.Feed(Slice(bytes.data() + cut, bytes.size() - cut), seen));
      REQUIRE(seen.records == std::vector<std::string>{"ab"});
    }
  }
}

TEST_CASE("log_record_reader: refused features are named", "[unit]") {
  std::vector<std::pair<int, std::string>> features = {
      {5, "recycle_log_file_num"}, {6, "recycle_log_file_num"}, {7, "recycle_log_file_num"},
      {8, "recycle_log_file_num"}, {9, "wal_compression"},      {11, "timestamp"}};
  if (!SLIPSTREAM_ROCKSDB_9) features.emplace_back(10, "timestamp");
  for (const auto& [type, name] : features) {
    Collected seen;
    const Status s = Refusal(Fragment(static_cast<LogFragmentType>(type), "abcdef"), &seen);
    REQUIRE(s.IsNotSupported());
    REQUIRE(s.ToString().find("type " + std::to_string(type)) != std::string::npos);
    REQUIRE(s.ToString().find(name) != std::string::npos);
  }
  for (const int type : {0, 12, 255}) {
    Collected seen;
    REQUIRE(Refusal(Fragment(static_cast<LogFragmentType>(type), "abc"), &seen).IsCorruption());
  }
}

#if SLIPSTREAM_ROCKSDB_9
TEST_CASE("log_record_reader: timestamp sizes between records are told apart from them", "[unit]") {
  using Type = LogFragmentType;
  const std::string sizes = Fragment(Type::kUserDefinedTimestampSize, "\x01\x02\x03");
  const std::string bytes =
      sizes + Fragment(Type::kFull, "ab") + sizes + Fragment(Type::kFirst, "c");
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    INFO("cut at " << cut);
    Collected seen, asides;
    LogRecordReader reader("log");
    testing::RequireOk(reader.Feed(Slice(bytes.data(), cut), seen, asides));
    testing::RequireOk(reader.Feed(Slice(bytes.data() + cut, bytes.size() - cut), seen, asides));
    REQUIRE(reader.record_boundary() == bytes.size() - 8);
    testing::RequireOk(reader.Feed(Fragment(Type::kLast, "d"), seen, asides));
    REQUIRE(seen.records == std::vector<std::string>{"ab", "cd"});
    REQUIRE(asides.records == std::vector<std::string>{"\x01\x02\x03", "\x01\x02\x03"});
    REQUIRE(asides.ends == std::vector<uint64_t>{10, 29});
  }
  Collected passing;
  LogRecordReader reader("log");
  testing::RequireOk(reader.Feed(bytes, passing));
  REQUIRE(passing.records == std::vector<std::string>{"ab"});
  REQUIRE(reader.record_boundary() == bytes.size() - 8);
  Collected seen;
  std::string damaged = sizes;
  damaged.back() ^= 1;
  REQUIRE(Refusal(damaged, &seen).IsCorruption());
  REQUIRE(Refusal(Fragment(Type::kFirst, "c") + sizes, &seen).IsCorruption());
}
#endif

TEST_CASE("log_record_reader: a refusal by the sink stops and is sticky", "[unit]") {
  LogRecordWriter writer;
  std::string file;
  for (const char* record : {"one", "two", "three"}) writer.AddRecord(record, &file);
  int calls = 0;
  auto sink = [&](Slice record, uint64_t) {
    ++calls;
    return record == Slice("two") ? Status::Busy("full") : Status::OK();
  };
  LogRecordReader reader("log");
  REQUIRE(reader.Feed(file, sink).IsBusy());
  REQUIRE(calls == 2);
  REQUIRE(reader.record_boundary() == 10);
  REQUIRE(reader.Feed(file, sink).IsBusy());
  REQUIRE(calls == 2);
}

TEST_CASE("log_record_reader: the buffer is bounded by the record and given back", "[unit]") {
  LogRecordWriter writer;
  std::string file;
  const size_t size = size_t{4} << 20;
  writer.AddRecord(Pattern(size, 1), &file);
  size_t most = 0;
  Collected seen;
  LogRecordReader reader("log");
  for (size_t at = 0; at < file.size(); at += 1000) {
    testing::RequireOk(
        reader.Feed(Slice(file.data() + at, std::min<size_t>(1000, file.size() - at)), seen));
    most = std::max(most, reader.buffer_bytes());
  }
  REQUIRE(seen.records.size() == 1);
  REQUIRE(most <= 2 * size);
  REQUIRE(reader.buffer_bytes() <= size_t{256} << 10);
}

TEST_CASE("log_record_reader: RocksDB's recycled and compressed WALs are refused", "[unit]") {
  testing::ScratchDirectory directory;
  rocksdb::Options options = testing::ScratchOptions();
  SECTION("recycled") {
    options.recycle_log_file_num = 2;
    // Under every other mode RocksDB 7.8 silently switches recycling off.
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
  }
  SECTION("compressed") { options.wal_compression = rocksdb::kZSTD; }
  auto db = testing::OpenDatabase(options, directory.path());
  testing::RequireOk(db->Put(rocksdb::WriteOptions(), "key", "value"));
  rocksdb::VectorLogPtr wals;
  testing::RequireOk(db->GetSortedWalFiles(wals));
  const std::string bytes = testing::ReadWholeFile(directory.path() + wals.back()->PathName());
  Collected seen;
  LogRecordReader reader("wal");
  REQUIRE(reader.Feed(bytes, seen).IsNotSupported());
}

}  // namespace
}  // namespace slipstream
