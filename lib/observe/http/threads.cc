#include "lib/observe/http/threads.h"

#include <atomic>
#include <string>

#include "lib/observe/http/json_answer.h"
#include "slipstream/observe/thread_stacks.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

// So that a request does not keep its thread, and HttpServer::Stop, for longer.
constexpr uint64_t kMaxProfileMs = 10'000;

struct ThreadsQuery {
  std::string format = "json";
  StackProfileOptions profile;
};

// Leaves `number` if there is no such parameter; false if it is no number of up to six digits.
template <typename Number>
bool TakeNumber(const httplib::Request& request, const char* name, Number* number) {
  if (!request.has_param(name)) return true;
  const std::string text = request.get_param_value(name);
  if (text.empty() || text.size() > 6 ||
      text.find_first_not_of("0123456789") != std::string::npos) {
    return false;
  }
  *number = std::stoul(text);
  return true;
}

// The error, or nothing.
std::string Parse(const httplib::Request& request, ThreadsQuery* query) {
  for (const auto& [name, value] : request.params) {
    if (name != "format" && name != "samples" && name != "interval_ms") {
      return "unknown parameter \"" + name + "\", expected format, samples or interval_ms";
    }
  }
  if (!TakeNumber(request, "samples", &query->profile.samples) ||
      !TakeNumber(request, "interval_ms", &query->profile.interval_ms)) {
    return "samples and interval_ms are numbers";
  }
  if (request.has_param("samples")) query->format = "collapsed";
  if (request.has_param("format")) query->format = request.get_param_value("format");
  if (query->format != "json" && query->format != "text" && query->format != "collapsed") {
    return "format is \"" + query->format + "\", expected json, text or collapsed";
  }
  if (query->format != "collapsed" && request.has_param("samples")) {
    return "samples are shown as collapsed stacks alone";
  }
  if (query->profile.samples * query->profile.interval_ms > kMaxProfileMs) {
    return "samples * interval_ms is more than " + std::to_string(kMaxProfileMs) + " ms";
  }
  const Status s = query->profile.Validate();
  return s.ok() ? "" : s.ToString();
}

// One profile at a time, so that others do not find all threads that answer busy with it.
class ProfileRight {
 public:
  ProfileRight() : taken_(!in_use.exchange(true)) {}
  ~ProfileRight() {
    if (taken_) in_use.store(false);
  }
  ProfileRight(const ProfileRight&) = delete;
  ProfileRight& operator=(const ProfileRight&) = delete;
  bool taken() const { return taken_; }

 private:
  // Of the process, as the threads are.
  static inline std::atomic<bool> in_use{false};
  const bool taken_;
};

void AnswerFailure(const Status& s, httplib::Response* response) {
  AnswerError(s.IsNotSupported() ? 501 : 503, s.ToString(), response);
}

}  // namespace

void AnswerThreads(const httplib::Request& request, const TaskRegistry* registry,
                   httplib::Response* response) {
  ThreadsQuery query;
  const std::string error = Parse(request, &query);
  if (!error.empty()) return AnswerError(400, error, response);
  query.profile.stacks.registry = registry;
  if (query.format == "collapsed") {
    const ProfileRight right;
    if (!right.taken()) return AnswerError(503, "another profile is being taken", response);
    StackProfile profile;
    const Status s = ProfileThreadStacks(query.profile, &profile);
    if (!s.ok()) return AnswerFailure(s, response);
    response->status = 200;
    response->set_content(ProfileToCollapsed(profile), "text/plain; charset=utf-8");
    return;
  }
  ThreadStacks stacks;
  const Status s = CaptureThreadStacks(query.profile.stacks, &stacks);
  if (!s.ok()) return AnswerFailure(s, response);
  response->status = 200;
  if (query.format == "text") {
    response->set_content(StacksToText(stacks), "text/plain; charset=utf-8");
  } else {
    response->set_content(StacksToJson(stacks) + "\n", "application/json");
  }
}

}  // namespace slipstream::observe
