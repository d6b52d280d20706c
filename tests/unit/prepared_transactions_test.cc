#include "lib/core/prepared_transactions.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "lib/core/coding.h"
#include "lib/core/crc32c.h"
#include "tests/unit/random_seed.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;
using Unknown = PreparedTransactions::Unknown;

// A WAL record, piece by piece.
class Record {
 public:
  explicit Record(uint64_t sequence) : sequence_(sequence) {}

  Record& Put(const std::string& key, const std::string& value) {
    body_ += '\x01';
    PutLengthPrefixedSlice(&body_, key);
    PutLengthPrefixedSlice(&body_, value);
    ++count_;
    return *this;
  }
  Record& Comment(const std::string& text) { return Marker('\x03', text); }
  Record& Begin() { return Bare('\x09'); }
  Record& End(const std::string& name) { return Marker('\x0a', name); }
  Record& Commit(const std::string& name) { return Marker('\x0b', name); }
  Record& Rollback(const std::string& name) { return Marker('\x0c', name); }
  Record& Noop() { return Bare('\x0d'); }
  Record& Bare(char type) {
    body_ += type;
    return *this;
  }
  Record& Marker(char type, const std::string& text) {
    body_ += type;
    PutLengthPrefixedSlice(&body_, text);
    return *this;
  }
  Record& Miscount() {
    ++count_;
    return *this;
  }

  std::string bytes() const {
    std::string header(12, '\0');
    EncodeFixed64(header.data(), sequence_);
    EncodeFixed32(header.data() + 8, count_);
    return header + body_;
  }
  const std::string& body() const { return body_; }

 private:
  const uint64_t sequence_;
  uint32_t count_ = 0;
  std::string body_;
};

// Applies `record` and returns what it became.
std::string Applied(PreparedTransactions* transactions, const Record& record, uint64_t wal = 7,
                    Unknown unknown = Unknown::kRefused) {
  const std::string bytes = record.bytes();
  std::string buffer = "left from before";
  Slice rewritten;
  REQUIRE(transactions->Apply(bytes, wal, unknown, &buffer, &rewritten).ToString() == "OK");
  if (rewritten == bytes) CHECK(rewritten.data() == bytes.data());
  return rewritten.ToString();
}

Status Refused(const Record& record, PreparedTransactions transactions = {}) {
  std::string buffer;
  Slice rewritten;
  const std::string bytes = record.bytes();
  const Status s = transactions.Apply(bytes, 7, Unknown::kRefused, &buffer, &rewritten);
  // It stays refused.
  CHECK(transactions.Apply(Record(1).bytes(), 7, Unknown::kRefused, &buffer, &rewritten) == s);
  return s;
}

TEST_CASE("prepared_transactions: a record without markers is not copied", "[unit]") {
  PreparedTransactions transactions;
  const std::string record = Record(5).Noop().Put("a", "1").Comment("c").Put("b", "2").bytes();
  std::string buffer;
  Slice rewritten;
  REQUIRE(transactions.Apply(record, 7, Unknown::kRefused, &buffer, &rewritten).ok());
  CHECK(rewritten.data() == record.data());
  CHECK(rewritten.size() == record.size());
  CHECK(buffer.empty());
}

TEST_CASE("prepared_transactions: what is prepared stands where it is committed", "[unit]") {
  PreparedTransactions transactions;
  CHECK(Applied(&transactions, Record(5).Begin().Put("a", "1").Put("b", "2").End("x")) ==
        Record(5).bytes());
  REQUIRE(transactions.all().size() == 1);
  CHECK(transactions.all().at("x").wal == 7);
  CHECK(transactions.all().at("x").count == 2);
  CHECK(transactions.bytes() == Record(5).Put("a", "1").Put("b", "2").body().size());
  CHECK(Applied(&transactions, Record(5).Put("c", "3")) == Record(5).Put("c", "3").bytes());
  CHECK(Applied(&transactions, Record(6).Commit("x"), 8) ==
        Record(6).Put("a", "1").Put("b", "2").bytes());
  CHECK(transactions.all().empty());
  CHECK(transactions.bytes() == 0);
}

TEST_CASE("prepared_transactions: what is rolled back stands nowhere", "[unit]") {
  PreparedTransactions transactions;
  Applied(&transactions, Record(5).Begin().Put("a", "1").End("x"));
  CHECK(Applied(&transactions, Record(5).Rollback("x")) == Record(5).bytes());
  CHECK(transactions.all().empty());
  CHECK(transactions.bytes() == 0);
  // Its name is free again.
  Applied(&transactions, Record(5).Begin().Put("b", "2").End("x"));
  CHECK(Applied(&transactions, Record(5).Commit("x")) == Record(5).Put("b", "2").bytes());
}

TEST_CASE("prepared_transactions: a group of writers in one record", "[unit]") {
  PreparedTransactions transactions;
  Applied(&transactions, Record(1).Begin().Put("x", "x").Comment("of x").End("x"));
  Record group(1);
  group.Put("a", "1").Commit("x").Noop().Put("b", "2").Begin().Put("y", "y").End("y");
  group.Put("c", "3").Commit("y").Begin().Put("z", "z").End("z").Rollback("z").Put("d", "4");
  CHECK(Applied(&transactions, group) == Record(1)
                                             .Put("a", "1")
                                             .Put("x", "x")
                                             .Comment("of x")
                                             .Noop()
                                             .Put("b", "2")
                                             .Put("c", "3")
                                             .Put("y", "y")
                                             .Put("d", "4")
                                             .bytes());
  CHECK(transactions.all().empty());
}

TEST_CASE("prepared_transactions: an empty section and a name of any bytes", "[unit]") {
  PreparedTransactions transactions;
  const std::string name("\0\xff name", 7);
  CHECK(Applied(&transactions, Record(9).Begin().End(name)) == Record(9).bytes());
  CHECK(transactions.all().count(name) == 1);
  CHECK(Applied(&transactions, Record(9).Commit(name)) == Record(9).bytes());
}

TEST_CASE("prepared_transactions: the later one of a name takes the place of the first", "[unit]") {
  PreparedTransactions transactions;
  Applied(&transactions, Record(5).Begin().Put("a", "1").End("x"));
  Applied(&transactions, Record(5).Begin().Put("b", "2").End("x"), 8);
  CHECK(transactions.bytes() == Record(5).Put("b", "2").body().size());
  CHECK(Applied(&transactions, Record(5).Commit("x"), 9) == Record(5).Put("b", "2").bytes());
}

TEST_CASE("prepared_transactions: the end of what is not known is refused or left out", "[unit]") {
  for (const Record& record : {Record(5).Commit("gone"), Record(5).Rollback("gone")}) {
    const Status s = Refused(record);
    CHECK(s.IsCorruption());
    CHECK_THAT(s.ToString(), Catch::Contains("WAL 7") && Catch::Contains("\"gone\""));
    PreparedTransactions transactions;
    CHECK(Applied(&transactions, record, 7, Unknown::kLeftOut) == Record(5).bytes());
  }
  PreparedTransactions transactions;
  CHECK(Applied(&transactions, Record(5).Put("a", "1").Commit("gone").Put("b", "2"), 7,
                Unknown::kLeftOut) == Record(5).Put("a", "1").Put("b", "2").bytes());
}

TEST_CASE("prepared_transactions: contradictions are refused, and stay refused", "[unit]") {
  CHECK(Refused(Record(1).Begin().Put("a", "1").Begin().End("x")).IsCorruption());
  CHECK(Refused(Record(1).Begin().Put("a", "1")).IsCorruption());
  CHECK(Refused(Record(1).Put("a", "1").End("x")).IsCorruption());
  CHECK(Refused(Record(1).Begin().Commit("x").End("x")).IsCorruption());
  CHECK(Refused(Record(1).Begin().Rollback("x").End("x")).IsCorruption());
  CHECK(Refused(Record(1).Put("a", "1").Miscount()).IsCorruption());
  CHECK(Refused(Record(1).Begin().Put("a", "1").End("x").Miscount()).IsCorruption());
  CHECK(Refused(Record(1).Bare('\x7f')).IsCorruption());
  PreparedTransactions transactions;
  std::string buffer;
  Slice rewritten;
  CHECK(transactions.Apply("short", 7, Unknown::kRefused, &buffer, &rewritten).IsCorruption());
}

TEST_CASE("prepared_transactions: what other write policies write is refused by name", "[unit]") {
  Status s = Refused(Record(1).Bare('\x12').Put("a", "1").End("x"));
  CHECK(s.IsNotSupported());
  CHECK_THAT(s.ToString(), Catch::Contains("WRITE_PREPARED"));
  s = Refused(Record(1).Bare('\x13').Put("a", "1").End("x"));
  CHECK(s.IsNotSupported());
  CHECK_THAT(s.ToString(), Catch::Contains("WRITE_UNPREPARED"));
  PreparedTransactions transactions;
  Applied(&transactions, Record(1).Begin().Put("a", "1").End("x"));
  std::string name;
  PutLengthPrefixedSlice(&name, "x");
  Record timestamped(1);
  timestamped.Marker('\x15', "timestmp");
  for (const char c : name) timestamped.Bare(c);
  s = Refused(timestamped, transactions);
  CHECK(s.IsNotSupported());
  CHECK_THAT(s.ToString(), Catch::Contains("timestamp"));
}

TEST_CASE("prepared_transactions: only the wanted sections of an older WAL are taken over",
          "[unit]") {
  const std::string wanted_body = Record(0).Put("a", "wanted").body();
  const uint32_t crc = Crc32c(wanted_body.data(), wanted_body.size());
  std::set<RecoveredTransaction> wanted{{"x", 7, crc}, {"elsewhere", 8, crc}};
  PreparedTransactions transactions;
  for (const Record& record :
       {Record(1).Put("plain", "1"), Record(2).Begin().Put("a", "wanted").End("y"),
        Record(2).Begin().Put("a", "other").End("x"), Record(2).Rollback("x"),
        Record(2).Begin().Put("a", "wanted").End("x"), Record(2).Commit("x"),
        Record(3).Begin().Put("a", "other").End("x")}) {
    REQUIRE(transactions.TakeOver(record.bytes(), 7, &wanted).ToString() == "OK");
  }
  CHECK(wanted == std::set<RecoveredTransaction>{{"elsewhere", 8, crc}});
  REQUIRE(transactions.all().size() == 1);
  CHECK(transactions.all().at("x").entries == wanted_body);
  CHECK(transactions.List() == std::vector<RecoveredTransaction>{{"x", 7, crc}});
  CHECK(Applied(&transactions, Record(3).Commit("x"), 9) == Record(3).Put("a", "wanted").bytes());
}

TEST_CASE("prepared_transactions: a WAL's transactions are forgotten with it", "[unit]") {
  PreparedTransactions transactions;
  Applied(&transactions, Record(1).Begin().Put("a", "1").End("x"), 7);
  Applied(&transactions, Record(1).Begin().Put("b", "2").End("y"), 8);
  Applied(&transactions, Record(1).Begin().Put("c", "3").End("z"), 7);
  transactions.Forget(7);
  CHECK(transactions.all().size() == 1);
  CHECK(transactions.all().count("y") == 1);
  CHECK(transactions.bytes() == Record(1).Put("b", "2").body().size());
}

// What a random history commits, in the order of its commits, against what the rewritten records
// hold.
TEST_CASE("prepared_transactions: random records become the plain history", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  const auto below = [&](uint64_t n) { return random() % n; };
  PreparedTransactions transactions;
  std::map<std::string, Record> open;
  uint64_t next_key = 0;
  for (int i = 0; i < 2000; ++i) {
    Record written(100 + static_cast<uint64_t>(i)), expected(100 + static_cast<uint64_t>(i));
    for (uint64_t pieces = 1 + below(5); pieces > 0; --pieces) {
      const std::string name = "t" + std::to_string(below(6));
      const bool known = open.count(name) > 0;
      if (below(3) == 0) {
        const std::string key = "k" + std::to_string(next_key++);
        written.Put(key, "v");
        expected.Put(key, "v");
      } else if (!known) {
        Record section(0);
        written.Begin();
        for (uint64_t n = below(4); n > 0; --n) {
          const std::string key = "k" + std::to_string(next_key++);
          written.Put(key, name);
          section.Put(key, name);
        }
        written.End(name);
        open.emplace(name, section);
      } else if (below(3) == 0) {
        written.Rollback(name);
        open.erase(name);
      } else {
        written.Commit(name);
        Slice body(open.at(name).body());
        // The section holds puts alone.
        while (!body.empty()) {
          Slice key, value;
          body.remove_prefix(1);
          REQUIRE(GetLengthPrefixedSlice(&body, &key));
          REQUIRE(GetLengthPrefixedSlice(&body, &value));
          expected.Put(key.ToString(), value.ToString());
        }
        open.erase(name);
      }
    }
    REQUIRE(Applied(&transactions, written) == expected.bytes());
    REQUIRE(transactions.all().size() == open.size());
    uint64_t bytes = 0;
    for (const auto& [name, section] : open) bytes += section.body().size();
    REQUIRE(transactions.bytes() == bytes);
  }
}

}  // namespace
}  // namespace slipstream
