// Finds out that a newer leader has taken over the database.
//
//                 the claim of the next epoch is there, and not this leader's own
//   leading (OK) -----------------------------------------------------------------> fenced
//   (Aborted)
//
// A claim is never deleted, so one look at the name of the next epoch tells; nothing is listed.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/host/steady_cond_var.h"
#include "rocksdb/status.h"
#include "slipstream/shared_storage.h"

namespace slipstream {

// Threads: any. Start starts the thread "ss-fence", which wakes by time and calls the storage.
class Fence {
 public:
  // epoch: the one that this leader has claimed. own_claim: the content of all its claims, which no
  // other leader's has: when it claims another epoch itself, that does not fence it.
  Fence(std::string database, std::shared_ptr<SharedStorage> storage, uint64_t epoch,
        std::string own_claim);
  ~Fence();

  // Looks every `interval`. on_fenced: called once, on the fence's thread, with Aborted.
  void Start(absl::Duration interval, std::function<void(const rocksdb::Status&)> on_fenced);
  void Stop();
  // Makes the thread look at once.
  void LookNow();

  // Looks at the storage. Returns OK, Aborted if fenced, or the storage's error: then it is not
  // known, and nothing may be done that a newer leader could suffer from. Blocks.
  [[nodiscard]] rocksdb::Status Check();

  // What is known without a look. Cheap enough for every write.
  bool fenced() const { return fenced_by_.load(std::memory_order_acquire) != 0; }
  // The newer epoch; 0 while this leader leads.
  uint64_t fenced_by() const { return fenced_by_.load(std::memory_order_acquire); }
  // OK, or Aborted naming both epochs.
  [[nodiscard]] rocksdb::Status status() const;
  // The newest that this leader is known to have claimed.
  uint64_t epoch() const { return epoch_.load(std::memory_order_acquire); }

 private:
  void Run(absl::Duration interval);

  const std::string database_;
  const std::shared_ptr<SharedStorage> storage_;
  const std::string own_claim_;
  std::atomic<uint64_t> epoch_;
  std::atomic<uint64_t> fenced_by_{0};
  std::function<void(const rocksdb::Status&)> on_fenced_;
  std::thread thread_;

  mutable absl::Mutex mutex_;
  SteadyCondVar woken_;
  rocksdb::Status status_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool look_now_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace slipstream
