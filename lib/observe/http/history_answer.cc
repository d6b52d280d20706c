#include "lib/observe/http/history_answer.h"

#include <charconv>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "lib/observe/http/json_answer.h"
#include "lib/observe/wall_clock.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

// False if the answer is given.
bool HasHistory(const History* history, httplib::Response* response) {
  if (history != nullptr) return true;
  AnswerError(404, "this process has no history; see HttpServerOptions::history", response);
  return false;
}

void AnswerFailure(const Status& s, httplib::Response* response) {
  const int status = s.IsInvalidArgument() ? 400 : s.IsNotFound() ? 404 : 503;
  AnswerError(status, s.ToString(), response);
}

}  // namespace

void AnswerHistory(const httplib::Request& request, const History* history,
                   httplib::Response* response) {
  if (!HasHistory(history, response)) return;
  const std::vector<std::pair<std::string, std::string>> parameters(request.params.begin(),
                                                                    request.params.end());
  HistoryQuery query;
  HistoryPage page;
  Status s = ParseHistoryParameters(parameters, WallMicros(), &query);
  if (s.ok()) s = history->Query(query, &page);
  if (!s.ok()) return AnswerFailure(s, response);
  response->status = 200;
  response->set_content(ToJson(page) + "\n", "application/json");
}

void AnswerHistoryRecord(std::string_view name, const History* history,
                         httplib::Response* response) {
  if (!HasHistory(history, response)) return;
  const size_t slash = name.rfind('/');
  TaskId id = 0;
  if (slash != std::string_view::npos) {
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + slash + 1, end, id);
    if (error != std::errc() || stop != end) id = 0;
  }
  if (id == 0) return AnswerError(404, "expected /history/INSTANCE/ID", response);
  HistoryRecord record;
  const Status s = history->Get(std::string(name.substr(0, slash)), id, &record);
  if (!s.ok()) return AnswerFailure(s, response);
  response->status = 200;
  response->set_content(ToJson(record) + "\n", "application/json");
}

}  // namespace slipstream::observe
