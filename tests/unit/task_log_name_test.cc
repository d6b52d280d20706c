#include "lib/observe/history/task_log_name.h"

#include <catch2/catch.hpp>
#include <string>

namespace slipstream::observe {
namespace {

TEST_CASE("task_log_name: what is built is parsed, and nothing else", "[unit]") {
  const TaskLogObject object{1'700'000'000'000'000, "search-3-0a", 7};
  const std::string name = TaskLogName("x/observe", object);
  CHECK(name == "x/observe/tasks/01700000000000000-search-3-0a-000007.jsonl");
  TaskLogObject parsed;
  REQUIRE(ParseTaskLogName("x/observe", name, &parsed));
  CHECK(parsed == object);
  const TaskLogObject before = parsed;
  for (const char* other : {"x/observe/tasks/01700000000000000-search-000007.json",
                            "x/observe/tasks/1700000000000000-search-000007.jsonl",
                            "x/observe/tasks/01700000000000000-search-07.jsonl",
                            "x/observe/tasks/01700000000000000--000007.jsonl",
                            "x/observe/tasks/01700000000000000-000007.jsonl",
                            "x/observe/tasks/01700000000000000-a/b-000007.jsonl",
                            "observe/tasks/01700000000000000-search-000007.jsonl", ""}) {
    INFO(other);
    CHECK_FALSE(ParseTaskLogName("x/observe", other, &parsed));
    CHECK(parsed == before);
  }
}

TEST_CASE("task_log_name: names sort by time, then by number", "[unit]") {
  CHECK(TaskLogName("p", {999, "b", 2}) < TaskLogName("p", {1000, "a", 1}));
  CHECK(TaskLogName("p", {999, "b", 2}) < TaskLogName("p", {999, "b", 10}));
}

TEST_CASE("task_log_name: a prefix that cannot be is refused with its text", "[unit]") {
  for (const char* good : {"observe", "a/b/c", "a.b-c_D9"}) {
    CHECK(ValidateTaskLogPrefix(good).ok());
  }
  for (const std::string& bad :
       {std::string(), std::string("/a"), std::string("a/"), std::string("a//b"),
        std::string("../a"), std::string(".tmp"), std::string("a b"), std::string(201, 'a')}) {
    const rocksdb::Status s = ValidateTaskLogPrefix(bad);
    CHECK(s.IsInvalidArgument());
    CHECK(s.ToString().find(bad.substr(0, 100)) != std::string::npos);
  }
}

}  // namespace
}  // namespace slipstream::observe
