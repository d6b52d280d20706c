// The history of tasks in a replicated database, and what a crash leaves of a task log.
#include "slipstream/observe/history.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "slipstream/follower.h"
#include "slipstream/leader.h"
#include "slipstream/observe/task.h"
#include "slipstream/observe/task_log.h"
#include "tests/e2e/eventually.h"
#include "tests/e2e/process.h"
#include "tests/e2e/temporary_directory.h"
#include "tests/unit/history_records.h"
#include "tests/unit/random_seed.h"

namespace slipstream::testing {
namespace {

using namespace slipstream::observe;
using rocksdb::Status;

// A leader with a history, and a follower of it that reads the same objects.
class HistoryCluster {
 public:
  HistoryCluster() {
    REQUIRE(NewDirectoryStorage(directory_.path("storage"), &storage_).ok());
    LeaderOptions leader_options;
    leader_options.database = "history";
    leader_options.storage = storage_;
    rocksdb::Options options;
    options.create_if_missing = true;
    HistoryWriter::TuneOptions(&options);
    REQUIRE(Leader::Open(leader_options, options, directory_.path("leader"), &leader_).ok());
    FollowerOptions follower_options;
    follower_options.database = "history";
    follower_options.storage = storage_;
    follower_options.leader_address = "127.0.0.1:" + std::to_string(leader_->port());
    follower_options.rebuild_interval_ms = 20;
    REQUIRE(Follower::Open(follower_options, options, &follower_).ok());
  }

  rocksdb::DB* db() { return leader_->db(); }
  const std::shared_ptr<SharedStorage>& storage() const { return storage_; }

  // Both, which must be the same.
  HistoryPage Query(const HistoryQuery& query) {
    REQUIRE(follower_->WaitFor(leader_->position(), kPatienceUs).ok());
    HistoryPage led;
    HistoryPage followed;
    REQUIRE(History(leader_->db()).Query(query, &led).ok());
    REQUIRE(History(follower_->db()).Query(query, &followed).ok());
    REQUIRE(led.next == followed.next);
    REQUIRE(led.records.size() == followed.records.size());
    for (size_t i = 0; i < led.records.size(); ++i) {
      REQUIRE(SameRecord(led.records[i], followed.records[i]));
    }
    return led;
  }
  Status GetOnFollower(const std::string& instance, TaskId id, HistoryRecord* record) {
    return History(follower_->db()).Get(instance, id, record);
  }

 private:
  TemporaryDirectory directory_;
  std::shared_ptr<SharedStorage> storage_;
  std::unique_ptr<Leader> leader_;
  std::unique_ptr<Follower> follower_;
};

}  // namespace

TEST_CASE("history: a follower answers every query as its leader does", "[e2e]") {
  const uint64_t seed = RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  constexpr uint64_t kDayUs = UINT64_C(24) * 3600 * 1'000'000;
  HistoryCluster cluster;
  HistoryWriter writer(cluster.db());
  size_t count = 0;
  for (TaskId id = 1; id <= 2000; ++id) {
    REQUIRE(writer.Add({RandomRecord(&random, id, 5 * kDayUs)}).ok());
    ++count;
    if (id % 400 == 0) REQUIRE(cluster.db()->Flush({}).ok());
    if (id % 1000 == 0) REQUIRE(cluster.db()->CompactRange({}, nullptr, nullptr).ok());
    if (id % 100 == 0) {
      HistoryQuery query;
      if (random() % 2 == 0) query.filter.kind = "kind1";
      if (random() % 2 == 0) query.filter.attributes = {{"common", "1"}};
      if (random() % 2 == 0) query.filter.from_us = kSomeTimeUs + random() % (5 * kDayUs);
      query.limit = 1 + random() % 500;
      query.max_steps = 1 + random() % 2000;
      cluster.Query(query);
    }
  }
  CHECK(cluster.Query({.limit = 10'000}).records.size() == count);
  // A range delete, and files that are deleted with it.
  REQUIRE(writer.Expire(kSomeTimeUs + 5 * kDayUs, 2 * kDayUs, 0).ok());
  const HistoryPage left = cluster.Query({.limit = 10'000});
  CHECK(left.records.size() < count * 3 / 5);
  CHECK(left.records.size() > count / 5);
}

TEST_CASE("history: what processes log is seen on a follower", "[e2e]") {
  HistoryCluster cluster;
  std::unique_ptr<TaskRegistry> leaders;
  std::unique_ptr<TaskRegistry> followers;
  REQUIRE(TaskRegistry::Create({.name = "leader"}, &leaders).ok());
  REQUIRE(TaskRegistry::Create({.name = "follower"}, &followers).ok());
  std::unique_ptr<TaskLog> log;
  REQUIRE(TaskLog::Open({.registry = followers.get(), .storage = cluster.storage()}, &log).ok());
  std::unique_ptr<HistoryKeeper> keeper;
  REQUIRE(
      HistoryKeeper::Open(
          {.db = cluster.db(), .registry = leaders.get(), .storage = cluster.storage()}, &keeper)
          .ok());
  for (int i = 0; i < 500; ++i) {
    Task task(i % 2 == 0 ? leaders.get() : followers.get(), "query",
              {{"account", std::to_string(i % 10)}});
    if (i % 100 == 1) task.Finish(Status::IOError("disk"));
  }
  REQUIRE(log->Flush(kPatienceUs).ok());
  REQUIRE(keeper->Flush(kPatienceUs).ok());
  CHECK(cluster.Query({.limit = 1000}).records.size() == 500);
  CHECK(cluster.Query({.filter = {.attributes = {{"account", "3"}}}}).records.size() == 50);
  const HistoryPage failed = cluster.Query({.filter = {.outcome = TaskOutcome::kFailed}});
  REQUIRE(failed.records.size() == 5);
  const HistoryRecord& one = failed.records[0];
  CHECK(one.instance == followers->instance());
  CHECK(one.error == "IO error: disk");
  HistoryRecord found;
  REQUIRE(cluster.GetOnFollower(one.instance, one.id, &found).ok());
  CHECK(SameRecord(found, one));
  REQUIRE(keeper->Close(kPatienceUs).ok());
}

TEST_CASE("task log: a kill takes no more than the last interval", "[e2e]") {
  constexpr uint64_t kIntervalMs = 200;
  // For the storage to answer, on a machine that does other things.
  constexpr uint64_t kStorageMs = 2000;
  TemporaryDirectory directory;
  const std::string program =
      (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "task_log_node").string();
  std::shared_ptr<SharedStorage> storage;
  REQUIRE(NewDirectoryStorage(directory.path("storage"), &storage).ok());
  size_t before = 0;
  for (int round = 0; round < 2; ++round) {
    std::map<uint64_t, uint64_t> active_ms;
    uint64_t last = 0;
    uint64_t stored = 0;
    {
      Process node(program, {directory.path("storage"), std::to_string(kIntervalMs)});
      do {
        std::istringstream line(node.ReadLine());
        REQUIRE(line >> last >> active_ms[last] >> stored);
      } while (active_ms[last] < 4 * kIntervalMs + kStorageMs || stored < 100);
      node.Kill();
    }
    std::vector<HistoryRecord> records;
    TaskLogReading reading;
    REQUIRE(ReadTaskLog(storage.get(), "observe", {}, 0, &records, &reading).ok());
    CHECK(reading.malformed == 0);
    CHECK(reading.objects > static_cast<uint64_t>(round));
    const size_t of_node = records.size() - before;
    before = records.size();
    CHECK(of_node >= stored);
    // Without a hole, up to the first that is lost.
    std::set<uint64_t> numbers;
    for (size_t i = 0; i < of_node; ++i)
      numbers.insert(std::stoull(records[i].attributes[0].second));
    REQUIRE(numbers.size() == of_node);
    CHECK(*numbers.begin() == 1);
    CHECK(*numbers.rbegin() == of_node);
    if (of_node < last) {
      const auto lost = active_ms.upper_bound(of_node);
      REQUIRE(lost != active_ms.end());
      CHECK(active_ms[last] - lost->second <= kIntervalMs + kStorageMs);
    }
  }
}

}  // namespace slipstream::testing
