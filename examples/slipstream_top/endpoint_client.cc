#include "endpoint_client.h"

#include <httplib.h>
#include <time.h>

#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

namespace slipstream_top {
namespace {

constexpr size_t kMaxAnswerBytes = 32 << 20;
constexpr size_t kMaxFollowers = 200;

// Members that are not there, or of another type, are empty: the other side may be of any version.
std::string TextOf(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
}

int64_t NumberOf(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_number_integer() ? it->get<int64_t>() : 0;
}

bool FlagOf(const Json& json, const char* name, bool otherwise) {
  const auto it = json.find(name);
  return it != json.end() && it->is_boolean() ? it->get<bool>() : otherwise;
}

const Json& ListOf(const Json& json, const char* name) {
  static const Json none = Json::array();
  const auto it = json.find(name);
  return it != json.end() && it->is_array() ? *it : none;
}

// Microseconds since 1970 of "2026-11-25T21:27:20.123456Z"; 0 of anything else.
int64_t ParseTime(const std::string& text) {
  tm utc{};
  int read = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &utc.tm_year, &utc.tm_mon,
                  &utc.tm_mday, &utc.tm_hour, &utc.tm_min, &utc.tm_sec, &read) != 6) {
    return 0;
  }
  utc.tm_year -= 1900;
  utc.tm_mon -= 1;
  double fraction = 0;
  if (text[static_cast<size_t>(read)] == '.') {
    fraction = std::strtod(text.c_str() + read, nullptr);
  }
  return static_cast<int64_t>(timegm(&utc)) * 1'000'000 + static_cast<int64_t>(fraction * 1e6);
}

std::string AttributesOf(const Json& proc) {
  std::string text;
  for (const Json& attribute : ListOf(proc, "attrs")) {
    if (!attribute.is_object()) continue;
    if (!text.empty()) text += ' ';
    text += TextOf(attribute, "name") + "=" + TextOf(attribute, "value");
  }
  return text;
}

std::string ProgressOf(const Json& proc) {
  const auto it = proc.find("progress");
  if (it == proc.end() || !it->is_object()) return {};
  const int64_t done = NumberOf(*it, "done");
  const int64_t total = NumberOf(*it, "total");
  std::string text = std::to_string(done);
  if (total > 0) text = std::to_string(100 * done / total) + "% of " + std::to_string(total);
  const std::string unit = TextOf(*it, "unit");
  return unit.empty() ? text : text + " " + unit;
}

std::string BlockerOf(const Json& proc) {
  const auto it = proc.find("blocker");
  if (it == proc.end() || !it->is_object()) return {};
  const std::string name = TextOf(*it, "name");
  return TextOf(*it, "kind") + " " + (name.empty() ? TextOf(*it, "id") : name);
}

// How far the other side's clock, which showed now_us at a moment of ours, is off.
int64_t WholeSecondsWrong(int64_t now_us, SteadyTime at) {
  constexpr double kSecond = 1e6;
  const auto ago = std::chrono::steady_clock::now() - at;
  const auto then = (std::chrono::system_clock::now() - ago).time_since_epoch();
  const auto then_us = std::chrono::duration_cast<std::chrono::microseconds>(then).count();
  return std::llround(static_cast<double>(now_us - then_us) / kSecond) * 1'000'000;
}

// now_us: by the other side's clock; at: by ours.
TaskRow RowOf(const std::string& endpoint, const Json& proc, int64_t now_us, SteadyTime at) {
  TaskRow row;
  row.endpoint = endpoint;
  row.id = TextOf(proc, "id");
  row.kind = TextOf(proc, "kind");
  row.status = TextOf(proc, "status");
  row.attributes = AttributesOf(proc);
  row.progress = ProgressOf(proc);
  row.blocker = BlockerOf(proc);
  row.error = TextOf(proc, "error");
  row.outcome = TextOf(proc, "outcome");
  if (row.outcome.empty()) row.outcome = "running";
  row.cancelling = FlagOf(proc, "cancelling", false);
  row.cancellable = FlagOf(proc, "cancellable", true);
  const int64_t ended_us = ParseTime(TextOf(proc, "endTime"));
  const int64_t until_us = ended_us != 0 ? ended_us : now_us;
  const int64_t began_us = ParseTime(TextOf(proc, "procTime"));
  const int64_t status_us = ParseTime(TextOf(proc, "statusTime"));
  row.age_us = began_us == 0 ? 0 : until_us - began_us;
  row.status_age_us = status_us == 0 ? 0 : until_us - status_us;
  row.began_at = at - std::chrono::microseconds(began_us == 0 ? 0 : now_us - began_us);
  row.status_since = at - std::chrono::microseconds(status_us == 0 ? 0 : now_us - status_us);
  const int64_t wrong_us = WholeSecondsWrong(now_us, at);
  row.began_us = began_us - wrong_us;
  row.status_us = status_us - wrong_us;
  row.json = proc;
  return row;
}

// Of all of the process's databases.
std::vector<std::string> FollowersIn(const Json& replication) {
  std::vector<std::string> endpoints;
  for (const Json& source : ListOf(replication, "sources")) {
    if (!source.is_object()) continue;
    for (const Json& follower : ListOf(source, "followers")) {
      if (!follower.is_object() || endpoints.size() >= kMaxFollowers) continue;
      std::string endpoint = TextOf(follower, "observeEndpoint");
      std::string host;
      int port = 0;
      if (ParseEndpoint(endpoint, &host, &port)) endpoints.push_back(std::move(endpoint));
    }
  }
  return endpoints;
}

// "error" of an answer that is one.
std::string ErrorIn(const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  const std::string text = json.is_object() ? TextOf(json, "error") : std::string();
  return text.empty() ? text : ": " + text;
}

std::string Describe(httplib::Error error) {
  switch (error) {
    case httplib::Error::Connection:
      return "nobody listens, or it cannot be reached";
    case httplib::Error::Read:
    case httplib::Error::Canceled:
      return "no answer in time, or one that is too long";
    default:
      return httplib::to_string(error);
  }
}

bool IsId(const std::string& id) {
  return !id.empty() && id.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

bool ParseEndpoint(const std::string& endpoint, std::string* host, int* port) {
  const size_t colon = endpoint.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  *host = endpoint.substr(0, colon);
  const std::string digits = endpoint.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *port);
  if (error != std::errc() || end != digits.data() + digits.size()) return false;
  if (*port < 1 || *port > 65'535) return false;
  const bool in_brackets = host->size() > 2 && host->front() == '[' && host->back() == ']';
  if (in_brackets) *host = host->substr(1, host->size() - 2);
  const char* allowed = in_brackets
                            ? "0123456789abcdefABCDEF:."
                            : "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_";
  return host->find_first_not_of(allowed) == std::string::npos;
}

EndpointClient::EndpointClient(std::string endpoint, ClientSettings settings)
    : endpoint_(std::move(endpoint)), settings_(std::move(settings)), client_([this] {
        std::string host;
        int port = 0;
        ParseEndpoint(endpoint_, &host, &port);
        return std::make_unique<httplib::Client>(host, port);
      }()) {
  client_->set_connection_timeout(settings_.timeout);
  client_->set_read_timeout(settings_.timeout);
  client_->set_write_timeout(settings_.timeout);
  client_->set_keep_alive(true);
}

EndpointClient::~EndpointClient() = default;

void EndpointClient::Stop() { client_->stop(); }

bool EndpointClient::Get(const std::string& path, Json* answer, std::string* error) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + 2 * settings_.timeout;
  std::string body;
  const auto receive = [&](const char* data, size_t bytes) {
    body.append(data, bytes);
    // However slowly it comes, and whatever it is.
    return body.size() <= kMaxAnswerBytes && std::chrono::steady_clock::now() < deadline;
  };
  const httplib::Result result = client_->Get(path, receive);
  if (!result) {
    *error = Describe(result.error());
    return false;
  }
  if (result->status != 200) {
    *error = "HTTP " + std::to_string(result->status) + ErrorIn(body);
    return false;
  }
  *answer = Json::parse(body, nullptr, false);
  if (answer->is_object()) return true;
  *error = "what answers there is not Slipstream";
  return false;
}

EndpointState EndpointClient::Fetch(bool with_finished) {
  EndpointState state;
  state.endpoint = endpoint_;
  state.was_asked = true;
  Json procs;
  state.is_reached =
      Get("/procs/?limit=" + std::to_string(settings_.limit) + (with_finished ? "&state=all" : ""),
          &procs, &state.error);
  state.at = std::chrono::steady_clock::now();
  if (!state.is_reached) return state;
  const int64_t now_us = ParseTime(TextOf(procs, "serverTime"));
  for (const Json& proc : ListOf(procs, "procs")) {
    if (proc.is_object()) state.tasks.push_back(RowOf(endpoint_, proc, now_us, state.at));
  }
  state.total_tasks =
      std::max<uint64_t>(static_cast<uint64_t>(NumberOf(procs, "total")), state.tasks.size());
  std::string ignored;  // there is one wherever tasks are listed
  if (Get("/replication", &state.replication, &ignored)) {
    state.followers = FollowersIn(state.replication);
  }
  return state;
}

std::vector<std::string> EndpointClient::FetchHistory(const std::string& id) {
  Json answer;
  std::string error;
  if (!IsId(id) || !Get("/procs/" + id + "/history", &answer, &error)) {
    return {"no history: " + error};
  }
  const int64_t now_us = ParseTime(TextOf(answer, "serverTime"));
  std::vector<std::string> lines;
  for (const Json& change : ListOf(answer, "history")) {
    if (!change.is_object()) continue;
    const std::string time = TextOf(change, "ts");
    lines.push_back(time + "  " + AgeText(now_us - ParseTime(time)) + " ago  " +
                    TextOf(change, "status"));
  }
  if (lines.empty()) lines.emplace_back("its status never changed");
  return lines;
}

std::string EndpointClient::Kill(const std::string& id, const std::string& message) {
  const std::string task = "task " + id + " of " + endpoint_;
  if (!IsId(id)) return task + " has no id";
  httplib::Headers headers;
  if (!settings_.token.empty()) headers.emplace("Authorization", "Bearer " + settings_.token);
  const std::string body =
      Json{{"message", message}}.dump(-1, ' ', false, Json::error_handler_t::replace);
  const httplib::Result result = client_->Delete("/procs/" + id, headers, body, "application/json");
  if (!result) return task + " not killed: " + Describe(result.error());
  if (result->status == 200) return task + " is asked to end";
  return task + " not killed: HTTP " + std::to_string(result->status) +
         ErrorIn(result->body.substr(0, 65'536));
}

std::string AgeText(int64_t us) {
  const int64_t seconds = us / 1'000'000;
  char text[48];
  if (seconds < 60) {
    std::snprintf(text, sizeof(text), "%.1fs", static_cast<double>(us) / 1e6);
  } else if (seconds < 3600) {
    std::snprintf(text, sizeof(text), "%ldm%02lds", seconds / 60, seconds % 60);
  } else if (seconds < 86'400) {
    std::snprintf(text, sizeof(text), "%ldh%02ldm", seconds / 3600, seconds / 60 % 60);
  } else {
    std::snprintf(text, sizeof(text), "%ldd%02ldh", seconds / 86'400, seconds / 3600 % 24);
  }
  return text;
}

}  // namespace slipstream_top
