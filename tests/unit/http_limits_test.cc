// Clients that are slow, many, rude or confused.
#include <sys/resource.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "slipstream/observe/http_server.h"
#include "slipstream/observe/task.h"
#include "tests/unit/observed_tasks.h"
#include "tests/unit/random_seed.h"
#include "tests/unit/raw_http.h"

namespace slipstream::observe {
namespace {

std::unique_ptr<HttpServer> StartServer(const HttpServerOptions& options) {
  std::unique_ptr<HttpServer> server;
  REQUIRE(HttpServer::Start(options, &server).ok());
  return server;
}

// Holds whoever asks for its health until it is let go.
class HoldingSource : public Source {
 public:
  void AppendMetrics(std::vector<MetricFamily>*) const override {}
  HealthReport Health() const override {
    std::unique_lock<std::mutex> lock(mutex_);
    ++held_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
    return {true, "", 0, 0};
  }
  ReplicationReport Replication() const override { return {}; }

  void WaitUntilHeld(int count) const {
    std::unique_lock<std::mutex> lock(mutex_);
    REQUIRE(changed_.wait_for(lock, std::chrono::seconds(20), [&] { return held_ >= count; }));
  }
  void Open() {
    std::lock_guard<std::mutex> lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable int held_ = 0;
  bool open_ = false;
};

class ThrowingSource : public HoldingSource {
 public:
  ReplicationReport Replication() const override { throw std::runtime_error("a bug of the host"); }
};

TEST_CASE("http limits: options that cannot work are refused by name", "[unit]") {
  const auto refused = [](const HttpServerOptions& options, const std::string& part) {
    std::unique_ptr<HttpServer> server;
    const rocksdb::Status s = HttpServer::Start(options, &server);
    INFO(s.ToString());
    CHECK(s.IsInvalidArgument());
    CHECK(s.ToString().find(part) != std::string::npos);
    CHECK(server == nullptr);
  };
  for (const std::string address : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "name:1",
                                    "::1:80", "127.0.0.1:-1", "127.0.0.1:1x"}) {
    refused({.listen_address = address}, "listen_address");
  }
  refused({.bearer_token = "a b"}, "bearer_token");
  refused({.threads = 0}, "threads");
  refused({.max_connections = 0}, "max_connections");
  refused({.max_waiting_requests = 0}, "max_waiting_requests");
  refused({.client_timeout_ms = 0}, "client_timeout_ms");
  refused({.idle_timeout_ms = 0}, "idle_timeout_ms");
  const auto first = StartServer({});
  std::unique_ptr<HttpServer> second;
  const rocksdb::Status taken =
      HttpServer::Start({.listen_address = "127.0.0.1:" + std::to_string(first->port())}, &second);
  CHECK(taken.IsIOError());
}

TEST_CASE("http limits: one connection carries many requests, also at once", "[unit]") {
  const auto server = StartServer({});
  RawConnection connection(server->port());
  for (int i = 0; i < 3; ++i) {
    REQUIRE(connection.Send(RawRequest("GET", "/health")));
    const RawReply reply = connection.Read();
    CHECK(reply.status == 200);
    CHECK(reply.Header("Keep-Alive").empty());
  }
  std::string burst;
  for (int i = 0; i < 20; ++i) burst += RawRequest("GET", i % 2 == 0 ? "/health" : "/nothing");
  REQUIRE(connection.Send(burst));
  for (int i = 0; i < 20; ++i) CHECK(connection.Read().status == (i % 2 == 0 ? 200 : 404));
  REQUIRE(connection.Send(RawRequest("GET", "/health", "Connection: close\r\n")));
  CHECK(connection.Read().status == 200);
  CHECK(connection.IsClosed());
  RawConnection old(server->port());
  REQUIRE(old.Send("GET /health HTTP/1.0\r\n\r\n"));
  CHECK(old.Read().status == 200);
  CHECK(old.IsClosed());
}

TEST_CASE("http limits: HEAD has no body", "[unit]") {
  const auto server = StartServer({});
  RawConnection connection(server->port());
  REQUIRE(connection.Send(RawRequest("HEAD", "/health", "Connection: close\r\n")));
  const RawReply reply = connection.Read();
  CHECK(reply.status == 200);
  CHECK(reply.Header("Content-Length") != "0");
  CHECK(reply.body.empty());
}

TEST_CASE("http limits: what is too long gets its answer and is closed", "[unit]") {
  const auto server = StartServer({});
  const auto status = [&](const std::string& bytes) {
    RawConnection connection(server->port());
    connection.Send(bytes);
    const int status = connection.Read().status;
    CHECK(connection.IsClosed());
    return status;
  };
  CHECK(status("GET /" + std::string(1 << 20, 'a')) == 414);
  CHECK(status("GET / HTTP/1.1\r\nA: " + std::string(1 << 20, 'a')) == 431);
  CHECK(status(RawRequest("POST", "/procs/", "Content-Length: 99999999\r\n")) == 413);
  CHECK(status("\x16\x03\x01 this is TLS\r\n\r\n") == 400);
  CHECK(Fetch(server->port(), "GET", "/health").status == 200);
}

TEST_CASE("http limits: slow clients are dropped and occupy no thread", "[unit]") {
  const auto server = StartServer({.threads = 1, .client_timeout_ms = 300});
  std::deque<RawConnection> slow;
  for (int i = 0; i < 50; ++i) {
    slow.emplace_back(server->port());
    REQUIRE(slow.back().Send("GET /health HTTP/1.1\r\nHost: 127"));
  }
  CHECK(Fetch(server->port(), "GET", "/health").status == 200);
  for (RawConnection& connection : slow) CHECK(connection.IsClosed());
  // One that sends a byte at times is no better.
  RawConnection drip(server->port());
  bool dropped = false;
  for (int i = 0; i < 400 && !dropped; ++i) {
    pollfd ready{drip.fd(), POLLIN, 0};
    dropped = !drip.Send("G") || poll(&ready, 1, 25) != 0;
  }
  CHECK(dropped);
}

TEST_CASE("http limits: clients that take no answers are dropped", "[unit]") {
  ObservedTasks tasks;
  std::vector<Task> running;
  for (int i = 0; i < 3000; ++i) {
    running.emplace_back(tasks.registry(), "query",
                         std::initializer_list<TaskAttribute>{{"text", std::string(900, 'x')}});
  }
  const auto server = StartServer({.registry = tasks.registry(), .client_timeout_ms = 300});
  RawConnection deaf(server->port());
  const int small = 4096;
  setsockopt(deaf.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  // Answers of about four megabytes: more than sockets hold.
  for (int i = 0; i < 3; ++i) REQUIRE(deaf.Send(RawRequest("GET", "/procs/?limit=3000")));
  for (int i = 0;; ++i) {
    const RawReply reply = Fetch(server->port(), "GET", "/metrics");
    if (reply.body.find("\nslipstream_http_timed_out_total 1\n") != std::string::npos) break;
    REQUIRE(i < 20'000);
  }
}

TEST_CASE("http limits: an idle connection gives way to a new one", "[unit]") {
  const auto server = StartServer({.max_connections = 8});
  std::deque<RawConnection> connections;
  for (int i = 0; i < 100; ++i) connections.emplace_back(server->port());
  CHECK(Fetch(server->port(), "GET", "/health").status == 200);
  CHECK(connections.front().IsClosed());
}

TEST_CASE("http limits: too many that want something are told so", "[unit]") {
  auto source = std::make_shared<HoldingSource>();
  const auto server = StartServer({.threads = 1, .max_connections = 4, .max_waiting_requests = 2});
  server->AddSource(source);
  std::deque<RawConnection> waiting;
  // One is answered, two wait for the thread, one is beyond.
  waiting.emplace_back(server->port());
  REQUIRE(waiting.back().Send(RawRequest("GET", "/health")));
  source->WaitUntilHeld(1);
  for (int i = 0; i < 2; ++i) {
    waiting.emplace_back(server->port());
    REQUIRE(waiting.back().Send(RawRequest("GET", "/health")));
  }
  RawConnection beyond(server->port());
  REQUIRE(beyond.Send(RawRequest("GET", "/health")));
  const RawReply reply = beyond.Read();
  CHECK(reply.status == 503);
  CHECK(reply.Header("Retry-After") == "1");
  source->Open();
  for (RawConnection& connection : waiting) CHECK(connection.Read().status == 200);
}

TEST_CASE("http limits: connections beyond the limit are told so", "[unit]") {
  auto source = std::make_shared<HoldingSource>();
  const auto server = StartServer({.threads = 2, .max_connections = 2});
  server->AddSource(source);
  std::deque<RawConnection> held;
  for (int i = 0; i < 2; ++i) {
    held.emplace_back(server->port());
    REQUIRE(held.back().Send(RawRequest("GET", "/health")));
  }
  source->WaitUntilHeld(2);
  RawConnection third(server->port());
  CHECK(third.Read().status == 503);
  source->Open();
  for (RawConnection& connection : held) CHECK(connection.Read().status == 200);
}

TEST_CASE("http limits: a source that throws is an answer of 500", "[unit]") {
  const auto server = StartServer({});
  server->AddSource(std::make_shared<ThrowingSource>());
  CHECK(Fetch(server->port(), "GET", "/replication").status == 500);
  CHECK(Fetch(server->port(), "GET", "/procs/").status == 200);
}

TEST_CASE("http limits: sockets with large numbers are served", "[unit]") {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < 3000) {
    WARN("the limit of open files is too low to see it");
    return;
  }
  std::vector<int> files;
  while (files.empty() || files.back() < 2500) files.push_back(dup(0));
  const auto server = StartServer({});
  CHECK(Fetch(server->port(), "GET", "/health").status == 200);
  for (const int file : files) close(file);
}

TEST_CASE("http limits: thousands of connections, rude and polite, end in answers", "[unit]") {
  const auto server = StartServer({.max_connections = 64, .max_waiting_requests = 16});
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::atomic<int> answered{0};
  std::vector<std::thread> clients;
  for (uint64_t c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      std::mt19937_64 random(seed + c);
      for (int i = 0; i < 500; ++i) {
        RawConnection connection(server->port());
        std::string request = RawRequest("GET", "/procs/?q=" + std::to_string(i));
        switch (random() % 4) {
          case 0:
            request.resize(random() % request.size());
            connection.Send(request);
            break;
          case 1:
            for (int flips = 0; flips < 3; ++flips) {
              request[random() % request.size()] = static_cast<char>(random());
            }
            connection.Send(request);
            break;
          default:
            connection.Send(request);
            if (connection.Read().status != 0) answered.fetch_add(1);
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(answered.load() > 500);
  CHECK(Fetch(server->port(), "GET", "/health").status == 200);
}

TEST_CASE("http limits: a stop closes what is open and refuses what comes", "[unit]") {
  auto source = std::make_shared<HoldingSource>();
  auto server = StartServer({.threads = 1});
  server->AddSource(source);
  RawConnection idle(server->port());
  RawConnection partial(server->port());
  REQUIRE(partial.Send("GET /"));
  std::deque<RawConnection> busy;
  for (int i = 0; i < 3; ++i) {
    busy.emplace_back(server->port());
    REQUIRE(busy.back().Send(RawRequest("GET", "/health")));
  }
  source->WaitUntilHeld(1);
  const uint16_t port = server->port();
  // Stop waits for the one answer in the making.
  std::thread stop([&] { server->Stop(); });
  CHECK(idle.IsClosed());
  CHECK(partial.IsClosed());
  for (RawConnection& connection : busy) CHECK(connection.IsClosed());
  source->Open();
  stop.join();
  CHECK_FALSE(RawConnection(port).connected());
  server->Stop();
  server.reset();
}

}  // namespace
}  // namespace slipstream::observe
