#include "lib/core/batch_entry.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "lib/core/coding.h"
#include "rocksdb/wide_columns.h"
#include "rocksdb/write_batch.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using Kind = BatchEntryKind;

constexpr size_t kHeaderSize = 12;

TEST_CASE("batch_entry: everything that RocksDB puts in a batch is taken apart", "[unit]") {
  rocksdb::WriteBatch batch;
  REQUIRE(batch.Put("key", std::string(300, 'v')).ok());
  REQUIRE(batch.Delete("key").ok());
  REQUIRE(batch.SingleDelete("key").ok());
  REQUIRE(batch.DeleteRange("a", "b").ok());
  REQUIRE(batch.Merge("key", "operand").ok());
  REQUIRE(batch.PutLogData("comment").ok());
  std::vector<Kind> kinds;
  std::string joined;
  const std::string rep = batch.Data();
  Slice rest(rep.data() + kHeaderSize, rep.size() - kHeaderSize);
  while (!rest.empty()) {
    BatchEntry entry;
    REQUIRE(TakeBatchEntry(&rest, &entry).ToString() == "OK");
    kinds.push_back(entry.kind);
    joined += entry.bytes.ToString();
    CHECK(entry.name.empty());
  }
  CHECK(kinds == std::vector<Kind>{Kind::kData, Kind::kData, Kind::kData, Kind::kData, Kind::kData,
                                   Kind::kComment});
  CHECK(joined == rep.substr(kHeaderSize));
}

std::string Field(const std::string& text) {
  std::string out;
  PutLengthPrefixedSlice(&out, text);
  return out;
}

TEST_CASE("batch_entry: entries of column families, blobs and entities", "[unit]") {
  const std::string family("\xac\x02", 2);  // 300
  const std::string key = Field("key"), value = Field(std::string(200, 'v'));
  for (const std::string& bytes :
       {"\x04" + family + key, "\x05" + family + key + value, "\x06" + family + key + value,
        "\x08" + family + key, "\x0e" + family + key + value, "\x10" + family + key + value,
        "\x11" + key + value, "\x16" + key + value, "\x17" + family + key + value,
        "\x18" + key + value, "\x19" + family + key + value}) {
    const std::string input = bytes + "rest";
    Slice rest(input);
    BatchEntry entry;
    REQUIRE(TakeBatchEntry(&rest, &entry).ToString() == "OK");
    CHECK(entry.kind == Kind::kData);
    CHECK(entry.bytes == bytes);
    CHECK(rest == "rest");
  }
}

TEST_CASE("batch_entry: no-operations are left out, and nothing else", "[unit]") {
  const std::string header = std::string("\x07\0\0\0\0\0\0\0\x02\0\0\0", 12);
  const std::string put = "\x01" + Field("key") + Field("\x0d\x0d"), comment = "\x03" + Field("c");
  std::string buffer;
  for (const std::string& bytes : {"\x0d" + put + put, put + "\x0d\x0d" + put,
                                   "\x0d" + put + "\x0d" + put + "\x0d", put + put}) {
    const std::string whole = header + comment + bytes;
    Slice record(whole);
    REQUIRE(LeaveOutNoOperations(&record, &buffer).ToString() == "OK");
    CHECK(record == header + comment + put + put);
    CHECK((record.data() == whole.data()) == (bytes == put + put));
  }
  Slice cut(header.data(), 11);
  CHECK(LeaveOutNoOperations(&cut, &buffer).IsCorruption());
  const std::string broken = header + put.substr(0, 3);
  Slice record(broken);
  CHECK(LeaveOutNoOperations(&record, &buffer).IsCorruption());
}

TEST_CASE("batch_entry: markers name their transaction", "[unit]") {
  struct Marker {
    std::string bytes;
    Kind kind;
    std::string name;
  };
  for (const Marker& marker :
       {Marker{"\x09", Kind::kBeginPrepare, ""},
        Marker{"\x0a" + Field("x"), Kind::kEndPrepare, "x"},
        Marker{"\x0b" + Field("x"), Kind::kCommit, "x"},
        Marker{"\x0c" + Field("x"), Kind::kRollback, "x"}, Marker{"\x0d", Kind::kComment, ""},
        Marker{"\x12", Kind::kBeginPersistedPrepare, ""}, Marker{"\x13", Kind::kBeginUnprepare, ""},
        Marker{"\x15" + Field("timestmp") + Field("x"), Kind::kCommitWithTimestamp, "x"}}) {
    Slice rest(marker.bytes);
    BatchEntry entry;
    REQUIRE(TakeBatchEntry(&rest, &entry).ToString() == "OK");
    CHECK(entry.kind == marker.kind);
    CHECK(entry.name == marker.name);
    CHECK(entry.bytes == marker.bytes);
    CHECK(rest.empty());
  }
}

TEST_CASE("batch_entry: what is cut off or unknown is refused and left where it was", "[unit]") {
  const std::string whole = "\x05" + std::string("\x07") + Field("key") + Field("value");
  for (size_t size = 1; size < whole.size(); ++size) {
    const std::string cut = whole.substr(0, size);
    Slice rest(cut);
    BatchEntry entry;
    CHECK(TakeBatchEntry(&rest, &entry).IsCorruption());
    CHECK(rest.size() == size);
  }
  for (const int type : {0x14, 0x1a, 0x7f, 0xff}) {
    const std::string unknown(5, static_cast<char>(type));
    Slice rest(unknown);
    BatchEntry entry;
    const rocksdb::Status s = TakeBatchEntry(&rest, &entry);
    CHECK(s.IsCorruption());
    CHECK_THAT(s.ToString(), Catch::Contains("type " + std::to_string(type)));
    CHECK(rest.size() == unknown.size());
  }
}

}  // namespace
}  // namespace slipstream
