#include "slipstream/observe/task_log.h"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lib/observe/history/record_json.h"
#include "lib/observe/history/task_log_name.h"
#include "lib/observe/history/task_log_retention.h"
#include "lib/observe/wall_clock.h"
#include "slipstream/observe/task.h"
#include "tests/e2e/eventually.h"
#include "tests/e2e/gated_storage.h"
#include "tests/faults/fault_storage.h"
#include "tests/unit/history_records.h"
#include "tests/unit/memory_storage.h"

namespace slipstream::observe {
namespace {

using slipstream::testing::Eventually;
using slipstream::testing::FaultStorage;
using slipstream::testing::MemoryStorage;
using slipstream::testing::StorageCall;
using slipstream::testing::StorageHarm;

constexpr uint64_t kPatienceUs = 60'000'000;

// A log whose interval does not come to an end: only what fills it, or a flush, writes.
struct Rig {
  explicit Rig(std::shared_ptr<SharedStorage> on = nullptr,
               const std::function<void(TaskLogOptions*)>& change = nullptr) {
    REQUIRE(TaskRegistry::Create({.name = "unit"}, &registry).ok());
    if (on == nullptr) on = memory;
    storage = std::move(on);
    TaskLogOptions options = {.registry = registry.get(), .storage = storage};
    options.flush_interval_ms = 3'600'000;
    if (change) change(&options);
    REQUIRE(TaskLog::Open(options, &log).ok());
  }

  void End(int count, const std::string& kind = "query") {
    for (int i = 0; i < count; ++i) {
      Task task(registry.get(), kind, {{"n", std::to_string(i)}});
      task.SetStatus("reading");
    }
  }
  std::vector<HistoryRecord> Read(const HistoryFilter& filter = {}, size_t limit = 0) {
    std::vector<HistoryRecord> records;
    REQUIRE(ReadTaskLog(storage.get(), "observe", filter, limit, &records, &reading).ok());
    return records;
  }
  std::vector<std::string> Objects() {
    std::vector<std::string> names;
    REQUIRE(storage->List("observe/", &names).ok());
    return names;
  }

  std::shared_ptr<MemoryStorage> memory = std::make_shared<MemoryStorage>();
  std::shared_ptr<SharedStorage> storage;
  std::unique_ptr<TaskRegistry> registry;
  std::unique_ptr<TaskLog> log;
  TaskLogReading reading;
};

TEST_CASE("task_log: an option out of its range is refused by name", "[unit]") {
  std::unique_ptr<TaskRegistry> registry;
  REQUIRE(TaskRegistry::Create({}, &registry).ok());
  const std::vector<std::pair<std::function<void(TaskLogOptions*)>, std::string>> cases = {
      {[](auto* o) { o->registry = nullptr; }, "registry"},
      {[](auto* o) { o->storage = nullptr; }, "storage"},
      {[](auto* o) { o->prefix = "a//b"; }, "prefix"},
      {[](auto* o) { o->flush_interval_ms = 9; }, "flush_interval_ms"},
      {[](auto* o) { o->rotate_bytes = 1023; }, "rotate_bytes"},
      {[](auto* o) { o->rotate_interval_ms = 0; }, "rotate_interval_ms"},
      {[](auto* o) { o->max_waiting_bytes = 1; }, "max_waiting_bytes"},
      {[](auto* o) { o->keep_ms = UINT64_MAX; }, "keep_ms"},
      {[](auto* o) { o->keep_bytes = o->rotate_bytes; }, "keep_bytes"},
  };
  for (const auto& [change, field] : cases) {
    TaskLogOptions options = {.registry = registry.get(),
                              .storage = std::make_shared<MemoryStorage>()};
    change(&options);
    std::unique_ptr<TaskLog> log;
    const rocksdb::Status s = TaskLog::Open(options, &log);
    INFO(field);
    CHECK(s.IsInvalidArgument());
    CHECK(s.ToString().find("TaskLogOptions::" + field) != std::string::npos);
    CHECK(log == nullptr);
  }
}

TEST_CASE("task_log: what has ended is read back, the newest first, with times of day", "[unit]") {
  const uint64_t before_us = WallMicros();
  Rig rig;
  TaskId id = 0;
  {
    Task task(rig.registry.get(), "query", {{"account", "42"}});
    id = task.id();
    task.SetStatus("reading");
    task.SetStatus("merging");
    task.SetProgress(3, 4, "rows");
    task.Finish(rocksdb::Status::IOError("disk"));
  }
  rig.End(1, "other");
  REQUIRE(rig.log->Flush(kPatienceUs).ok());
  const std::vector<HistoryRecord> records = rig.Read();
  REQUIRE(records.size() == 2);
  CHECK(records[0].kind == "other");
  const HistoryRecord& r = records[1];
  CHECK(r.instance == rig.registry->instance());
  CHECK(r.id == id);
  CHECK(r.attributes == decltype(r.attributes){{"account", "42"}});
  CHECK(r.outcome == TaskOutcome::kFailed);
  CHECK(r.error == "IO error: disk");
  CHECK(r.status == "merging");
  REQUIRE(r.history.size() == 2);
  CHECK(r.history[0].text == "reading");
  CHECK(r.progress.unit == "rows");
  // Of the wall clock; a second for one that is set meanwhile.
  CHECK(r.began_us + 1'000'000 >= before_us);
  CHECK(r.began_us <= r.history[0].at_us);
  CHECK(r.history[1].at_us <= r.ended_us);
  CHECK(r.ended_us <= WallMicros() + 1'000'000);
  const TaskLogStats stats = rig.log->stats();
  CHECK(stats.records == 2);
  CHECK(stats.objects == 1);
  CHECK(stats.dropped == 0);
  CHECK(stats.waiting_bytes == 0);
}

TEST_CASE("task_log: an object grows until it is large enough", "[unit]") {
  Rig rig(nullptr, [](TaskLogOptions* o) { o->rotate_bytes = 4096; });
  rig.End(3);
  REQUIRE(rig.log->Flush(kPatienceUs).ok());
  const std::string first = rig.memory->Get(rig.Objects().at(0));
  rig.End(3);
  REQUIRE(rig.log->Flush(kPatienceUs).ok());
  REQUIRE(rig.Objects().size() == 1);
  const std::string grown = rig.memory->Get(rig.Objects().at(0));
  CHECK(grown.starts_with(first));
  CHECK(grown.size() > first.size());
  rig.End(200);
  REQUIRE(rig.log->Flush(kPatienceUs).ok());
  CHECK(rig.Objects().size() > 5);
  for (const std::string& name : rig.Objects()) {
    TaskLogObject object;
    CHECK(ParseTaskLogName("observe", name, &object));
    CHECK(object.instance == rig.registry->instance());
  }
  CHECK(rig.Read().size() == 206);
  CHECK(rig.reading.malformed == 0);
  CHECK(rig.log->stats().objects == rig.Objects().size());
}

TEST_CASE("task_log: an object that is old enough is finished", "[unit]") {
  Rig rig(nullptr, [](TaskLogOptions* o) {
    o->flush_interval_ms = 10;
    o->rotate_interval_ms = 10;
  });
  CHECK(Eventually([&] {
    rig.End(1);
    return rig.Objects().size() >= 3;
  }));
}

TEST_CASE("task_log: what has ended is written without a flush, within the interval", "[unit]") {
  Rig rig(nullptr, [](TaskLogOptions* o) { o->flush_interval_ms = 20; });
  rig.End(5);
  CHECK(Eventually([&] { return rig.Read().size() == 5; }));
}

TEST_CASE("task_log: every error of the storage is got over, with nothing lost or twice",
          "[unit]") {
  for (const StorageCall call : {StorageCall::kPutIfAbsent, StorageCall::kPut}) {
    for (const StorageHarm harm : {StorageHarm::kError, StorageHarm::kLostAnswer}) {
      auto faulty = std::make_shared<FaultStorage>(std::make_shared<MemoryStorage>());
      Rig rig(faulty);
      faulty->Arm({.call = call, .harm = harm});
      rig.End(3);
      REQUIRE(rig.log->Flush(kPatienceUs).ok());
      rig.End(3);
      REQUIRE(rig.log->Flush(kPatienceUs).ok());
      CHECK(faulty->failures() == 1);
      CHECK(rig.log->stats().failures == 1);
      CHECK(rig.log->stats().last_error.find("storage fault") != std::string::npos);
      CHECK(rig.Read().size() == 6);
    }
  }
}

TEST_CASE("task_log: a storage that stays full costs tasks, and never waits", "[unit]") {
  auto faulty = std::make_shared<FaultStorage>(std::make_shared<MemoryStorage>());
  Rig rig(faulty, [](TaskLogOptions* o) {
    o->rotate_bytes = 4096;
    o->max_waiting_bytes = 64 << 10;
  });
  faulty->Arm({.call = StorageCall::kPutIfAbsent,
               .lasting = true,
               .status = rocksdb::Status::NoSpace("full")});
  rig.End(10'000);
  const rocksdb::Status s = rig.log->Flush(1000);
  CHECK(s.IsTimedOut());
  CHECK(Eventually([&] { return rig.log->stats().failures > 0; }));
  const std::string text = rig.log->Flush(1000).ToString();
  INFO(text);
  CHECK(text.find("full") != std::string::npos);
  const TaskLogStats stats = rig.log->stats();
  CHECK(stats.dropped > 5000);
  CHECK(stats.waiting_bytes <= (64 << 10) + 2 * 4096);
  faulty->Heal();
  REQUIRE(rig.log->Flush(kPatienceUs).ok());
  CHECK(rig.Read().size() == 10'000 - rig.log->stats().dropped);
  CHECK(rig.log->stats().records == rig.Read().size());
}

TEST_CASE("task_log: whoever ends tasks does not wait for a storage that hangs", "[unit]") {
  auto faulty = std::make_shared<FaultStorage>(std::make_shared<MemoryStorage>());
  std::atomic<bool> hangs{true};
  Rig rig(faulty);
  faulty->Arm({.call = StorageCall::kPutIfAbsent, .before = [&] {
                 while (hangs) std::this_thread::yield();
               }});
  rig.End(1);
  CHECK(rig.log->Flush(1000).IsTimedOut());
  rig.End(1000);
  CHECK(rig.log->stats().records == 0);
  hangs = false;
  REQUIRE(rig.log->Close(kPatienceUs).ok());
  CHECK(rig.Read().size() == 1001);
}

TEST_CASE("task_log: after a close nothing is written", "[unit]") {
  Rig rig;
  rig.End(1);
  REQUIRE(rig.log->Close(kPatienceUs).ok());
  rig.End(1);
  CHECK(rig.log->Close(kPatienceUs).ok());
  CHECK(rig.log->Flush(kPatienceUs).IsAborted());
  CHECK(rig.Read().size() == 1);
}

TEST_CASE("task_log: lines that are torn or of another version are counted and passed over",
          "[unit]") {
  auto storage = std::make_shared<MemoryStorage>();
  const std::string line = ToJson(FullRecord());
  Json newer = RecordToJson(RecordOf(2, kSomeTimeUs));
  newer["v"] = 9;
  REQUIRE(storage
              ->Put("observe/tasks/00000000000000001-a-000001.jsonl",
                    line + "\n" + line.substr(0, 40) + "\n\n\x01\xFF\n" + newer.dump() + "\n" +
                        ToJson(RecordOf(3, kSomeTimeUs + 1)) + "\n" + line.substr(0, 60))
              .ok());
  REQUIRE(storage->Put("observe/tasks/something else", "x\n").ok());
  std::vector<HistoryRecord> records;
  TaskLogReading reading;
  REQUIRE(ReadTaskLog(storage.get(), "observe", {}, 0, &records, &reading).ok());
  REQUIRE(records.size() == 2);
  CHECK(records[0].id == 3);
  CHECK(SameRecord(records[1], FullRecord()));
  CHECK(reading.objects == 1);
  CHECK(reading.records == 2);
  CHECK(reading.malformed == 2);
  CHECK(reading.newer == 1);
}

// Objects of one instance, of a record each, a minute apart.
std::shared_ptr<MemoryStorage> MinutesOfObjects(int count) {
  auto storage = std::make_shared<MemoryStorage>();
  for (int i = 1; i <= count; ++i) {
    const uint64_t at_us = kSomeTimeUs + static_cast<uint64_t>(i) * 60'000'000;
    const TaskLogObject object{at_us, "a", static_cast<uint64_t>(i)};
    REQUIRE(
        storage
            ->Put(TaskLogName("p", object), ToJson(RecordOf(static_cast<TaskId>(i), at_us)) + "\n")
            .ok());
  }
  return storage;
}

TEST_CASE("task_log: a reader opens no more objects than can have what is asked for", "[unit]") {
  const auto storage = MinutesOfObjects(100);
  std::vector<HistoryRecord> records;
  TaskLogReading reading;
  REQUIRE(ReadTaskLog(storage.get(), "p", {}, 5, &records, &reading).ok());
  REQUIRE(records.size() == 5);
  CHECK(records[0].id == 100);
  CHECK(records[4].id == 96);
  CHECK(reading.objects < 10);
  const HistoryFilter filter = {.from_us = kSomeTimeUs + UINT64_C(90) * 60'000'000,
                                .to_us = kSomeTimeUs + UINT64_C(95) * 60'000'000};
  REQUIRE(ReadTaskLog(storage.get(), "p", filter, 0, &records, &reading).ok());
  REQUIRE(records.size() == 5);
  CHECK(records[0].id == 94);
  CHECK(reading.objects < 20);
}

TEST_CASE("task_log: retention deletes by age, then the oldest by bytes", "[unit]") {
  const auto storage = MinutesOfObjects(100);
  REQUIRE(storage->Put("p/tasks/other", "x").ok());
  const auto no_stop = [] { return false; };
  const uint64_t now_us = kSomeTimeUs + UINT64_C(100) * 60'000'000;
  TaskLogRetention by_age(storage, "p", {.keep_us = 10 * 60'000'000, .object_span_us = 60'000'000});
  REQUIRE(by_age.Prune(now_us, no_stop).ok());
  CHECK(by_age.deleted() == 88);
  CHECK(storage->Names().size() == 13);
  const uint64_t size = storage->Get(TaskLogName("p", {now_us, "a", 100})).size();
  TaskLogRetention by_bytes(storage, "p", {.keep_bytes = 4 * size + 10});
  REQUIRE(by_bytes.Prune(now_us, no_stop).ok());
  CHECK(by_bytes.deleted() == 8);
  std::vector<HistoryRecord> records;
  REQUIRE(ReadTaskLog(storage.get(), "p", {}, 0, &records, nullptr).ok());
  REQUIRE(records.size() == 4);
  CHECK(records[3].id == 97);
  CHECK(storage->Has("p/tasks/other"));
  // Too small for anything: the newest stays.
  TaskLogRetention nothing(storage, "p", {.keep_bytes = 1});
  REQUIRE(nothing.Prune(now_us, no_stop).ok());
  CHECK(storage->Names().size() == 2);
}

TEST_CASE("task_log: the log deletes what is too old when it begins", "[unit]") {
  const auto storage = MinutesOfObjects(3);  // of years ago
  Rig rig(storage, [](TaskLogOptions* o) { o->prefix = "p"; });
  CHECK(Eventually([&] { return rig.log->stats().deleted == 3; }));
  CHECK(storage->Names().empty());
}

}  // namespace
}  // namespace slipstream::observe
