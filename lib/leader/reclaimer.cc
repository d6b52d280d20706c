#include "lib/leader/reclaimer.h"

#include <algorithm>

#include "lib/core/object_name.h"
#include "lib/host/thread_name.h"
#include "lib/leader/lineage.h"

namespace slipstream {

using rocksdb::Status;

Reclaimer::Reclaimer(std::string database, std::shared_ptr<SharedStorage> storage,
                     std::shared_ptr<ObjectCatalog> catalog,
                     std::shared_ptr<FollowerTable> followers, std::shared_ptr<Fence> fence,
                     std::shared_ptr<rocksdb::Logger> logger, observe::TaskRegistry* tasks)
    : database_(std::move(database)),
      storage_(std::move(storage)),
      catalog_(std::move(catalog)),
      followers_(std::move(followers)),
      fence_(std::move(fence)),
      opening_epoch_(fence_->epoch()),
      logger_(std::move(logger)),
      tasks_(tasks) {}

Reclaimer::~Reclaimer() { Stop(); }

void Reclaimer::Start(uint64_t lease_ms) {
  thread_ = std::thread([this, lease_ms] {
    NameThisThread("ss-reclaim");
    Run(lease_ms);
  });
}

void Reclaimer::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    stopped_.SignalAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Reclaimer::Run(uint64_t lease_ms) {
  absl::Duration wait = absl::Milliseconds(lease_ms);
  const absl::Duration interval =
      std::clamp(wait / 20, absl::Milliseconds(10), absl::Milliseconds(250));
  for (;;) {
    if (WaitForStop(wait)) return;
    // Once another leader has taken over, what its database consists of is not known here.
    if (fence_->fenced()) return;
    Reclaim();
    wait = interval;
  }
}

bool Reclaimer::WaitForStop(absl::Duration timeout) {
  const SteadyTime deadline = DeadlineIn(timeout);
  absl::MutexLock lock(&mutex_);
  for (bool late = false; !stopping_ && !late;) late = stopped_.WaitUntil(&mutex_, deadline);
  return stopping_;
}

Status Reclaimer::Announce(const std::vector<ObjectCatalog::Removed>& removed) {
  std::vector<std::string> names(uncertain_.begin(), uncertain_.end());
  for (const ObjectCatalog::Removed& r : removed) {
    names.push_back(ObjectNameOf(database_, r.object));
  }
  Status s = storage_->Put(ReclaimName(database_, opening_epoch_), EncodeDeletions(names));
  // In this order: a newer leader claims first and reads what is announced then.
  return s.ok() ? fence_->Check() : s;
}

void Reclaimer::Reclaim() {
  // The removed objects are listed before the pins are read: a follower that needs one of them was
  // registered before its removal, and is seen.
  std::vector<ObjectCatalog::Removed> removed = catalog_->Reclaimable(std::nullopt);
  const std::optional<Position> pin = followers_->OldestPin();  // drops those whose lease is over
  std::erase_if(removed, [&](const ObjectCatalog::Removed& r) { return pin && r.at > *pin; });
  if (removed.empty()) return;
  // One for all that a round deletes: there may be thousands.
  observe::TaskScope task(tasks_, "delete", {{"database", database_}}, {.cancellable = false});
  task->SetStatus("announcing");
  Status s = Announce(removed);
  if (s.ok()) {
    s = Delete(removed, &task.task());
  } else {
    rocksdb::Warn(logger_, "slipstream: nothing is deleted: %s", s.ToString().c_str());
  }
  task->Finish(s);
}

Status Reclaimer::Delete(const std::vector<ObjectCatalog::Removed>& removed, observe::Task* task) {
  Status s;
  uint64_t done = 0;
  for (const ObjectCatalog::Removed& r : removed) {
    {
      // Announced first: a follower that returns meanwhile is told to start afresh.
      absl::MutexLock lock(&mutex_);
      if (stopping_) return s;
      deleted_through_ = std::max(deleted_through_, r.at);
    }
    const std::string name = ObjectNameOf(database_, r.object);
    task->SetStatus(name);
    task->SetProgress(done++, removed.size(), "objects");
    uncertain_.insert(name);
    s = storage_->Delete(name);
    if (s.ok()) uncertain_.erase(name);
    if (s.ok()) s = catalog_->Deleted(r.object);
    if (!s.ok()) {
      rocksdb::Warn(logger_, "slipstream: deleting %s: %s; will be tried again", name.c_str(),
                    s.ToString().c_str());
      return s;
    }
    absl::MutexLock lock(&mutex_);
    ++deleted_;
  }
  task->SetProgress(done, removed.size(), "objects");
  return s;
}

Position Reclaimer::deleted_through() const {
  absl::MutexLock lock(&mutex_);
  return deleted_through_;
}

uint64_t Reclaimer::deleted() const {
  absl::MutexLock lock(&mutex_);
  return deleted_;
}

}  // namespace slipstream
