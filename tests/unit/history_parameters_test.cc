#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "slipstream/observe/history.h"
#include "tests/unit/history_records.h"

namespace slipstream::observe {
namespace {

TEST_CASE("history_parameters: each one sets its part of a query", "[unit]") {
  HistoryQuery query;
  REQUIRE(ParseHistoryParameters({{"kind", "query"},
                                  {"status", "merging"},
                                  {"outcome", "failed"},
                                  {"instance", "a-1"},
                                  {"attr.account", "42"},
                                  {"attr.x.y", ""},
                                  {"limit", "7"},
                                  {"after", std::string(48, '0')}},
                                 0, &query)
              .ok());
  CHECK(query.filter.kind == "query");
  CHECK(query.filter.status == "merging");
  CHECK(query.filter.outcome == TaskOutcome::kFailed);
  CHECK(query.filter.instance == "a-1");
  CHECK(query.filter.attributes ==
        decltype(query.filter.attributes){{"account", "42"}, {"x.y", ""}});
  CHECK(query.limit == 7);
  CHECK(query.after.size() == 48);
  CHECK(query.filter.from_us == 0);
  CHECK(query.filter.to_us == UINT64_MAX);
}

TEST_CASE("history_parameters: moments", "[unit]") {
  const uint64_t now_us = kSomeTimeUs;  // 2023-11-14T22:13:20Z
  const std::vector<std::pair<std::string, uint64_t>> cases = {
      {"1700000000", kSomeTimeUs},
      {"1700000000.25", kSomeTimeUs + 250'000},
      {"2023-11-14T22:13:20Z", kSomeTimeUs},
      {"2023-11-14T22:13:20.000001Z", kSomeTimeUs + 1},
      {"-90s", kSomeTimeUs - 90'000'000},
      {"-1.5m", kSomeTimeUs - 90'000'000},
      {"-2h", kSomeTimeUs - UINT64_C(7'200'000'000)},
      {"-7d", kSomeTimeUs - UINT64_C(604'800'000'000)},
      {"-99999999d", 0},
      {"0", 0}};
  for (const auto& [text, expected] : cases) {
    HistoryQuery query;
    INFO(text);
    REQUIRE(ParseHistoryParameters({{"from", text}, {"to", text}}, now_us, &query).ok());
    CHECK(query.filter.from_us == expected);
    CHECK(query.filter.to_us == expected);
  }
}

TEST_CASE("history_parameters: what is not understood is named", "[unit]") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"kinds", "x"},
      {"", ""},
      {"outcome", "running"},
      {"outcome", "bad"},
      {"from", "yesterday"},
      {"from", "-2y"},
      {"from", "-h"},
      {"from", ""},
      {"to", "1.2.3"},
      {"to", "1700000000."},
      {"to", "2023-11-14"},
      {"to", "-999999999999d"},
      {"to", "2023-11-14T22:13:20+01:00"},
      {"limit", "ten"},
      {"limit", "-1"},
      {"limit", "0"},
      {"limit", "1x"},
      {"after", "x"}};
  for (const auto& [name, value] : cases) {
    HistoryQuery query;
    INFO(name << "=" << value);
    const rocksdb::Status s = ParseHistoryParameters({{name, value}}, kSomeTimeUs, &query);
    CHECK(s.IsInvalidArgument());
    CHECK(s.ToString().find(name) != std::string::npos);
    CHECK(s.ToString().find("expected") != std::string::npos);
  }
}

}  // namespace
}  // namespace slipstream::observe
