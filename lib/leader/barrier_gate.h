// Under manual_wal_flush, writes wait in RocksDB's buffer while the manifest goes on. A change that
// takes a sequence number without a WAL record (an ingested file) must not reach the manifest
// before the writes that came before it have reached the WAL: followers would show it without them.
//
//   writes      BeginWrite .. EndWrite        many at a time, none during a barrier
//   barriers    BeginBarrier .. EndBarrier    one at a time, none during a write; the WAL's buffer
//                                             is flushed in between, and stays empty
//
// What goes round the handle is found in the bytes: an edit of the manifest that is ahead of the
// WAL.
#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/core/version_edit.h"
#include "rocksdb/status.h"

namespace slipstream {

// Threads: any. Only its state is locked, never a call into RocksDB.
class BarrierGate {
 public:
  void BeginWrite();
  void EndWrite();
  void BeginBarrier();
  void EndBarrier();

  // The database is open and stands at `sequence`: from here on the manifest is watched.
  void Opened(uint64_t sequence);
  // A WAL record up to `sequence` was appended to the file.
  void OnWalRecord(uint64_t sequence);
  // An edit is about to be recorded. Returns NotSupported if it is ahead of the WAL outside of a
  // barrier.
  [[nodiscard]] rocksdb::Status OnEdit(const VersionEditSummary& edit);

 private:
  absl::Mutex mutex_;
  uint64_t writes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool barrier_ ABSL_GUARDED_BY(mutex_) = false;
  bool watching_ ABSL_GUARDED_BY(mutex_) = false;
  // What the WAL, and barriers that were let through, have reached.
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace slipstream
