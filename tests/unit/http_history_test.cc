// /history over real sockets.
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "slipstream/observe/history.h"
#include "slipstream/observe/http_server.h"
#include "tests/unit/history_records.h"
#include "tests/unit/raw_http.h"
#include "tests/unit/scratch_database.h"

namespace slipstream::observe {
namespace {

using slipstream::testing::ScratchDirectory;

// A server with a history of ten tasks, the last of which has failed.
class ServedHistory {
 public:
  ServedHistory() {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* opened = nullptr;
    REQUIRE(rocksdb::DB::Open(options, directory_ / "db", &opened).ok());
    db.reset(opened);
    std::vector<HistoryRecord> records;
    for (TaskId id = 1; id <= 10; ++id) {
      records.push_back(RecordOf(id, kSomeTimeUs + id * 1'000'000, id % 2 == 0 ? "even" : "odd"));
      records.back().attributes = {{"account", std::to_string(id % 3)}};
    }
    records.back().outcome = TaskOutcome::kFailed;
    REQUIRE(HistoryWriter(db.get()).Add(records).ok());
    history = std::make_unique<History>(db.get());
    REQUIRE(HttpServer::Start({.history = history.get()}, &server).ok());
  }
  RawReply Get(const std::string& target) { return Fetch(server->port(), "GET", target); }
  // The ids of a page.
  std::vector<int> Ids(const std::string& target) {
    const RawReply reply = Get(target);
    INFO(reply.body);
    REQUIRE(reply.status == 200);
    std::vector<int> ids;
    const nlohmann::json page = reply.Json();
    for (const auto& record : page["records"]) ids.push_back(record["id"]);
    return ids;
  }

 private:
  ScratchDirectory directory_;

 public:
  std::unique_ptr<rocksdb::DB> db;
  std::unique_ptr<History> history;
  std::unique_ptr<HttpServer> server;
};

TEST_CASE("http history: pages by what is asked for, the newest first", "[unit]") {
  ServedHistory served;
  CHECK(served.Ids("/history") == std::vector<int>{10, 9, 8, 7, 6, 5, 4, 3, 2, 1});
  CHECK(served.Ids("/history?kind=odd&attr.account=1") == std::vector<int>{7, 1});
  CHECK(served.Ids("/history?outcome=failed") == std::vector<int>{10});
  CHECK(served.Ids("/history?from=1700000003&to=1700000005") == std::vector<int>{4, 3});
  CHECK(served.Ids("/history?from=-1h").empty());
  CHECK(served.Ids("/history?attr.account=1&attr.account=2").empty());
  const auto page = served.Get("/history?limit=4").Json();
  CHECK(page["records"].size() == 4);
  const std::string next = page["next"];
  CHECK(served.Ids("/history?limit=4&after=" + next) == std::vector<int>{6, 5, 4, 3});
  CHECK(served.Get("/history").Json()["next"] == "");
}

TEST_CASE("http history: one record by its name", "[unit]") {
  ServedHistory served;
  const auto page = served.Get("/history?limit=1").Json();
  const std::string instance = page["records"][0]["instance"];
  const RawReply reply = served.Get("/history/" + instance + "/10");
  REQUIRE(reply.status == 200);
  CHECK(reply.Json() == page["records"][0]);
  CHECK(served.Get("/history/" + instance + "/11").status == 404);
  CHECK(served.Get("/history/other/10").status == 404);
  for (const char* bad : {"/history/", "/history/10", "/history/a/", "/history/a/b",
                          "/history/a/1b", "/history/a/0"}) {
    CHECK(served.Get(bad).status == 404);
  }
}

TEST_CASE("http history: what is not understood is named, and another verb refused", "[unit]") {
  ServedHistory served;
  for (const std::string name :
       {"kinds=x", "limit=0", "limit=10001", "from=yesterday", "outcome=bad", "after=x"}) {
    const RawReply reply = served.Get("/history?" + name);
    CHECK(reply.status == 400);
    const std::string error = reply.Json()["error"];
    INFO(error);
    CHECK(error.find(name.substr(0, name.find('='))) != std::string::npos);
  }
  const RawReply reply = Fetch(served.server->port(), "DELETE", "/history");
  CHECK(reply.status == 405);
  CHECK(reply.Header("Allow") == "GET, HEAD, OPTIONS");
  // A database that is none.
  served.db->Put({}, std::string("\0version", 8), "99").PermitUncheckedError();
  CHECK(served.Get("/history").status == 503);
  std::unique_ptr<HttpServer> without;
  REQUIRE(HttpServer::Start({}, &without).ok());
  CHECK(Fetch(without->port(), "GET", "/history").status == 404);
}

}  // namespace
}  // namespace slipstream::observe
