// Queries and their answers as text.
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "lib/core/quoted_text.h"
#include "lib/observe/history/record_json.h"
#include "slipstream/observe/history.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

constexpr char kKnown[] = "kind, status, outcome, instance, attr.NAME, from, to, limit or after";
constexpr char kMoments[] = "2026-11-25T21:30:00Z, seconds since 1970, or -90s, -15m, -2h or -7d";

Status Bad(const std::string& name, const std::string& value, const std::string& expected) {
  return Status::InvalidArgument("parameter " + name + " is " + Quoted(value),
                                 "expected " + expected);
}

// A number of digits, with a fraction or not, in millionths. False for what is none, or too large.
bool ParseMillionths(std::string_view text, uint64_t* out) {
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  std::string fraction;
  if (point != std::string_view::npos) {
    fraction = text.substr(point + 1);
    if (fraction.empty()) return false;
  }
  if (whole.empty() || whole.size() > 12 || fraction.size() > 9) return false;
  for (const char c : std::string(whole) + fraction) {
    if (c < '0' || c > '9') return false;
  }
  fraction.resize(6, '0');
  std::from_chars(whole.data(), whole.data() + whole.size(), *out);
  *out = *out * 1'000'000 + static_cast<uint64_t>(std::atoi(fraction.c_str()));
  return true;
}

bool ParseAgo(std::string_view text, uint64_t now_us, uint64_t* out) {
  static const std::map<char, uint64_t> kUnits = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86'400}};
  if (text.size() < 3 || text[0] != '-') return false;
  const auto unit = kUnits.find(text.back());
  uint64_t ago = 0;
  if (unit == kUnits.end() || !ParseMillionths(text.substr(1, text.size() - 2), &ago)) return false;
  if (ago > UINT64_MAX / unit->second) return false;
  ago *= unit->second;
  *out = now_us > ago ? now_us - ago : 0;
  return true;
}

// RFC 3339 in UTC.
bool ParseDate(const std::string& text, uint64_t* out) {
  tm utc{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
  if (rest == nullptr || text.back() != 'Z') return false;
  uint64_t fraction = 0;
  const std::string between(rest, text.size() - static_cast<size_t>(rest - text.c_str()) - 1);
  if (!between.empty() && (between[0] != '.' || !ParseMillionths("0" + between, &fraction))) {
    return false;
  }
  const time_t seconds = timegm(&utc);
  if (seconds < 0) return false;
  *out = static_cast<uint64_t>(seconds) * 1'000'000 + fraction;
  return true;
}

bool ParseMoment(const std::string& text, uint64_t now_us, uint64_t* out) {
  return ParseMillionths(text, out) || ParseAgo(text, now_us, out) || ParseDate(text, out);
}

Status SetParameter(const std::string& name, const std::string& value, uint64_t now_us,
                    HistoryQuery* query) {
  HistoryFilter& filter = query->filter;
  const std::map<std::string, std::string*> texts = {{"kind", &filter.kind},
                                                     {"status", &filter.status},
                                                     {"instance", &filter.instance},
                                                     {"after", &query->after}};
  if (const auto text = texts.find(name); text != texts.end()) {
    *text->second = value;
    return Status::OK();
  }
  constexpr std::string_view kAttribute = "attr.";
  if (name.starts_with(kAttribute)) {
    filter.attributes.emplace_back(name.substr(kAttribute.size()), value);
    return Status::OK();
  }
  if (name == "outcome") {
    TaskOutcome outcome{};
    if (!ParseTaskOutcome(value, &outcome) || outcome == TaskOutcome::kRunning) {
      return Bad(name, value, "ok, failed or cancelled");
    }
    filter.outcome = outcome;
    return Status::OK();
  }
  if (name == "from" || name == "to") {
    uint64_t* moment = name == "from" ? &filter.from_us : &filter.to_us;
    return ParseMoment(value, now_us, moment) ? Status::OK() : Bad(name, value, kMoments);
  }
  if (name == "limit") {
    const char* end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, query->limit);
    return error == std::errc() && stop == end ? Status::OK() : Bad(name, value, "a number");
  }
  return Status::InvalidArgument("parameter " + Quoted(name) + " is unknown",
                                 std::string("expected ") + kKnown);
}

}  // namespace

Status ParseHistoryParameters(const std::vector<std::pair<std::string, std::string>>& parameters,
                              uint64_t now_us, HistoryQuery* query) {
  for (const auto& [name, value] : parameters) {
    const Status s = SetParameter(name, value, now_us, query);
    if (!s.ok()) return s;
  }
  return query->Validate();
}

std::string ToJson(const HistoryPage& page) {
  Json json = {{"records", Json::array()}, {"next", page.next}};
  for (const HistoryRecord& record : page.records) {
    json["records"].push_back(RecordToJson(record));
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace slipstream::observe
