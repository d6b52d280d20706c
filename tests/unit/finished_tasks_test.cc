#include "lib/observe/finished_tasks.h"

#include <catch2/catch.hpp>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace slipstream::observe {
namespace {

constexpr TextLimits kTexts{128, 16, 1024};
constexpr size_t kManyBytes = 1 << 20;

TaskRecordPtr Ended(TaskId id, uint64_t at_us, bool succeeded = true) {
  auto record = std::make_shared<TaskRecord>("task", std::initializer_list<TaskAttribute>{},
                                             TaskOptions{}, kTexts, 1);
  record->SetPlace(id, 0);
  REQUIRE(record->End(succeeded ? rocksdb::Status::OK() : rocksdb::Status::IOError("x"), at_us));
  return record;
}

constexpr size_t kShards = 4;

// The ended tasks of some shards, with what they share.
struct Shards {
  Shards(uint64_t keep_us, size_t tasks, size_t bytes, uint64_t keep_failed_us, size_t failed_tasks)
      : succeeded(keep_us, tasks, bytes, kShards),
        failed(keep_failed_us, failed_tasks, kManyBytes, kShards) {
    for (size_t i = 0; i < kShards; ++i) of.emplace_back(FinishedBudgets{&succeeded, &failed});
  }

  // Returns how many went for it.
  size_t Add(size_t shard, const std::vector<TaskRecordPtr>& records, uint64_t now_us) {
    std::vector<TaskRecordPtr> dropped;
    for (const TaskRecordPtr& record : records) {
      // Few of them, so that none are counted yet.
      CHECK(of[shard].Add(record, now_us, &dropped));
    }
    return dropped.size() + Settle(now_us);
  }
  size_t Settle(uint64_t now_us) {
    std::vector<TaskRecordPtr> dropped;
    for (int pass = 0; pass < 2; ++pass) {
      for (FinishedTasks& finished : of) finished.Settle(now_us, &dropped);
    }
    return dropped.size();
  }
  std::vector<TaskId> Visible(uint64_t now_us) const {
    std::vector<TaskRecordPtr> records;
    for (const FinishedTasks& finished : of) finished.AppendTo(&records, now_us);
    std::vector<TaskId> ids;
    for (const TaskRecordPtr& record : records) ids.push_back(record->id());
    return ids;
  }

  FinishedBudget succeeded;
  FinishedBudget failed;
  std::deque<FinishedTasks> of;
};

using Ids = std::vector<TaskId>;

TEST_CASE("finished_tasks: each is kept for its time, failed ones longer", "[unit]") {
  Shards shards(100, 10, kManyBytes, 1000, 10);
  shards.Add(0, {Ended(1, 50), Ended(2, 60, false), Ended(3, 70)}, 70);
  CHECK(shards.Visible(149) == Ids{1, 3, 2});
  CHECK(shards.Visible(150) == Ids{3, 2});
  CHECK(shards.of[0].Find(1, 149) != nullptr);
  CHECK(shards.of[0].Find(1, 150) == nullptr);
  CHECK(shards.of[0].Find(3, 150) != nullptr);
  CHECK(shards.Visible(170) == Ids{2});
  CHECK(shards.Visible(1059) == Ids{2});
  CHECK(shards.Visible(1060).empty());
  CHECK(shards.Settle(170) == 2);
  CHECK(shards.Settle(1060) == 1);
  CHECK(shards.succeeded.tasks == 0);
  CHECK(shards.failed.tasks == 0);
  CHECK(shards.failed.bytes == 0);
}

TEST_CASE("finished_tasks: one that came late is over in time as well", "[unit]") {
  Shards shards(100, 10, kManyBytes, 1000, 10);
  shards.Add(0, {Ended(1, 80), Ended(2, 10)}, 80);
  CHECK(shards.Visible(110) == Ids{1});
  CHECK(shards.of[0].Find(2, 110) == nullptr);
}

TEST_CASE("finished_tasks: the oldest go when there are too many", "[unit]") {
  Shards shards(1000, 2, kManyBytes, 1000, 1);
  CHECK(shards.Add(0, {Ended(1, 1, false), Ended(2, 2), Ended(3, 3)}, 3) == 0);
  CHECK(shards.Add(0, {Ended(4, 4), Ended(5, 5), Ended(6, 6)}, 6) == 3);
  // Those that succeeded do not push out the one that failed.
  CHECK(shards.Visible(6) == Ids{5, 6, 1});
  CHECK(shards.Add(0, {Ended(7, 7, false)}, 7) == 1);
  CHECK(shards.Visible(7) == Ids{5, 6, 7});
}

TEST_CASE("finished_tasks: a shard may have all there is, until another one needs it", "[unit]") {
  Shards shards(1000, 8, kManyBytes, 1000, 8);
  for (TaskId id = 1; id <= 8; ++id) shards.Add(0, {Ended(id, id)}, id);
  CHECK(shards.Visible(8) == Ids{1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(shards.Add(1, {Ended(9, 9)}, 9) == 1);
  CHECK(shards.Add(1, {Ended(10, 10)}, 10) == 1);
  CHECK(shards.Visible(10) == Ids{3, 4, 5, 6, 7, 8, 9, 10});
}

TEST_CASE("finished_tasks: a shard says when others have to make room for it", "[unit]") {
  Shards shards(1000, 40, kManyBytes, 1000, 40);
  std::vector<TaskRecordPtr> dropped;
  bool settled = true;
  for (TaskId id = 1; id <= 40; ++id)
    settled = shards.of[0].Add(Ended(id, 1), 1, &dropped) && settled;
  shards.Settle(1);
  CHECK(settled);
  for (TaskId id = 41; id <= 71; ++id) CHECK(shards.of[1].Add(Ended(id, 1), 1, &dropped));
  // With the 32nd it counts them, and goes down to its share of ten.
  CHECK_FALSE(shards.of[1].Add(Ended(72, 1), 1, &dropped));
  CHECK(dropped.size() == 22);
  CHECK(shards.Settle(1) == 10);
  CHECK(shards.succeeded.tasks == 40);
}

TEST_CASE("finished_tasks: the oldest go when they take too much memory", "[unit]") {
  const size_t one = Ended(1, 1)->bytes();
  Shards shards(1000, 100, 2 * one, 1000, 100);
  CHECK(shards.Add(0, {Ended(1, 1), Ended(2, 2)}, 2) == 0);
  CHECK(shards.succeeded.bytes == 2 * one);
  CHECK(shards.Add(0, {Ended(3, 3)}, 3) == 1);
  CHECK(shards.Visible(3) == Ids{2, 3});
  auto large = std::make_shared<TaskRecord>("task", std::initializer_list<TaskAttribute>{},
                                            TaskOptions{}, kTexts, 1);
  large->SetAttribute("key", std::string(1000, 'x'));
  CHECK(large->bytes() > one + 1000);
}

TEST_CASE("finished_tasks: none are kept where none are wanted", "[unit]") {
  Shards by_time(0, 10, kManyBytes, 0, 10);
  CHECK(by_time.Add(0, {Ended(1, 5), Ended(2, 5, false)}, 5) == 2);
  Shards by_count(10, 0, kManyBytes, 10, 0);
  CHECK(by_count.Add(0, {Ended(1, 5), Ended(2, 5, false)}, 5) == 2);
}

}  // namespace
}  // namespace slipstream::observe
