// The process list over HTTP, against what pm's documentation and client expect.
#include <algorithm>
#include <catch2/catch.hpp>
#include <regex>
#include <string>
#include <vector>

#include "slipstream/observe/http_server.h"
#include "slipstream/observe/task.h"
#include "tests/unit/observed_tasks.h"
#include "tests/unit/raw_http.h"

namespace slipstream::observe {
namespace {

const std::string kToken = "Authorization: Bearer open-sesame\r\n";

class ServedTasks {
 public:
  explicit ServedTasks(HttpServerOptions options = {}) {
    options.registry = tasks.registry();
    options.bearer_token = "open-sesame";
    REQUIRE(HttpServer::Start(options, &server).ok());
  }

  RawReply Get(const std::string& target) { return Fetch(server->port(), "GET", target); }
  // The ids of a list, in its order.
  std::vector<std::string> Ids(const std::string& target) {
    const RawReply reply = Get(target);
    INFO(target << ": " << reply.body);
    REQUIRE(reply.status == 200);
    std::vector<std::string> ids;
    const nlohmann::json list = reply.Json();
    for (const auto& proc : list["procs"]) ids.push_back(proc["id"]);
    return ids;
  }
  Task Begin(std::string_view kind, std::initializer_list<TaskAttribute> attributes = {},
             const TaskOptions& options = {}) {
    tasks.now_us += 1'000'000;
    return Task(tasks.registry(), kind, attributes, options);
  }

  ObservedTasks tasks;
  std::unique_ptr<HttpServer> server;
};

std::string Id(const Task& task) { return std::to_string(task.id()); }

TEST_CASE("http procs: the list has what pm's clients read", "[unit]") {
  ServedTasks served;
  Task task = served.Begin("query", {{"account", "42"}, {"text", "\xff<\"&"}});
  served.tasks.now_us += 2'500'000;
  task.SetStatus("reading");
  const RawReply reply = served.Get("/procs/");
  REQUIRE(reply.status == 200);
  CHECK(reply.Header("Content-Type") == "application/json");
  const nlohmann::json list = reply.Json();
  REQUIRE(list["procs"].size() == 1);
  const nlohmann::json& proc = list["procs"][0];
  CHECK(proc["id"] == Id(task));
  CHECK(proc["attrs"][0] == nlohmann::json({{"name", "account"}, {"value", "42"}}));
  CHECK(proc["attrs"][1]["value"] == "\xef\xbf\xbd<\"&");
  CHECK(proc["status"] == "reading");
  CHECK(proc["cancelling"] == false);
  const std::regex rfc3339(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)");
  for (const std::string time : {"procTime", "statusTime"}) {
    CHECK(std::regex_match(proc[time].get<std::string>(), rfc3339));
  }
  CHECK(std::regex_match(list["serverTime"].get<std::string>(), rfc3339));
  // The clock of the registry stands still: the status began just now, the task 2.5 s before.
  CHECK(proc["statusTime"] == list["serverTime"]);
  CHECK(proc["procTime"] < proc["statusTime"]);
  CHECK(served.Get("/procs").Json()["procs"].size() == 1);
}

TEST_CASE("http procs: a task's history has its times and texts", "[unit]") {
  ServedTasks served;
  Task task = served.Begin("query");
  task.SetStatus("first");
  task.SetStatus("second");
  const nlohmann::json reply = served.Get("/procs/" + Id(task) + "/history").Json();
  CHECK(reply["serverTime"].is_string());
  std::vector<std::string> texts;
  for (const auto& change : reply["history"]) {
    CHECK(change["ts"].is_string());
    texts.push_back(change["status"]);
  }
  REQUIRE(texts.size() >= 2);
  CHECK(texts[texts.size() - 2] == "first");
  CHECK(texts.back() == "second");
}

TEST_CASE("http procs: DELETE cancels with its message", "[unit]") {
  ServedTasks served;
  Task task = served.Begin("query");
  const uint16_t port = served.server->port();
  const std::string path = "/procs/" + Id(task);
  const RawReply reply = Fetch(port, "DELETE", path, kToken, R"({"message":"too slow"})");
  CHECK(reply.status == 200);
  CHECK(task.CheckCancelled().ToString().find("too slow") != std::string::npos);
  CHECK(served.Get(path).Json()["cancelling"] == true);
  // As curl sends it without a body.
  Task other = served.Begin("query");
  CHECK(Fetch(port, "DELETE", "/procs/" + Id(other), kToken).status == 200);
  CHECK(other.CheckCancelled().IsIncomplete());
  // A body that is not understood cancels nothing.
  Task third = served.Begin("query");
  for (const std::string body : {"[1]", "{", R"({"message":7})", "\xff"}) {
    CHECK(Fetch(port, "DELETE", "/procs/" + Id(third), kToken, body).status == 400);
  }
  CHECK(Fetch(port, "DELETE", "/procs/" + Id(third), kToken, std::string(10'000, '[')).status ==
        400);
  CHECK(third.CheckCancelled().ok());
}

TEST_CASE("http procs: without the token nothing is cancelled", "[unit]") {
  ServedTasks served;
  Task task = served.Begin("query");
  const uint16_t port = served.server->port();
  const std::string path = "/procs/" + Id(task);
  for (const std::string header :
       {"", "Authorization: Bearer\r\n", "Authorization: Bearer open-sesam\r\n",
        "Authorization: Bearer open-sesame1\r\n", "Authorization: Basic open-sesame\r\n",
        "Authorization: open-sesame\r\n"}) {
    const RawReply reply = Fetch(port, "DELETE", path, header);
    CHECK(reply.status == 401);
    CHECK(reply.Header("WWW-Authenticate") == "Bearer");
  }
  CHECK(task.CheckCancelled().ok());
  std::unique_ptr<HttpServer> without;
  REQUIRE(HttpServer::Start({.registry = served.tasks.registry()}, &without).ok());
  CHECK(Fetch(without->port(), "DELETE", path, "Authorization: Bearer \r\n").status == 403);
  CHECK(Fetch(without->port(), "DELETE", path, kToken).status == 403);
  CHECK(task.CheckCancelled().ok());
}

TEST_CASE("http procs: a task that forbids it is not cancelled", "[unit]") {
  ServedTasks served;
  Task task = served.Begin("query", {}, {.cancellable = false});
  const std::string path = "/procs/" + Id(task);
  CHECK(Fetch(served.server->port(), "DELETE", path, kToken).status == 403);
  CHECK(served.Get(path).Json()["cancellable"] == false);
}

TEST_CASE("http procs: what is not there is 404, another verb is 405 with what is allowed",
          "[unit]") {
  ServedTasks served;
  Task task = served.Begin("query");
  const uint16_t port = served.server->port();
  for (const std::string path : {"/procs/99999", "/procs/x", "/procs/1x", "/procs/-1", "/procsx",
                                 "/procs//", "/procs/184467440737095516160", "/procs/1/x",
                                 "/procs/99999/history", "/procs/99999/blockers", "/nothing"}) {
    INFO(path);
    CHECK(served.Get(path).status == 404);
  }
  CHECK(Fetch(port, "DELETE", "/procs/99999", kToken).status == 404);
  const std::string path = "/procs/" + Id(task);
  for (const std::string verb : {"POST", "PUT", "PATCH", "TRACE"}) {
    const RawReply reply = Fetch(port, verb, path, kToken, "{}");
    CHECK(reply.status == 405);
    CHECK(reply.Header("Allow") == "GET, HEAD, DELETE, OPTIONS");
  }
  for (const std::string target : {"/procs/", "/metrics", "/health", "/replication", "/threads"}) {
    const RawReply reply = Fetch(port, "DELETE", target, kToken);
    CHECK(reply.status == 405);
    CHECK(reply.Header("Allow") == "GET, HEAD, OPTIONS");
  }
  CHECK(Fetch(port, "BREW", "/procs/").status == 400);
  task.Finish(rocksdb::Status::OK());
  CHECK(Fetch(port, "DELETE", path, kToken).status == 404);
}

TEST_CASE("http procs: filters, sort and limit", "[unit]") {
  ServedTasks served;
  Task a = served.Begin("query", {{"account", "42"}, {"source", "web"}});
  Task b = served.Begin("query", {{"account", "43"}});
  Task c = served.Begin("upload", {{"account", "42"}});
  a.SetStatus("waiting");
  b.SetStatus("reading 7");
  using Ids = std::vector<std::string>;
  CHECK(served.Ids("/procs/") == Ids{Id(a), Id(b), Id(c)});
  CHECK(served.Ids("/procs/?kind=query") == Ids{Id(a), Id(b)});
  CHECK(served.Ids("/procs/?kind=query&kind=upload") == Ids{Id(a), Id(b), Id(c)});
  CHECK(served.Ids("/procs/?attr.account=42") == Ids{Id(a), Id(c)});
  CHECK(served.Ids("/procs/?attr.account=42&attr.source=w*") == Ids{Id(a)});
  CHECK(served.Ids("/procs/?attr.account=") == Ids{});
  CHECK(served.Ids("/procs/?status=reading%20*") == Ids{Id(b)});
  CHECK(served.Ids("/procs/?q=43") == Ids{Id(b)});
  CHECK(served.Ids("/procs/?id=" + Id(c)) == Ids{Id(c)});
  CHECK(served.Ids("/procs/?sort=-procTime") == Ids{Id(c), Id(b), Id(a)});
  CHECK(served.Ids("/procs/?sort=-kind") == Ids{Id(c), Id(a), Id(b)});
  CHECK(served.Ids("/procs/?sort=-procTime&limit=2") == Ids{Id(c), Id(b)});
  CHECK(served.Get("/procs/?limit=2").Json()["total"] == 3);
  for (const std::string bad :
       {"limit=0", "limit=x", "limit=10001", "sort=age", "state=dead", "account=42", "sort=-"}) {
    const RawReply reply = served.Get("/procs/?" + bad);
    CHECK(reply.status == 400);
    CHECK(reply.Json()["error"].get<std::string>().find(bad.substr(0, bad.find('='))) !=
          std::string::npos);
  }
}

TEST_CASE("http procs: ended tasks show when asked for, with their outcome", "[unit]") {
  ServedTasks served;
  Task ok = served.Begin("query");
  Task failed = served.Begin("query");
  Task cancelled = served.Begin("query");
  Task runs = served.Begin("query");
  ok.Finish(rocksdb::Status::OK());
  failed.Finish(rocksdb::Status::IOError("disk"));
  REQUIRE(served.tasks.registry()->Cancel(cancelled.id(), "why not").ok());
  cancelled.Finish(cancelled.CheckCancelled());
  using Ids = std::vector<std::string>;
  CHECK(served.Ids("/procs/") == Ids{Id(runs)});
  CHECK(served.Ids("/procs/?state=finished") == Ids{Id(ok), Id(failed), Id(cancelled)});
  CHECK(served.Ids("/procs/?state=failed") == Ids{Id(failed), Id(cancelled)});
  CHECK(served.Ids("/procs/?state=all").size() == 4);
  const nlohmann::json proc = served.Get("/procs/" + Id(failed)).Json();
  CHECK(proc["outcome"] == "failed");
  CHECK(proc["error"].get<std::string>().find("disk") != std::string::npos);
  CHECK(proc["endTime"].is_string());
  CHECK(served.Get("/procs/" + Id(cancelled)).Json()["outcome"] == "cancelled");
}

TEST_CASE("http procs: progress, parent and blocker", "[unit]") {
  ServedTasks served;
  Task parent = served.Begin("build");
  Task child = served.Begin("upload", {}, {.parent = parent.id()});
  Task grandchild = served.Begin("read", {}, {.parent = child.id()});
  child.SetProgress(3, 10, "files");
  child.SetBlocker(Blocker::Task(grandchild.id()));
  grandchild.SetBlocker(Blocker::Lock("table"));
  const nlohmann::json proc = served.Get("/procs/" + Id(child)).Json();
  CHECK(proc["progress"] == nlohmann::json({{"done", 3}, {"total", 10}, {"unit", "files"}}));
  CHECK(proc["parent"] == Id(parent));
  CHECK(proc["blocker"] == nlohmann::json({{"kind", "task"}, {"id", Id(grandchild)}}));
  for (const std::string target : {"/procs/tree", "/procs/?tree=1"}) {
    const nlohmann::json procs = served.Get(target).Json()["procs"];
    REQUIRE(procs.size() == 1);
    CHECK(procs[0]["id"] == Id(parent));
    CHECK(procs[0]["children"][0]["children"][0]["id"] == Id(grandchild));
  }
  // Without its parent in the list a task is at the top.
  CHECK(served.Ids("/procs/tree?kind=upload") == std::vector<std::string>{Id(child)});
}

TEST_CASE("http procs: a tree that is too deep is cut", "[unit]") {
  ServedTasks served;
  std::vector<Task> tasks;
  for (int i = 0; i < 300; ++i) {
    tasks.push_back(served.Begin("deep", {}, {.parent = tasks.empty() ? 0 : tasks.back().id()}));
  }
  const nlohmann::json procs = served.Get("/procs/tree").Json()["procs"];
  const nlohmann::json* proc = &procs[0];
  int depth = 1;
  for (; proc->contains("children"); ++depth) proc = &(*proc)["children"][0];
  CHECK(depth == 64);
  CHECK((*proc)["omittedChildren"] == 1);
}

TEST_CASE("http procs: blockers are followed to where they end", "[unit]") {
  ServedTasks served;
  Task a = served.Begin("a");
  Task b = served.Begin("b");
  Task c = served.Begin("c");
  a.SetBlocker(Blocker::Task(b.id()));
  b.SetBlocker(Blocker::Task(c.id()));
  const auto chain = [&](const char* end) {
    const nlohmann::json reply = served.Get("/procs/" + Id(a) + "/blockers").Json();
    CHECK(reply["end"] == end);
    return reply["chain"].size();
  };
  CHECK(chain("running") == 3);
  c.SetBlocker(Blocker::Peer("storage"));
  CHECK(chain("peer") == 3);
  c.SetBlocker(Blocker::Lock("mutex"));
  CHECK(chain("lock") == 3);
  c.SetBlocker(Blocker::Task(a.id()));
  CHECK(chain("circle") == 3);
  c.SetBlocker(Blocker::Task(12345));
  CHECK(chain("unknown task") == 3);
  b.Finish(rocksdb::Status::OK());
  CHECK(chain("ended") == 2);
}

TEST_CASE("http procs: pages of other origins read only where they may", "[unit]") {
  HttpServerOptions options;
  options.allow_origins = {"http://Leader-1:9090"};
  ServedTasks served(options);
  const uint16_t port = served.server->port();
  const auto allowed = [&](const std::string& origin) {
    return Fetch(port, "GET", "/procs/", "Origin: " + origin + "\r\n")
        .Header("Access-Control-Allow-Origin");
  };
  CHECK(allowed("http://leader-1:9090") == "http://leader-1:9090");
  CHECK(allowed("http://127.0.0.1:8080") == "http://127.0.0.1:8080");
  CHECK(allowed("http://leader-1:9091").empty());
  CHECK(allowed("http://evil.example").empty());
  CHECK(allowed("http://127.0.0.1.evil.example").empty());
  CHECK(allowed("null").empty());
  const RawReply preflight = Fetch(port, "OPTIONS", "/procs/1",
                                   "Origin: http://leader-1:9090\r\n"
                                   "Access-Control-Request-Method: DELETE\r\n");
  CHECK(preflight.status == 204);
  CHECK(preflight.Header("Access-Control-Allow-Methods") == "GET, HEAD, DELETE, OPTIONS");
  CHECK(preflight.Header("Access-Control-Allow-Headers") == "Authorization, Content-Type");
  CHECK(preflight.Header("Vary") == "Origin");
  CHECK(Fetch(port, "OPTIONS", "/procs/1", "Origin: http://evil.example\r\n")
            .Header("Access-Control-Allow-Methods")
            .empty());
}

TEST_CASE("http procs: a name that is not ours is refused, whatever it stands for", "[unit]") {
  HttpServerOptions options;
  options.allow_hosts = {"Leader-1"};
  ServedTasks served(options);
  const auto status = [&](const std::string& host) {
    RawConnection connection(served.server->port());
    REQUIRE(connection.Send("GET /procs/ HTTP/1.1\r\n" + host + "\r\n"));
    return connection.Read().status;
  };
  for (const std::string host : {"127.0.0.1:80", "[::1]:80", "localhost", "LEADER-1:9090"}) {
    CHECK(status("Host: " + host + "\r\n") == 200);
  }
  for (const std::string host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil",
                                 "leader-1.evil", "[", "[]", ":80"}) {
    CHECK(status("Host: " + host + "\r\n") == 421);
  }
  CHECK(status("") == 400);
}

TEST_CASE("http procs: without a registry there are no tasks", "[unit]") {
  std::unique_ptr<HttpServer> server;
  REQUIRE(HttpServer::Start({.bearer_token = "open-sesame"}, &server).ok());
  CHECK(Fetch(server->port(), "GET", "/procs/").Json()["procs"].empty());
  CHECK(Fetch(server->port(), "GET", "/procs/1/blockers").status == 404);
  CHECK(Fetch(server->port(), "DELETE", "/procs/1", kToken).status == 404);
}

}  // namespace
}  // namespace slipstream::observe
