#include "slipstream/observe/history.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/observe/history/history_key.h"
#include "lib/observe/history/record_json.h"
#include "lib/observe/history/task_log_name.h"
#include "slipstream/observe/task.h"
#include "slipstream/observe/task_log.h"
#include "tests/e2e/eventually.h"
#include "tests/faults/fault_storage.h"
#include "tests/unit/history_records.h"
#include "tests/unit/memory_storage.h"
#include "tests/unit/random_seed.h"
#include "tests/unit/scratch_database.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;
using slipstream::testing::Eventually;
using slipstream::testing::MemoryStorage;
using slipstream::testing::ScratchDirectory;

constexpr uint64_t kPatienceUs = 60'000'000;

class HistoryDatabase {
 public:
  HistoryDatabase() { Open(); }

  void Open() {
    db_.reset();
    rocksdb::Options options;
    options.create_if_missing = true;
    HistoryWriter::TuneOptions(&options);
    rocksdb::DB* opened = nullptr;
    REQUIRE(rocksdb::DB::Open(options, directory_ / "db", &opened).ok());
    db_.reset(opened);
  }
  rocksdb::DB* get() { return db_.get(); }

  HistoryPage Query(const HistoryQuery& query) {
    HistoryPage page;
    REQUIRE(History(db_.get()).Query(query, &page).ok());
    return page;
  }
  // Over all pages.
  std::vector<HistoryRecord> All(HistoryQuery query) {
    std::vector<HistoryRecord> all;
    do {
      const HistoryPage page = Query(query);
      REQUIRE(page.records.size() <= query.limit);
      // At most what one more round over the conditions takes.
      REQUIRE(page.steps < query.max_steps + 100);
      all.insert(all.end(), page.records.begin(), page.records.end());
      REQUIRE((page.next.empty() || page.next != query.after));
      query.after = page.next;
    } while (!query.after.empty());
    return all;
  }
  std::vector<std::pair<std::string, std::string>> Content() {
    std::vector<std::pair<std::string, std::string>> content;
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator({}));
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      content.emplace_back(it->key().ToString(), it->value().ToString());
    }
    return content;
  }

 private:
  ScratchDirectory directory_;
  std::unique_ptr<rocksdb::DB> db_;
};

// What a query ought to find.
std::vector<HistoryRecord> Model(const std::vector<HistoryRecord>& records,
                                 const HistoryFilter& filter) {
  std::vector<HistoryRecord> found;
  for (const HistoryRecord& record : records) {
    if (filter.Accepts(record)) found.push_back(record);
  }
  std::sort(found.begin(), found.end(),
            [](const HistoryRecord& a, const HistoryRecord& b) { return PlaceOf(a) < PlaceOf(b); });
  return found;
}

void RequireSame(const std::vector<HistoryRecord>& found,
                 const std::vector<HistoryRecord>& expected) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) REQUIRE(SameRecord(found[i], expected[i]));
}

HistoryFilter RandomFilter(std::mt19937_64* random, uint64_t span_us) {
  const auto below = [&](uint64_t n) { return (*random)() % n; };
  HistoryFilter filter;
  if (below(3) == 0) filter.instance = "i-" + std::to_string(below(4));
  if (below(2) == 0) filter.kind = "kind" + std::to_string(below(5));
  if (below(3) == 0) filter.status = "status" + std::to_string(below(3));
  if (below(3) == 0) filter.outcome = static_cast<TaskOutcome>(1 + below(3));
  if (below(3) == 0) filter.attributes.push_back({"rare", std::to_string(below(50))});
  if (below(3) == 0) filter.attributes.push_back({"common", std::to_string(below(2))});
  if (below(5) == 0) filter.attributes.push_back({"commo", "n" + std::to_string(below(2))});
  if (below(2) == 0) filter.from_us = kSomeTimeUs + below(span_us);
  if (below(2) == 0) filter.to_us = kSomeTimeUs + below(span_us);
  return filter;
}

TEST_CASE("history: every query finds what a look at all records finds", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 6; ++round) {
    HistoryDatabase database;
    HistoryWriter writer(database.get());
    // Within a microsecond, an hour, or many buckets.
    const uint64_t span_us = round % 3 == 0 ? 2 : round % 3 == 1 ? kBucketUs / 6 : 40 * kBucketUs;
    std::vector<HistoryRecord> records;
    for (TaskId id = 1; id <= 600;) {
      std::vector<HistoryRecord> batch;
      for (uint64_t n = random() % 50; n > 0; --n) {
        batch.push_back(RandomRecord(&random, id++, span_us));
      }
      REQUIRE(writer.Add(batch).ok());
      records.insert(records.end(), batch.begin(), batch.end());
      if (random() % 8 == 0) REQUIRE(database.get()->Flush({}).ok());
    }
    for (int i = 0; i < 60; ++i) {
      HistoryQuery query{.filter = RandomFilter(&random, span_us)};
      query.limit = 1 + random() % (random() % 2 == 0 ? 5 : 1000);
      query.max_steps = 1 + random() % (random() % 2 == 0 ? 20 : 10'000);
      INFO("query " << i << " of round " << round);
      RequireSame(database.All(query), Model(records, query.filter));
    }
    for (int i = 0; i < 20; ++i) {
      const HistoryRecord& any = records[random() % records.size()];
      HistoryRecord found;
      REQUIRE(History(database.get()).Get(any.instance, any.id, &found).ok());
      REQUIRE(SameRecord(found, any));
    }
  }
}

TEST_CASE("history: a record that is added again changes nothing", "[unit]") {
  HistoryDatabase database;
  HistoryWriter writer(database.get());
  HistoryRecord record = FullRecord();
  REQUIRE(writer.Add({record, record}).ok());
  const auto content = database.Content();
  REQUIRE(writer.Add({record}).ok());
  // The wall clock was set before it came the second time.
  record.ended_us += 1'000'000;
  REQUIRE(writer.Add({record}).ok());
  CHECK(database.Content() == content);
  CHECK(writer.stats().added == 1);
  CHECK(writer.stats().known == 3);
  // Across the border of two buckets.
  HistoryRecord early = RecordOf(5, 1000 * kBucketUs - 1);
  REQUIRE(writer.Add({early}).ok());
  early.ended_us += 2;
  REQUIRE(writer.Add({early}).ok());
  CHECK(writer.stats().known == 4);
  // The last one of a bucket, which is not the first that is looked at.
  CHECK(database.All({}).back().id == 5);
}

TEST_CASE("history: the rarest condition decides what a query costs", "[unit]") {
  HistoryDatabase database;
  HistoryWriter writer(database.get());
  std::vector<HistoryRecord> records;
  for (TaskId id = 1; id <= 20'000; ++id) {
    records.push_back(RecordOf(id, kSomeTimeUs + id));
    records.back().attributes = {{"account", std::to_string(id % 4000)}};
  }
  REQUIRE(writer.Add(records).ok());
  const HistoryPage page =
      database.Query({.filter = {.kind = "query", .attributes = {{"account", "77"}}}});
  CHECK(page.records.size() == 5);
  CHECK(page.next.empty());
  CHECK(page.steps < 100);
  CHECK(database.Query({.filter = {.kind = "query", .attributes = {{"account", "x"}}}}).steps < 10);
  // A condition that is met often does not lead, whatever the order.
  records.clear();
  for (TaskId id = 30'001; id <= 50'000; ++id) {
    records.push_back(RecordOf(id, kSomeTimeUs + id));
    records.back().status = "step" + std::to_string(id % 7);
    records.back().attributes = {{"source", std::to_string(id % 3)},
                                 {"rare", std::to_string(id % 200)}};
  }
  REQUIRE(writer.Add(records).ok());
  const HistoryPage three = database.Query(
      {.filter = {.attributes = {{"source", "1"}, {"rare", "77"}}, .status = "step1"}});
  CHECK(three.records.size() == 5);
  INFO(three.steps);
  CHECK(three.steps < 500);
  // A page of all needs no more than the page.
  CHECK(database.Query({.limit = 10}).steps < 40);
}

TEST_CASE("history: a query that has done enough says where to go on", "[unit]") {
  HistoryDatabase database;
  HistoryWriter writer(database.get());
  std::vector<HistoryRecord> records;
  for (TaskId id = 1; id <= 2000; ++id) {
    records.push_back(RecordOf(id, kSomeTimeUs + id, id % 2 == 0 ? "a" : "b"));
    records.back().status = id % 2 == 0 || id == 1 ? "x" : "y";
  }
  REQUIRE(writer.Add(records).ok());
  HistoryQuery query{.filter = {.kind = "b", .status = "x"}, .max_steps = 100};
  const HistoryPage page = database.Query(query);
  CHECK(page.records.empty());
  CHECK_FALSE(page.next.empty());
  const std::vector<HistoryRecord> all = database.All(query);
  REQUIRE(all.size() == 1);
  CHECK(all[0].id == 1);
}

TEST_CASE("history: bad queries and records are refused with what was wrong", "[unit]") {
  HistoryDatabase database;
  HistoryPage page;
  const std::vector<std::pair<HistoryQuery, std::string>> cases = {
      {{.limit = 0}, "limit"},
      {{.limit = 10'001}, "limit"},
      {{.max_steps = 0}, "max_steps"},
      {{.after = "xyz"}, "after"},
      {{.after = std::string(48, 'g')}, "after"}};
  for (const auto& [query, field] : cases) {
    const Status s = History(database.get()).Query(query, &page);
    CHECK(s.IsInvalidArgument());
    CHECK(s.ToString().find("HistoryQuery::" + field) != std::string::npos);
  }
  HistoryWriter writer(database.get());
  HistoryRecord running = RecordOf(1, kSomeTimeUs);
  running.outcome = TaskOutcome::kRunning;
  HistoryRecord nobodys = RecordOf(1, kSomeTimeUs);
  nobodys.instance = "a b";
  for (const HistoryRecord& record : {running, nobodys, RecordOf(0, 1), RecordOf(1, 0)}) {
    CHECK(writer.Add({record}).IsInvalidArgument());
  }
  HistoryRecord found;
  CHECK(History(database.get()).Get("one", 1, &found).IsNotFound());
}

TEST_CASE("history: a database that is none, or a newer one, is refused", "[unit]") {
  HistoryPage page;
  {
    HistoryDatabase database;  // empty: nothing has ended yet
    CHECK(History(database.get()).Query({}, &page).ok());
    REQUIRE(database.get()->Put({}, "key", "value").ok());
    CHECK(History(database.get()).Query({}, &page).IsCorruption());
    CHECK(HistoryWriter(database.get()).Add({FullRecord()}).IsCorruption());
  }
  HistoryDatabase database;
  REQUIRE(database.get()->Put({}, MetaKey("version"), "2").ok());
  CHECK(History(database.get()).Query({}, &page).IsNotSupported());
  CHECK(HistoryWriter(database.get()).Add({FullRecord()}).IsNotSupported());
}

TEST_CASE("history: what has expired is gone with its entries, and does not come back", "[unit]") {
  HistoryDatabase database;
  HistoryWriter writer(database.get());
  std::vector<HistoryRecord> records;
  for (TaskId id = 0; id < 100; ++id) {
    records.push_back(RecordOf(id + 1, kSomeTimeUs + id * kBucketUs / 4));
  }
  REQUIRE(writer.Add(records).ok());
  const uint64_t now_us = records.back().ended_us;
  REQUIRE(writer.Expire(now_us, 10 * kBucketUs, 0).ok());
  const std::vector<HistoryRecord> left = database.All({.filter = {.kind = "query"}});
  CHECK(left.size() >= 40);
  CHECK(left.size() <= 44);
  RequireSame(database.All({}), left);
  RequireSame(left, Model({records.end() - static_cast<int64_t>(left.size()), records.end()}, {}));
  // The meta data, and of each record itself, its id, and three entries.
  CHECK(database.Content().size() == 2 + 5 * left.size());
  const auto content = database.Content();
  REQUIRE(writer.Add(records).ok());
  CHECK(writer.stats().expired == 100 - left.size());
  CHECK(database.Content() == content);
  database.Open();
  HistoryWriter again(database.get());
  REQUIRE(again.Add(records).ok());
  CHECK(database.Content() == content);
  HistoryRecord found;
  CHECK(History(database.get()).Get(records[0].instance, 1, &found).IsNotFound());
}

TEST_CASE("history: while there is too much, the oldest expires", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  HistoryDatabase database;
  HistoryWriter writer(database.get());
  for (uint64_t bucket = 0; bucket < 10; ++bucket) {
    std::vector<HistoryRecord> records;
    for (TaskId id = 1; id <= 200; ++id) {
      records.push_back(RecordOf(bucket * 1000 + id, kSomeTimeUs + bucket * kBucketUs));
      for (int i = 0; i < 100; ++i) records.back().error += std::to_string(random());
    }
    REQUIRE(writer.Add(records).ok());
    REQUIRE(database.get()->Flush({}).ok());
  }
  // Of about 400 KB each.
  REQUIRE(writer.Expire(kSomeTimeUs + 10 * kBucketUs, 0, 2'000'000).ok());
  const std::vector<HistoryRecord> left = database.All({.limit = 10'000});
  CHECK(left.size() >= 400);
  CHECK(left.size() <= 1400);
  CHECK(left.front().id == 9001);
  REQUIRE(writer.Expire(kSomeTimeUs + 10 * kBucketUs, 0, 1).ok());
  CHECK(database.All({.limit = 10'000}).size() == 200);
}

TEST_CASE("history: made anew from the logs it is the same", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  MemoryStorage storage;
  HistoryDatabase first;
  HistoryDatabase anew;
  HistoryWriter writer(first.get());
  std::string content;
  uint64_t number = 1;
  std::vector<HistoryRecord> records;
  for (TaskId id = 1; id <= 3000; ++id) {
    HistoryRecord record = RandomRecord(&random, id, 3 * kBucketUs);
    record.instance = "i";
    content += ToJson(record) + "\n";
    records.push_back(std::move(record));
    if (random() % 300 == 0) {
      // The object has grown, or is finished; or a line of it is torn for now.
      const bool torn = random() % 2 == 0;
      const std::string name = TaskLogName("p", {kSomeTimeUs + number, "i", number});
      REQUIRE(storage.Put(name, content + (torn ? "{\"v\":1," : "")).ok());
      REQUIRE(writer.Import(&storage, "p").ok());
      if (random() % 2 == 0 && !torn) {
        content.clear();
        ++number;
      }
    }
  }
  REQUIRE(storage.Put(TaskLogName("p", {kSomeTimeUs + number, "i", number}), content).ok());
  REQUIRE(writer.Import(&storage, "p").ok());
  CHECK(writer.stats().added == 3000);
  CHECK(writer.stats().known == 0);
  RequireSame(first.All({.limit = 10'000}), Model(records, {}));

  HistoryWriter second(anew.get());
  REQUIRE(second.Add({records.begin() + 500, records.begin() + 900}).ok());  // of the registry
  REQUIRE(second.Import(&storage, "p").ok());
  CHECK(second.stats().known == 400);
  CHECK(anew.Content() == first.Content());
  // What is gone from the storage is forgotten there, and stays here.
  for (const std::string& name : storage.Names()) REQUIRE(storage.Delete(name).ok());
  REQUIRE(second.Import(&storage, "p").ok());
  CHECK(anew.All({.limit = 10'000}).size() == 3000);
  CHECK(anew.Content().size() < first.Content().size());
}

TEST_CASE("history: finished objects are not asked for again", "[unit]") {
  auto memory = std::make_shared<MemoryStorage>();
  slipstream::testing::FaultStorage storage(memory);
  const std::string line = ToJson(RecordOf(1, kSomeTimeUs)) + "\n";
  for (uint64_t i = 1; i <= 10; ++i) {
    REQUIRE(storage.Put(TaskLogName("p", {kSomeTimeUs + i, "i", i}), line).ok());
  }
  HistoryDatabase database;
  HistoryWriter writer(database.get());
  REQUIRE(writer.Import(&storage, "p").ok());
  const int opened = memory->opens();
  CHECK(opened == 10);
  // Counts: a fault that does not come.
  storage.Arm({.call = slipstream::testing::StorageCall::kSize, .nth = UINT64_MAX});
  REQUIRE(writer.Import(&storage, "p").ok());
  CHECK(storage.calls() == 1);  // of the newest one
  REQUIRE(HistoryWriter(database.get()).Import(&storage, "p").ok());
  CHECK(memory->opens() == opened);
}

TEST_CASE("history: a keeper has the tasks of its registry and of the logs", "[unit]") {
  auto storage = std::make_shared<MemoryStorage>();
  std::unique_ptr<TaskRegistry> here;
  std::unique_ptr<TaskRegistry> elsewhere;
  REQUIRE(TaskRegistry::Create({.name = "here"}, &here).ok());
  REQUIRE(TaskRegistry::Create({.name = "elsewhere"}, &elsewhere).ok());
  std::unique_ptr<TaskLog> log;
  std::unique_ptr<TaskLog> own_log;
  REQUIRE(TaskLog::Open({.registry = elsewhere.get(), .storage = storage}, &log).ok());
  REQUIRE(TaskLog::Open({.registry = here.get(), .storage = storage}, &own_log).ok());
  HistoryDatabase database;
  std::unique_ptr<HistoryKeeper> keeper;
  REQUIRE(HistoryKeeper::Open({.db = database.get(), .registry = here.get(), .storage = storage},
                              &keeper)
              .ok());
  for (int i = 0; i < 1500; ++i) Task task(here.get(), "a");
  for (int i = 0; i < 1500; ++i) Task task(elsewhere.get(), "b");
  REQUIRE(log->Flush(kPatienceUs).ok());
  REQUIRE(own_log->Flush(kPatienceUs).ok());
  REQUIRE(keeper->Flush(kPatienceUs).ok());
  CHECK(database.All({.filter = {.kind = "a"}}).size() == 1500);
  CHECK(database.All({.filter = {.instance = elsewhere->instance(), .kind = "b"}}).size() == 1500);
  CHECK(keeper->stats().writer.added == 3000);
  CHECK(keeper->stats().writer.known == 1500);
  // Without a flush, too.
  { Task task(here.get(), "c"); }
  CHECK(Eventually([&] { return database.All({.filter = {.kind = "c"}}).size() == 1; }));
  REQUIRE(keeper->Close(kPatienceUs).ok());
  CHECK(keeper->Flush(0).IsAborted());
  { Task task(here.get(), "d"); }
  CHECK(database.All({.filter = {.kind = "d"}}).empty());
}

}  // namespace
}  // namespace slipstream::observe
