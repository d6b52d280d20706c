#include "lib/observe/history/record_json.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "lib/observe/history/record_making.h"
#include "lib/observe/history/valid_utf8.h"
#include "tests/unit/history_records.h"
#include "tests/unit/random_seed.h"

namespace slipstream::observe {
namespace {

TEST_CASE("record_json: a record is the same after it was a line", "[unit]") {
  for (const HistoryRecord& record : {FullRecord(), RecordOf(1, 2, "")}) {
    const std::string line = ToJson(record);
    CHECK(line.find('\n') == std::string::npos);
    HistoryRecord read;
    REQUIRE(ParseLine(line, &read) == LineKind::kRecord);
    CHECK(SameRecord(read, record));
  }
}

TEST_CASE("record_json: fields that are not known are passed over", "[unit]") {
  Json json = RecordToJson(FullRecord());
  json["later"] = {{"a", 1}};
  json["history"][0].push_back("more");
  HistoryRecord read;
  REQUIRE(ParseLine(json.dump(), &read) == LineKind::kRecord);
  CHECK(SameRecord(read, FullRecord()));
}

TEST_CASE("record_json: every torn line is malformed, and none of another version read", "[unit]") {
  const std::string line = ToJson(FullRecord());
  HistoryRecord read;
  for (size_t size = 0; size < line.size(); ++size) {
    REQUIRE(ParseLine(line.substr(0, size), &read) == LineKind::kMalformed);
  }
  Json json = RecordToJson(FullRecord());
  json["v"] = 2;
  CHECK(ParseLine(json.dump(), &read) == LineKind::kNewer);
}

TEST_CASE("record_json: what has a field of a wrong type, or misses one, is malformed", "[unit]") {
  HistoryRecord read;
  for (const char* name : {"v", "instance", "id", "kind", "ended_us", "outcome"}) {
    Json json = RecordToJson(FullRecord());
    json.erase(name);
    INFO(name);
    CHECK(ParseLine(json.dump(), &read) == LineKind::kMalformed);
  }
  const Json full = RecordToJson(FullRecord());
  for (const auto& [name, value] : full.items()) {
    for (const Json& wrong : {Json(-1), Json(true), Json(nullptr), Json(Json::array({1}))}) {
      Json json = RecordToJson(FullRecord());
      json[name] = wrong;
      INFO(json.dump());
      CHECK(ParseLine(json.dump(), &read) == LineKind::kMalformed);
    }
  }
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, Json>>{{"outcome", "running"},
                                                 {"outcome", "well"},
                                                 {"instance", "a/b"},
                                                 {"id", 0},
                                                 {"ended_us", 0},
                                                 {"ended_us", UINT64_MAX}}) {
    Json json = RecordToJson(FullRecord());
    json[name] = value;
    INFO(json.dump());
    CHECK(ParseLine(json.dump(), &read) == LineKind::kMalformed);
  }
}

TEST_CASE("record_json: no bytes are too bad for a line", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random() % 12, '\0');
    for (char& c : bytes)
      c = static_cast<char>(random() % 4 == 0 ? random() : 0xC0 | random() % 64);
    HistoryRecord record = RecordOf(1, 1000, bytes);
    record.attributes = {{bytes + "k", bytes}};
    MakeTextsValid(&record);
    HistoryRecord read;
    REQUIRE(ParseLine(ToJson(record), &read) == LineKind::kRecord);
    REQUIRE(SameRecord(read, record));
    // Of valid text nothing is replaced.
    REQUIRE(ValidUtf8(record.kind) == record.kind);
  }
  CHECK(ValidUtf8("a\xFFz") == "a\xEF\xBF\xBDz");
  CHECK(ValidUtf8("\xF0\x9F\x98\x80 \xC3\xA4") == "\xF0\x9F\x98\x80 \xC3\xA4");
  // Too long a form, half of a pair, beyond the last one.
  CHECK(ValidUtf8("\xC0\xAF").find('\xC0') == std::string::npos);
  CHECK(ValidUtf8("\xED\xA0\x80").find('\xED') == std::string::npos);
  CHECK(ValidUtf8("\xF4\x90\x80\x80").find('\xF4') == std::string::npos);
}

}  // namespace
}  // namespace slipstream::observe
