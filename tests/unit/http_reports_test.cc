// /metrics, /health, /replication and /threads over real sockets.
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "slipstream/observe/http_server.h"
#include "slipstream/observe/source.h"
#include "tests/unit/observed_tasks.h"
#include "tests/unit/raw_http.h"

namespace slipstream::observe {
namespace {

// As a host could write one.
class QueueSource : public Source {
 public:
  void AppendMetrics(std::vector<MetricFamily>* families) const override {
    const auto sample = [&](const std::string& label) {
      MetricSample sample;
      sample.labels = {{"queue", label}, {"0bad", "x"}};
      sample.value = 1.5;
      return sample;
    };
    FamilyOf(families, "queue_bytes", "Bytes\nin it.", MetricFamily::Type::kGauge)
        ->samples.push_back(sample("a\"b\\c\nd"));
    FamilyOf(families, "bad name", "Not a name.", MetricFamily::Type::kGauge)
        ->samples.push_back(sample("x"));
    Histogram waits({0.1, 1});
    for (const double wait : {0.05, 0.5, 0.6, 7.0}) waits.Observe(wait);
    MetricSample sampled;
    sampled.histogram = waits.Snapshot();
    FamilyOf(families, "queue_wait_seconds", "Waits.", MetricFamily::Type::kHistogram)
        ->samples.push_back(sampled);
  }
  HealthReport Health() const override { return health; }
  ReplicationReport Replication() const override { return report; }

  HealthReport health;
  ReplicationReport report;
};

class ServedSource {
 public:
  ServedSource() {
    REQUIRE(HttpServer::Start({.registry = tasks.registry()}, &server).ok());
    server->AddSource(source);
    server->AddSource(source);
  }
  RawReply Get(const std::string& target) { return Fetch(server->port(), "GET", target); }

  ObservedTasks tasks;
  std::shared_ptr<QueueSource> source = std::make_shared<QueueSource>();
  std::unique_ptr<HttpServer> server;
};

bool HasLine(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST_CASE("http reports: metrics in the text format of Prometheus", "[unit]") {
  ServedSource served;
  const RawReply reply = served.Get("/metrics");
  REQUIRE(reply.status == 200);
  CHECK(reply.Header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8");
  INFO(reply.body);
  CHECK(HasLine(reply.body, "# HELP queue_bytes Bytes in it."));
  CHECK(HasLine(reply.body, "# TYPE queue_bytes gauge"));
  CHECK(HasLine(reply.body, R"(queue_bytes{queue="a\"b\\c\nd"} 1.5)"));
  CHECK(HasLine(reply.body, "queue_wait_seconds_bucket{le=\"0.1\"} 1"));
  CHECK(HasLine(reply.body, "queue_wait_seconds_bucket{le=\"1\"} 3"));
  CHECK(HasLine(reply.body, "queue_wait_seconds_bucket{le=\"+Inf\"} 4"));
  CHECK(HasLine(reply.body, "queue_wait_seconds_count 4"));
  CHECK(HasLine(reply.body, "slipstream_tasks_running 0"));
  CHECK(HasLine(reply.body, "slipstream_http_connections 1"));
  CHECK(reply.body.find("bad") == std::string::npos);
}

TEST_CASE("http reports: healthy is who is ready and near enough", "[unit]") {
  ServedSource served;
  served.source->health = {true, "", 2'000'000, 3'000'000};
  CHECK(served.Get("/health").status == 200);
  CHECK(served.Get("/health").Json()["ready"] == true);
  CHECK(served.Get("/health?max_lag_ms=3000").status == 200);
  const RawReply stale = served.Get("/health?max_lag_ms=2999");
  CHECK(stale.status == 503);
  CHECK(stale.Json()["sources"][0]["reason"] == "staleness is 3000 ms, expected at most 2999 ms");
  CHECK(served.Get("/health?max_lag_ms=1").Json()["sources"][0]["reason"] ==
        "lag is 2000 ms, expected at most 1 ms");
  for (const std::string bad : {"", "x", "-1", "99999999999999"}) {
    CHECK(served.Get("/health?max_lag_ms=" + bad).status == 400);
  }
  served.server->RemoveSource(served.source);
  served.source->health = {false, "no leader", 0, 0};
  CHECK(served.Get("/health").status == 200);
  served.server->AddSource(served.source);
  const RawReply down = served.Get("/health");
  CHECK(down.status == 503);
  CHECK(down.Json()["sources"][0]["reason"] == "no leader");
}

TEST_CASE("http reports: replication has positions and followers", "[unit]") {
  ServedSource served;
  ReplicationReport& report = served.source->report;
  report.database = "orders";
  report.role = "leader";
  report.position = {7, 1000, 55};
  report.pinned_bytes = 4096;
  FollowerReport follower;
  follower.id = "f1";
  follower.observe_endpoint = "127.0.0.1:9091";
  follower.applied = {7, 900, 50};
  report.followers.push_back(follower);
  const nlohmann::json reply = served.Get("/replication").Json();
  REQUIRE(reply["sources"].size() == 1);
  const nlohmann::json& leader = reply["sources"][0];
  CHECK(leader["database"] == "orders");
  CHECK(leader["position"] == nlohmann::json({{"epoch", 7}, {"offset", 1000}, {"sequence", 55}}));
  CHECK(leader["received"].is_null());
  CHECK(leader["pinnedBytes"] == 4096);
  CHECK(leader["followers"][0]["observeEndpoint"] == "127.0.0.1:9091");
  CHECK(leader["followers"][0]["applied"]["offset"] == 900);
  served.server->RemoveSource(served.source);
  CHECK(served.Get("/replication").Json()["sources"].empty());
}

TEST_CASE("http reports: threads as JSON, as text and as collapsed stacks", "[unit]") {
  ServedSource served;
  const nlohmann::json threads = served.Get("/threads").Json();
  CHECK(threads["threads"].size() >= 3);
  const RawReply text = served.Get("/threads?format=text");
  CHECK(text.Header("Content-Type") == "text/plain; charset=utf-8");
  CHECK(text.body.find("ss-http") != std::string::npos);
  const RawReply collapsed = served.Get("/threads?samples=2&interval_ms=1");
  CHECK(collapsed.status == 200);
  CHECK(collapsed.body.find("ss-http-answer;") != std::string::npos);
  for (const std::string bad : {"samples=0", "samples=x", "samples=1000&interval_ms=1000",
                                "format=svg", "format=json&samples=2", "nothing=1"}) {
    CHECK(served.Get("/threads?" + bad).status == 400);
  }
}

TEST_CASE("http reports: the page asks nothing of others but data", "[unit]") {
  ServedSource served;
  const RawReply page = served.Get("/?host=127.0.0.1:1");
  CHECK(page.status == 200);
  CHECK(page.Header("Content-Type") == "text/html; charset=utf-8");
  CHECK(page.Header("Content-Security-Policy").starts_with("default-src 'none';"));
  CHECK(page.body.starts_with("<!DOCTYPE html>"));
  CHECK(page.body.ends_with("</html>\n"));
  for (const std::string sink : {"innerHTML", "outerHTML", "document.write", "insertAdjacentHTML",
                                 "eval(", "src=", "@import", "https://"}) {
    INFO(sink);
    CHECK(page.body.find(sink) == std::string::npos);
  }
}

TEST_CASE("http reports: a profile that takes long leaves threads for others", "[unit]") {
  ServedSource served;
  std::atomic<bool> done{false};
  std::thread profiler([&] {
    while (served.Get("/threads?samples=50&interval_ms=20").status == 503) {
    }
    done = true;
  });
  bool refused = false;
  while (!refused && !done) refused = served.Get("/threads?samples=1").status == 503;
  CHECK(refused);
  std::vector<std::thread> profilers;
  for (int i = 0; i < 8; ++i) {
    profilers.emplace_back([&] { served.Get("/threads?samples=50&interval_ms=20"); });
  }
  CHECK(served.Get("/replication").status == 200);
  CHECK(served.Get("/threads").status == 200);
  profiler.join();
  for (std::thread& thread : profilers) thread.join();
  CHECK(served.Get("/threads?samples=1").status == 200);
}

}  // namespace
}  // namespace slipstream::observe
