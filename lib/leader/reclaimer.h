// Deletes removed SST and blob files from the shared storage once no follower needs them, as long
// as no newer leader has taken over.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/host/steady_cond_var.h"
#include "lib/leader/fence.h"
#include "lib/leader/follower_table.h"
#include "lib/leader/object_catalog.h"
#include "rocksdb/env.h"
#include "slipstream/observe/task.h"
#include "slipstream/shared_storage.h"

namespace slipstream {

// Threads: any. Starts the thread "ss-reclaim", which wakes by time and calls the storage.
class Reclaimer {
 public:
  Reclaimer(std::string database, std::shared_ptr<SharedStorage> storage,
            std::shared_ptr<ObjectCatalog> catalog, std::shared_ptr<FollowerTable> followers,
            std::shared_ptr<Fence> fence, std::shared_ptr<rocksdb::Logger> logger,
            observe::TaskRegistry* tasks = nullptr);
  ~Reclaimer();

  // Nothing is deleted before one lease has passed: until then followers of the last opening may
  // return whose pins are not known yet.
  void Start(uint64_t lease_ms);
  void Stop();
  // One round, as the thread makes them. REQUIRES: it is not running.
  void Reclaim();

  // Objects removed up to this position may be gone.
  Position deleted_through() const;
  uint64_t deleted() const;

 private:
  void Run(uint64_t lease_ms);
  // True if Stop was called, false after the timeout.
  bool WaitForStop(absl::Duration timeout);
  // Announces the deletions, then makes sure that no newer leader may need what they name.
  rocksdb::Status Announce(const std::vector<ObjectCatalog::Removed>& removed);
  rocksdb::Status Delete(const std::vector<ObjectCatalog::Removed>& removed, observe::Task* task);

  const std::string database_;
  const std::shared_ptr<SharedStorage> storage_;
  const std::shared_ptr<ObjectCatalog> catalog_;
  const std::shared_ptr<FollowerTable> followers_;
  const std::shared_ptr<Fence> fence_;
  const uint64_t opening_epoch_;  // names its announcements
  const std::shared_ptr<rocksdb::Logger> logger_;
  observe::TaskRegistry* const tasks_;
  std::thread thread_;
  // The storage has failed to say whether it deleted these. Of the thread.
  std::set<std::string> uncertain_;

  mutable absl::Mutex mutex_;
  SteadyCondVar stopped_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Position deleted_through_ ABSL_GUARDED_BY(mutex_);
  uint64_t deleted_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace slipstream
