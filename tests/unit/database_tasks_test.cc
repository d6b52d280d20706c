#include "lib/leader/database_tasks.h"

#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/observed_tasks.h"

namespace slipstream {
namespace {

using observe::TaskInfo;
using observe::TaskOutcome;
using rocksdb::Status;
using rocksdb::ThreadStatus;

struct Rig {
  observe::ObservedTasks tasks;
  DatabaseTasks jobs{tasks.registry(), "test"};

  void BeginFlush(int job, const std::string& family) {
    rocksdb::FlushJobInfo info;
    info.job_id = job;
    info.cf_name = family;
    jobs.OnFlushBegin(nullptr, info);
  }
  void EndFlush(int job, const std::string& family) {
    rocksdb::FlushJobInfo info;
    info.job_id = job;
    info.cf_name = family;
    jobs.OnFlushCompleted(nullptr, info);
  }
  std::vector<TaskInfo> List() { return tasks.registry()->List(); }
};

TEST_CASE("database_tasks: an atomic flush is one task for each column family", "[unit]") {
  Rig rig;
  rig.BeginFlush(7, "a");
  rig.BeginFlush(7, "b");
  REQUIRE(rig.List().size() == 2);
  rig.EndFlush(7, "b");
  REQUIRE(rig.List()[0].outcome == TaskOutcome::kRunning);
  REQUIRE(rig.List()[1].outcome == TaskOutcome::kOk);
  rig.EndFlush(7, "unknown");
  rig.EndFlush(7, "a");
  REQUIRE(rig.List()[0].outcome == TaskOutcome::kOk);
}

TEST_CASE("database_tasks: a flush that fails ends, though RocksDB does not say so", "[unit]") {
  Rig rig;
  rig.BeginFlush(1, "a");
  std::thread([&] { rig.BeginFlush(2, "a"); }).join();
  Status full = Status::NoSpace("full");
  rig.jobs.OnBackgroundError(rocksdb::BackgroundErrorReason::kCompaction, &full);
  REQUIRE(rig.List()[0].outcome == TaskOutcome::kRunning);
  rig.jobs.OnBackgroundError(rocksdb::BackgroundErrorReason::kFlush, &full);
  REQUIRE(rig.List()[0].outcome == TaskOutcome::kFailed);
  REQUIRE(rig.List()[0].error.find("full") != std::string::npos);
  REQUIRE(rig.List()[1].outcome == TaskOutcome::kRunning);  // another thread's
  // One that ended in silence is over when its thread begins another.
  rig.BeginFlush(3, "a");
  rig.BeginFlush(4, "a");
  REQUIRE(rig.List()[2].outcome == TaskOutcome::kFailed);
  REQUIRE(rig.List()[3].outcome == TaskOutcome::kRunning);
}

TEST_CASE("database_tasks: a compaction ends with its outcome", "[unit]") {
  Rig rig;
  rocksdb::CompactionJobInfo info;
  info.job_id = 5;
  info.cf_name = "a";
  info.input_files = {"1.sst", "2.sst", "3.sst"};
  info.base_input_level = 1;
  info.output_level = 2;
  rig.jobs.OnCompactionBegin(nullptr, info);
  REQUIRE(rig.List()[0].status == "compacting 3 files of level 1 into level 2");
  info.status = Status::Corruption("bad block");
  rig.jobs.OnCompactionCompleted(nullptr, info);
  REQUIRE(rig.List()[0].outcome == TaskOutcome::kFailed);
}

TEST_CASE("database_tasks: what RocksDB says of its threads is the progress of its jobs",
          "[unit]") {
  Rig rig;
  // Nothing to ask for: the environment of this test keeps no track.
  rig.jobs.Watch(rocksdb::Env::Default(), "/db");
  rig.BeginFlush(9, "a");
  const auto thread = [](const std::string& db, const std::string& family, uint64_t job) {
    const uint64_t properties[ThreadStatus::kNumOperationProperties] = {job, 1000, 250};
    return ThreadStatus(1, ThreadStatus::HIGH_PRIORITY, db, family, ThreadStatus::OP_FLUSH, 5,
                        ThreadStatus::STAGE_FLUSH_WRITE_L0, properties,
                        ThreadStatus::STATE_UNKNOWN);
  };
  rig.jobs.Tell(thread("/other", "a", 9));
  rig.jobs.Tell(thread("/db", "b", 9));
  rig.jobs.Tell(thread("/db", "a", 8));
  REQUIRE(rig.List()[0].progress.total == 0);
  rig.jobs.Tell(thread("/db", "a", 9));
  REQUIRE(rig.List()[0].progress.total == 1000);
  REQUIRE(rig.List()[0].progress.done == 250);
  REQUIRE(rig.List()[0].progress.unit == "bytes");
  REQUIRE(rig.List()[0].attributes.back().first == "stage");
}

TEST_CASE("database_tasks: after Stop nothing is in the process list", "[unit]") {
  Rig rig;
  rig.BeginFlush(1, "a");
  rig.jobs.Stop();
  rig.BeginFlush(2, "a");
  rig.EndFlush(1, "a");
  REQUIRE(rig.tasks.registry()->stats().running == 0);
  REQUIRE(rig.List().size() == 1);
}

}  // namespace
}  // namespace slipstream
