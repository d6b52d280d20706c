// What can fail below the leader and below its followers: the leader's disk, and the storage as
// either side sees it.
#pragma once

#include <memory>
#include <string>

#include "rocksdb/env.h"
#include "slipstream/shared_storage.h"
#include "tests/faults/fault_file_system.h"
#include "tests/faults/fault_storage.h"
#include "tests/oracle/random.h"

namespace slipstream::oracle {

// Threads: the conductor's. Lifetime: outlives the leader and the followers.
class Faults {
 public:
  // storage: what both sides use while nothing fails.
  explicit Faults(std::shared_ptr<SharedStorage> storage);

  rocksdb::Env* env() { return env_.get(); }
  std::shared_ptr<SharedStorage> leaders_storage() { return leaders_; }
  std::shared_ptr<SharedStorage> followers_storage() { return followers_; }

  // As if the leader's process were gone: it changes nothing any more.
  void StopLeader();
  void Heal();

 private:
  const std::shared_ptr<testing::FaultFileSystem> disk_;
  const std::unique_ptr<rocksdb::Env> env_;
  const std::shared_ptr<testing::FaultStorage> leaders_;
  const std::shared_ptr<testing::FaultStorage> followers_;
};

}  // namespace slipstream::oracle
