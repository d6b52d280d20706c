// Every n-th call of the shared storage that the leader makes fails once, or loses its answer.
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/eventually.h"
#include "tests/faults/fault_plans.h"
#include "tests/faults/fault_run.h"

namespace slipstream::testing {
namespace {

std::string NameOf(StorageHarm harm) {
  switch (harm) {
    case StorageHarm::kError:
      return "error";
    case StorageHarm::kLostAnswer:
      return "lost answer";
    case StorageHarm::kShortRead:
      return "short read";
    case StorageHarm::kFlippedBit:
      return "flipped bit";
  }
  return "";
}

uint64_t CountCalls(StorageCall call) {
  FaultRun run;
  StorageFault fault;
  fault.call = call;
  fault.nth = UINT64_MAX;
  run.storage()->Arm(fault);
  run.Run();
  const uint64_t calls = run.storage()->calls();
  run.RequireWhole();
  return calls;
}

void AddPlans(StorageCall call, StorageHarm harm, uint64_t count, std::vector<FaultPlan>* plans) {
  for (uint64_t n = 1; n <= count; ++n) {
    StorageFault fault;
    fault.call = call;
    fault.nth = n;
    fault.harm = harm;
    plans->push_back({ToString(call) + " " + std::to_string(n) + " of " + std::to_string(count) +
                          ", " + NameOf(harm),
                      [fault](FaultRun* run) { run->storage()->Arm(fault); }});
    // A storage that is full, until it is healed.
    if (harm != StorageHarm::kError || call == StorageCall::kDelete) continue;
    fault.lasting = true;
    fault.status = rocksdb::Status::NoSpace("the storage is full, as the test wants it");
    plans->push_back({ToString(call) + " " + std::to_string(n) + " of " + std::to_string(count) +
                          " and all after it, full",
                      [fault](FaultRun* run) { run->storage()->Arm(fault); }});
  }
}

void FailEach(StorageCall call, const std::vector<StorageHarm>& harms) {
  const uint64_t count = CountCalls(call);
  CHECK(count > 0);
  std::vector<FaultPlan> plans;
  for (const StorageHarm harm : harms) AddPlans(call, harm, count, &plans);
  AttemptAll(plans);
}

}  // namespace

TEST_CASE("storage_fault: each start of an object fails", "[faults]") {
  FailEach(StorageCall::kNewWriter, {StorageHarm::kError});
}
TEST_CASE("storage_fault: each append to an object fails", "[faults]") {
  FailEach(StorageCall::kAppend, {StorageHarm::kError});
}
TEST_CASE("storage_fault: each sync of an object fails", "[faults]") {
  FailEach(StorageCall::kSync, {StorageHarm::kError});
}
TEST_CASE("storage_fault: each commit of an object fails, or loses its answer", "[faults]") {
  FailEach(StorageCall::kCommit, {StorageHarm::kError, StorageHarm::kLostAnswer});
}
TEST_CASE("storage_fault: each opening of an object by the leader fails", "[faults]") {
  FailEach(StorageCall::kNewReader, {StorageHarm::kError});
}
TEST_CASE("storage_fault: each read of an object by the leader fails", "[faults]") {
  FailEach(StorageCall::kRead,
           {StorageHarm::kError, StorageHarm::kShortRead, StorageHarm::kFlippedBit});
}
TEST_CASE("storage_fault: deletions fail, or lose their answer", "[faults]") {
  // They come when the reclaimer wakes, so how many fall into the workload is not known.
  std::vector<FaultPlan> plans;
  AddPlans(StorageCall::kDelete, StorageHarm::kError, 3, &plans);
  AddPlans(StorageCall::kDelete, StorageHarm::kLostAnswer, 3, &plans);
  AttemptAll(plans);
}

TEST_CASE("storage_fault: the claim of the next epoch fails, or loses its answer", "[faults]") {
  std::vector<FaultPlan> plans;
  for (const StorageCall call : {StorageCall::kList, StorageCall::kPutIfAbsent}) {
    for (const StorageHarm harm : {StorageHarm::kError, StorageHarm::kLostAnswer}) {
      StorageFault fault;
      fault.call = call;
      fault.harm = harm;
      plans.push_back({ToString(call) + " for a claim, " + NameOf(harm), [fault](FaultRun* run) {
                         run->fs()->Arm({FileRole::kManifest, FileCall::kAppend, 5, false,
                                         RetryableError(), 0});
                         run->storage()->Arm(fault);
                       }});
    }
  }
  AttemptAll(plans);
}

TEST_CASE("storage_fault: a storage that hangs delays flushes and not replication", "[faults]") {
  std::mutex mutex;
  std::condition_variable changed;
  bool hangs = false;
  bool released = false;
  FaultRun run;
  StorageFault fault;
  fault.call = StorageCall::kCommit;
  fault.harm = StorageHarm::kError;
  fault.before = [&] {
    std::unique_lock<std::mutex> lock(mutex);
    hangs = true;
    changed.notify_all();
    changed.wait_for(lock, kPatience, [&] { return released; });
  };
  run.storage()->Arm(fault);
  run.StartFlush();
  {
    std::unique_lock<std::mutex> lock(mutex);
    REQUIRE(changed.wait_for(lock, kPatience, [&] { return hangs; }));
  }
  run.WriteAndRequireShown("while the storage hangs");
  {
    std::lock_guard<std::mutex> lock(mutex);
    released = true;
  }
  changed.notify_all();
  run.RequireWhole();
}

}  // namespace slipstream::testing
