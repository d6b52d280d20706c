#include "lib/observe/http/routes.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "lib/observe/http/history_answer.h"
#include "lib/observe/http/json_answer.h"
#include "lib/observe/http/metrics_text.h"
#include "lib/observe/http/page.h"
#include "lib/observe/http/reports.h"
#include "lib/observe/http/same_secret.h"
#include "lib/observe/http/threads.h"
#include "lib/observe/wall_clock.h"

namespace slipstream::observe {
namespace {

constexpr uint64_t kMaxLagMs = UINT64_C(1) << 40;
constexpr std::string_view kProcs = "/procs";
constexpr std::string_view kRecord = "/history/";
constexpr std::string_view kBearer = "Bearer ";

// False if it is no number of at most 18 digits.
bool ParseNumber(std::string_view text, uint64_t* number) {
  if (text.empty() || text.size() > 18 ||
      text.find_first_not_of("0123456789") != std::string_view::npos) {
    return false;
  }
  *number = 0;
  for (const char c : text) *number = *number * 10 + static_cast<uint64_t>(c - '0');
  return true;
}

void AddSample(std::vector<MetricFamily>* families, const char* name, const char* help,
               MetricFamily::Type type, double value,
               std::vector<std::pair<std::string, std::string>> labels = {}) {
  FamilyOf(families, name, help, type)->samples.push_back({std::move(labels), value, {}});
}

void AddTaskMetrics(const TaskRegistryStats& stats, std::vector<MetricFamily>* families) {
  using Type = MetricFamily::Type;
  AddSample(families, "slipstream_tasks_running", "Tasks that run now.", Type::kGauge,
            static_cast<double>(stats.running));
  AddSample(families, "slipstream_tasks_finished", "Tasks that have ended and are still visible.",
            Type::kGauge, static_cast<double>(stats.finished));
  AddSample(families, "slipstream_tasks_finished_bytes", "Memory that ended tasks take.",
            Type::kGauge, static_cast<double>(stats.finished_bytes));
  AddSample(families, "slipstream_tasks_unregistered_total",
            "Tasks that began unseen, because too many ran.", Type::kCounter,
            static_cast<double>(stats.unregistered));
}

void AddConnectionMetrics(const ConnectionStats& stats, std::vector<MetricFamily>* families) {
  using Type = MetricFamily::Type;
  AddSample(families, "slipstream_http_connections", "Connections of the HTTP server.",
            Type::kGauge, static_cast<double>(stats.open.load()));
  AddSample(families, "slipstream_http_connections_total", "Connections that were accepted.",
            Type::kCounter, static_cast<double>(stats.accepted.load()));
  AddSample(families, "slipstream_http_turned_away_total",
            "Connections that were refused or closed because there were too many.", Type::kCounter,
            static_cast<double>(stats.turned_away.load()));
  AddSample(families, "slipstream_http_timed_out_total", "Connections whose clients were too slow.",
            Type::kCounter, static_cast<double>(stats.timed_out.load()));
  for (size_t digit = 2; digit < stats.answers.size(); ++digit) {
    AddSample(families, "slipstream_http_answers_total", "Answers by the kind of their status.",
              Type::kCounter, static_cast<double>(stats.answers[digit].load()),
              {{"status", std::to_string(digit) + "xx"}});
  }
}

// What a page may do that was changed on its way, or by a text that it shows: nothing but ask other
// endpoints.
constexpr char kPagePolicy[] =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "connect-src *; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

void AnswerPage(httplib::Response* response) {
  response->status = 200;
  response->set_header("Content-Security-Policy", kPagePolicy);
  response->set_header("Referrer-Policy", "no-referrer");
  const std::string_view page = Page();
  response->set_content(page.data(), page.size(), "text/html; charset=utf-8");
}

}  // namespace

Routes::Routes(const HttpServerOptions& options, const SourceList* sources,
               const ConnectionStats* stats)
    : options_(options),
      origins_(options.allow_hosts, options.allow_origins),
      sources_(sources),
      stats_(stats),
      procs_(options.registry),
      chat_(options, sources) {}

Routes::Target Routes::Find(std::string_view path) {
  if (path == "/") return {Place::kPage};
  if (path == "/pm") return {Place::kChat};
  if (path == "/metrics") return {Place::kMetrics};
  if (path == "/health") return {Place::kHealth};
  if (path == "/replication") return {Place::kReplication};
  if (path == "/threads") return {Place::kThreads};
  if (path == "/history") return {Place::kRecords};
  if (path.starts_with(kRecord)) return {Place::kRecord};
  if (!path.starts_with(kProcs)) return {};
  path.remove_prefix(kProcs.size());
  if (path.empty() || path == "/") return {Place::kList};
  if (path[0] != '/') return {};
  path.remove_prefix(1);
  if (path == "tree") return {Place::kTree};
  const size_t slash = path.find('/');
  Target target;
  if (!ParseNumber(path.substr(0, slash), &target.id)) return {};
  const std::string_view rest = slash == std::string_view::npos ? "" : path.substr(slash);
  if (rest.empty() || rest == "/") target.place = Place::kProc;
  if (rest == "/history") target.place = Place::kHistory;
  if (rest == "/blockers") target.place = Place::kBlockers;
  return target;
}

const char* Routes::VerbsOf(Place place) {
  if (place == Place::kProc) return "GET, HEAD, DELETE, OPTIONS";
  if (place == Place::kChat) return "POST, OPTIONS";
  return "GET, HEAD, OPTIONS";
}

bool Routes::IsAllowed(const std::string& verb, Place place) {
  if (place == Place::kChat) return verb == "POST";
  if (verb == "DELETE") return place == Place::kProc;
  return verb == "GET" || verb == "HEAD";
}

void Routes::Answer(const httplib::Request& request, httplib::Response& response) const {
  response.set_header("Cache-Control", "no-store");
  response.set_header("X-Content-Type-Options", "nosniff");
  if (!AdmitsBrowser(request, &response)) return;
  const Target target = Find(request.path);
  if (target.place == Place::kNothing) return AnswerError(404, "there is no such path", &response);
  const std::string& verb = request.method;
  const char* const verbs = VerbsOf(target.place);
  if (verb == "OPTIONS") return AnswerOptions(request, verbs, &response);
  if (!IsAllowed(verb, target.place)) {
    response.set_header("Allow", verbs);
    return AnswerError(405, "expected one of " + std::string(verbs), &response);
  }
  if (verb == "DELETE" && !IsAuthorized(request, &response)) return;
  switch (target.place) {
    case Place::kPage:
      return AnswerPage(&response);
    case Place::kChat:
      return chat_.Answer(request, WallMicros() / 1'000'000, &response);
    case Place::kMetrics:
    case Place::kHealth:
    case Place::kReplication:
      return AnswerReport(target.place, request, &response);
    case Place::kThreads:
      return AnswerThreads(request, options_.registry, &response);
    case Place::kRecords:
      return AnswerHistory(request, options_.history, &response);
    case Place::kRecord:
      return AnswerHistoryRecord(std::string_view(request.path).substr(kRecord.size()),
                                 options_.history, &response);
    default:
      return AnswerProc(target, request, &response);
  }
}

bool Routes::AdmitsBrowser(const httplib::Request& request, httplib::Response* response) const {
  const std::string host = request.get_header_value("host");
  if (host.empty() && request.version != "HTTP/1.0") {
    AnswerError(400, "there is no Host header", response);
    return false;
  }
  if (!host.empty() && !origins_.IsOurHost(host)) {
    AnswerError(421, "this host name is not ours; see HttpServerOptions::allow_hosts", response);
    return false;
  }
  response->set_header("Vary", "Origin");
  const std::string origin = request.get_header_value("origin");
  if (!origin.empty() && origins_.MayRead(origin, host)) {
    response->set_header("Access-Control-Allow-Origin", origin);
  }
  return true;
}

void Routes::AnswerOptions(const httplib::Request& request, const char* verbs,
                           httplib::Response* response) {
  response->status = 204;
  response->set_header("Allow", verbs);
  if (!response->has_header("Access-Control-Allow-Origin")) return;
  response->set_header("Access-Control-Allow-Methods", verbs);
  response->set_header("Access-Control-Allow-Headers", "Authorization, Content-Type");
  response->set_header("Access-Control-Max-Age", "600");
  if (request.has_header("access-control-request-private-network")) {
    response->set_header("Access-Control-Allow-Private-Network", "true");
  }
}

bool Routes::IsAuthorized(const httplib::Request& request, httplib::Response* response) const {
  if (options_.bearer_token.empty()) {
    AnswerError(403, "this server changes nothing: it was started without a token", response);
    return false;
  }
  const std::string given = request.get_header_value("authorization");
  if (std::string_view(given).starts_with(kBearer) &&
      SameSecret(std::string_view(given).substr(kBearer.size()), options_.bearer_token)) {
    return true;
  }
  response->set_header("WWW-Authenticate", "Bearer");
  AnswerError(401, given.empty() ? "a bearer token is needed" : "the bearer token is wrong",
              response);
  return false;
}

void Routes::AnswerProc(const Target& target, const httplib::Request& request,
                        httplib::Response* response) const {
  switch (target.place) {
    case Place::kTree:
      return procs_.List(request, true, response);
    case Place::kProc:
      if (request.method == "DELETE") return procs_.Cancel(target.id, request, response);
      return procs_.Show(target.id, response);
    case Place::kHistory:
      return procs_.History(target.id, response);
    case Place::kBlockers:
      return procs_.Blockers(target.id, response);
    default:
      return procs_.List(request, false, response);
  }
}

void Routes::AnswerReport(Place place, const httplib::Request& request,
                          httplib::Response* response) const {
  if (place == Place::kReplication) return AnswerReplication(sources_->All(), response);
  if (place == Place::kMetrics) {
    response->status = 200;
    response->set_content(Metrics(), "text/plain; version=0.0.4; charset=utf-8");
    return;
  }
  uint64_t max_lag_ms = options_.max_lag_ms;
  const std::string given = request.get_param_value("max_lag_ms");
  if (request.has_param("max_lag_ms") &&
      (!ParseNumber(given, &max_lag_ms) || max_lag_ms > kMaxLagMs)) {
    return AnswerError(400, "max_lag_ms is \"" + given + "\", expected a number of milliseconds",
                       response);
  }
  AnswerHealth(sources_->All(), std::min(max_lag_ms, kMaxLagMs) * 1000, response);
}

std::string Routes::Metrics() const {
  std::vector<MetricFamily> families;
  for (const SourcePtr& source : sources_->All()) source->AppendMetrics(&families);
  if (options_.registry != nullptr) AddTaskMetrics(options_.registry->stats(), &families);
  AddConnectionMetrics(*stats_, &families);
  return MetricsText(families);
}

}  // namespace slipstream::observe
