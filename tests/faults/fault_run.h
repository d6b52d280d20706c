// One leader with one follower over parts that fail on demand, a fixed workload, and what must hold
// after it whatever has failed: every acknowledged write is there, the follower equals the leader,
// and no object is left on the storage that nobody needs. What does not hold is thrown as a
// std::runtime_error, so that many runs can go on at the same time: RocksDB sleeps for a second
// when a flush or compaction fails.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "slipstream/follower.h"
#include "slipstream/leader.h"
#include "slipstream/replication_server.h"
#include "tests/e2e/temporary_directory.h"
#include "tests/faults/fault_file_system.h"
#include "tests/faults/fault_storage.h"
#include "tests/unit/memory_storage.h"

namespace slipstream::testing {

class FaultRun {
 public:
  FaultRun();
  ~FaultRun();

  FaultFileSystem* fs() { return fs_.get(); }
  FaultStorage* storage() { return storage_.get(); }

  // Runs the workload. A step that fails is repeated until it succeeds: faults are healed, RocksDB
  // is told to resume, and where it cannot the leader is opened anew.
  // before_step: called before each step, with whether all memtables are empty.
  void Run(const std::function<void(bool)>& before_step = nullptr);
  // Starts a flush of all column families, and does not wait for it.
  void StartFlush();
  // Writes, and requires that the follower shows it.
  void WriteAndRequireShown(const std::string& key);
  // Heals all and requires what must hold.
  void RequireWhole();

  uint64_t failed_steps() const { return failed_steps_; }
  uint64_t reopens() const { return reopens_; }

 private:
  using Key = std::pair<std::string, std::string>;  // column family, key

  void OpenLeader();
  void CloseLeader();
  void OpenFollower();
  // Tries to get the leader to write again.
  void Recover();
  void Step(const std::function<rocksdb::Status()>& action);
  void Put(const std::string& family, const std::string& key, const std::string& value,
           bool sync = false);
  void Delete(const std::string& family, const std::string& key);
  void Flush();
  void Compact(const std::string& family);
  void Create(const std::string& family);
  void RequireAcknowledged();
  void RequireEqual();
  void RequireNoLeak();
  bool MemtablesEmpty();

  TemporaryDirectory directory_;
  const std::shared_ptr<FaultFileSystem> fs_ = std::make_shared<FaultFileSystem>();
  const std::unique_ptr<rocksdb::Env> env_ = rocksdb::NewCompositeEnv(fs_);
  const std::shared_ptr<MemoryStorage> memory_ = std::make_shared<MemoryStorage>();
  const std::shared_ptr<FaultStorage> storage_ = std::make_shared<FaultStorage>(memory_);
  std::shared_ptr<ReplicationServer> server_;
  std::unique_ptr<Leader> leader_;
  std::map<std::string, rocksdb::ColumnFamilyHandle*> families_;
  std::unique_ptr<Follower> follower_;

  std::function<void(bool)> before_step_;
  // Empty: deleted.
  std::map<Key, std::optional<std::string>> acknowledged_;
  uint64_t failed_steps_ = 0;
  uint64_t reopens_ = 0;
};

}  // namespace slipstream::testing
