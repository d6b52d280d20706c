// What arrives on a connection of the HTTP server: it is framed within its limits, and each request
// gets an answer. The first byte chooses between raw bytes and a request around the rest of them.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/observe/http/request_frame.h"
#include "lib/observe/http/request_processor.h"
#include "lib/observe/http/routes.h"
#include "slipstream/observe/task.h"
#include "tests/fuzz/fuzz.h"

using namespace slipstream::observe;

namespace {

class LeaderSource : public Source {
 public:
  void AppendMetrics(std::vector<MetricFamily>* families) const override {
    FamilyOf(families, "x_bytes", "A size.", MetricFamily::Type::kGauge)
        ->samples.push_back({{{"name", "\xff\n\"\\"}}, 1, {}});
  }
  HealthReport Health() const override { return {true, "", 1000, 1000}; }
  ReplicationReport Replication() const override {
    ReplicationReport report;
    report.database = "orders";
    report.role = "leader";
    report.followers.resize(1);
    report.followers[0].observe_endpoint = "f:1\xff";
    return report;
  }
};

// A server without its sockets.
class Served {
 public:
  Served() {
    FUZZ_REQUIRE(TaskRegistry::Create({}, &tasks).ok());
    running.emplace_back(
        tasks.get(), "query",
        std::initializer_list<TaskAttribute>{{"account", "42"}, {"t", "\xff\x01"}});
    TaskOptions child;
    child.parent = running[0].id();
    running.emplace_back(tasks.get(), "upload", std::initializer_list<TaskAttribute>{}, child);
    running[0].SetBlocker(Blocker::Task(running[1].id()));
    Task(tasks.get(), "failed").Finish(rocksdb::Status::IOError("disk"));
    sources.Add(std::make_shared<LeaderSource>());
    HttpServerOptions options;
    options.registry = tasks.get();
    options.bearer_token = "t";
    options.environments = {{"e", {"a:1"}}};
    routes = std::make_unique<Routes>(options, &sources, &stats);
    processor = std::make_unique<RequestProcessor>(
        [this](const httplib::Request& request, httplib::Response& response) {
          routes->Answer(request, response);
        });
  }

  std::unique_ptr<TaskRegistry> tasks;
  std::vector<Task> running;
  SourceList sources;
  ConnectionStats stats;
  std::unique_ptr<Routes> routes;
  std::unique_ptr<RequestProcessor> processor;
};

void CheckAnswer(const std::string& answer, int status) {
  FUZZ_REQUIRE(answer.starts_with("HTTP/1.1 "));
  FUZZ_REQUIRE(status >= 200 && status < 600 && status != 500);
  const size_t head_end = answer.find("\r\n\r\n");
  FUZZ_REQUIRE(head_end != std::string::npos);
  // Nothing of the request makes a line of its own in the head.
  FUZZ_REQUIRE(answer.substr(0, head_end).find("\r\ninjected") == std::string::npos);
}

std::string Build(std::string_view rest, uint8_t choice) {
  constexpr std::string_view kStarts[] = {"GET /procs/?",     "GET /procs/",    "DELETE /procs/",
                                          "GET /health?",     "GET /metrics?",  "POST /pm",
                                          "GET /procs/tree?", "OPTIONS /procs/"};
  const size_t line = rest.find('\n');
  const std::string_view target = rest.substr(0, line);
  const std::string_view body = line == std::string_view::npos ? "" : rest.substr(line + 1);
  return std::string(kStarts[choice % std::size(kStarts)]) + std::string(target) +
         " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer t\r\nOrigin: http://127.0.0.1\r\n"
         "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Served served;
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string bytes = data[0] == 'r' ? std::string(rest) : Build(rest, data[0]);
  std::string_view left = bytes;
  const FrameLimits limits;
  for (;;) {
    const RequestFrame frame = FrameRequest(left, limits);
    if (frame.state == RequestFrame::State::kIncomplete) {
      FUZZ_REQUIRE(left.size() <= limits.head_bytes + limits.body_bytes + 8);
      return 0;
    }
    if (frame.state == RequestFrame::State::kRefused) {
      CheckAnswer(RequestProcessor::Refusal(frame.refusal, frame.reason), frame.refusal);
      return 0;
    }
    FUZZ_REQUIRE(frame.size > 0 && frame.size <= left.size());
    FUZZ_REQUIRE(frame.body.size() <= limits.body_bytes);
    FUZZ_REQUIRE(frame.head.ends_with("\r\n\r\n"));
    FUZZ_REQUIRE(frame.head.find("\r\n\r\n") == frame.head.size() - 4);
    // It would look at the threads of the fuzzer, which takes a while.
    if (frame.head.find("thr") == std::string::npos && frame.head.find('%') == std::string::npos) {
      const RequestProcessor::Answered answered = served.processor->Answer(frame.head, frame.body);
      CheckAnswer(answered.bytes, answered.status);
    } else if (frame.head.find("thr") == std::string::npos) {
      // An escaped path might be /threads after all; such requests are asked of the tasks.
      const RequestProcessor::Answered answered = served.processor->Answer(
          "GET /procs/?" + frame.head.substr(std::min(frame.head.find('%'), frame.head.size())),
          frame.body);
      CheckAnswer(answered.bytes, answered.status);
    }
    left.remove_prefix(frame.size);
  }
}
