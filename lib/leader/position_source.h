// Where the leader stands. Shared by the leader and its streams, which may outlive the database.
#pragma once

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/leader/replication_log.h"
#include "rocksdb/db.h"
#include "slipstream/position.h"

namespace slipstream {

// Threads: any.
class PositionSource {
 public:
  explicit PositionSource(std::shared_ptr<ReplicationLog> log) : log_(std::move(log)) {}

  // Covers every write that returned before the call. Empty while there is no database.
  Position Now() const {
    absl::ReaderMutexLock lock(&mutex_);
    if (db_ == nullptr) return Position();
    Position p;
    p.epoch = log_->epoch();
    p.sequence = db_->GetLatestSequenceNumber();
    p.offset = log_->end();
    // Once replication has stopped, writes go on that no follower will see: no position that is
    // ever reached may cover them.
    if (!log_->status().ok()) ++p.offset;
    return p;
  }

  // nullptr: the database is about to be closed; after the call nobody uses it.
  void SetDatabase(rocksdb::DB* db) {
    absl::MutexLock lock(&mutex_);
    db_ = db;
  }

 private:
  const std::shared_ptr<ReplicationLog> log_;
  mutable absl::Mutex mutex_;
  rocksdb::DB* db_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace slipstream
