// A process that ends tasks and logs them until it is killed.
//
//   task_log_node DIRECTORY FLUSH_INTERVAL_MS
//
// After each tenth task it prints "ID ACTIVE_MS STORED": the last one that has ended, how long the
// process has run by then without the pauses in which it did not get to run, and how many are on
// the storage as far as it knows.
#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

#include "slipstream/observe/task.h"
#include "slipstream/observe/task_log.h"
#include "slipstream/shared_storage.h"

int main(int argc, char** argv) {
  using namespace slipstream;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (argc != 3) return 2;
  std::shared_ptr<SharedStorage> storage;
  std::unique_ptr<observe::TaskRegistry> registry;
  std::unique_ptr<observe::TaskLog> log;
  rocksdb::Status s = NewDirectoryStorage(argv[1], &storage);
  if (s.ok()) s = observe::TaskRegistry::Create({.name = "node"}, &registry);
  observe::TaskLogOptions options;
  options.registry = registry.get();
  options.storage = storage;
  options.flush_interval_ms = std::stoull(argv[2]);
  options.rotate_bytes = 16 << 10;
  if (s.ok()) s = observe::TaskLog::Open(options, &log);
  if (!s.ok()) {
    std::cout << "error " << s.ToString() << std::endl;
    return 1;
  }
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::microseconds kPause(50'000);
  std::chrono::microseconds active(0);
  Clock::time_point last = Clock::now();
  for (uint64_t n = 1;; ++n) {
    observe::Task task(registry.get(), "work", {{"n", std::to_string(n)}});
    task.SetStatus("working");
    task.Finish(rocksdb::Status::OK());
    const Clock::time_point now = Clock::now();
    active += std::min(kPause, std::chrono::duration_cast<std::chrono::microseconds>(now - last));
    last = now;
    if (n % 10 == 0) {
      std::cout << n << " " << active.count() / 1000 << " " << log->stats().records << std::endl;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}
