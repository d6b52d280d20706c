#include "tests/faults/fault_plans.h"

#include <atomic>
#include <cstddef>
#include <exception>
#include <thread>

#include "catch2/catch.hpp"
#include "rocksdb/env.h"

namespace slipstream::testing {
namespace {

// What went wrong in a run; empty if nothing.
std::string Attempt(const FaultPlan& plan, std::atomic<size_t>* struck) {
  try {
    FaultRun run;
    plan.arm(&run);
    run.Run();
    run.RequireWhole();
    if (run.fs()->failures() + run.storage()->failures() > 0) ++*struck;
    return "";
  } catch (const std::exception& e) {
    return plan.what + ": " + e.what();
  }
}

}  // namespace

void AttemptAll(const std::vector<FaultPlan>& plans) {
  constexpr int kAtOnce = 16;
  // All databases of the process share these, and a failed job sleeps in one.
  rocksdb::Env::Default()->SetBackgroundThreads(kAtOnce, rocksdb::Env::HIGH);
  rocksdb::Env::Default()->SetBackgroundThreads(kAtOnce, rocksdb::Env::LOW);
  std::atomic<size_t> next{0};
  std::atomic<size_t> struck{0};
  std::vector<std::string> failures(plans.size());
  std::vector<std::thread> workers;
  for (int i = 0; i < kAtOnce; ++i) {
    workers.emplace_back([&] {
      for (size_t n; (n = next.fetch_add(1)) < plans.size();) {
        failures[n] = Attempt(plans[n], &struck);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (const std::string& failure : failures) {
    INFO(failure);
    CHECK(failure.empty());
  }
  // Some calls are a matter of time, so that now and then the last ones are not made.
  INFO(struck << " of " << plans.size() << " faults have struck");
  CHECK(struck * 10 >= plans.size() * 9);
}

}  // namespace slipstream::testing
