// The replication log of one epoch: every append to a WAL or a MANIFEST, every change of CURRENT
// and of the set of SST files, in one total order, as frames in memory.
//
//              Break                         Succeed
//   recording --------> broken: no frame ----------------> succeeded: the log of the next epoch
//                       any more, but the                  takes what is recorded here
//                       directory is followed
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/core/frame.h"
#include "lib/core/messages.h"
#include "lib/core/transport.h"
#include "lib/host/plain_mutex.h"
#include "rocksdb/file_system.h"

namespace slipstream {

// A WAL or MANIFEST as the log knows it. `reader` reads the local file; it stays usable after the
// file is deleted where the file system allows that.
struct TappedLogFile {
  LogFileId id;
  uint64_t size = 0;
  std::shared_ptr<rocksdb::FSRandomAccessFile> reader;
};

// Everything that a directory consists of at one point of the log.
struct ImageSnapshot {
  // Not OK after a break: what is in the directory since then is no point of the log.
  rocksdb::Status status;
  uint64_t offset = 0;
  uint64_t current_manifest = 0;
  std::vector<TappedLogFile> files;
  std::vector<ObjectInfo> objects;
  std::vector<ColumnFamilyInfo> column_families;
};

// Threads: all methods from any thread. The appending ones are called in RocksDB's write thread:
// they take one mutex for the time of a copy, and allocate once per chunk.
class ReplicationLog {
 public:
  // memory_limit: bytes of frames kept; older ones are dropped chunk by chunk.
  ReplicationLog(uint64_t epoch, uint64_t memory_limit);
  ~ReplicationLog();

  uint64_t epoch() const { return epoch_; }
  // Bytes of frames so far: the offset of the next one.
  uint64_t end() const { return end_.load(std::memory_order_acquire); }

  // A log file that exists or was created; replaces one of the same id.
  void AddFile(TappedLogFile file);
  // The newest WAL that was there before RocksDB opened the directory; 0 if there was none.
  uint64_t newest_recovered_wal() const;
  // RocksDB is about to open the directory: what is there now is what it recovers from.
  void BeginRecovery();
  // `data` was appended to the file at `offset`.
  void Append(const LogFileId& id, uint64_t offset, const rocksdb::Slice& data);
  // Only before anything was sent: recovery cuts the last WAL's preallocated tail off.
  void Truncate(const LogFileId& id, uint64_t size);
  void RemoveFile(const LogFileId& id);
  void SetCurrent(uint64_t manifest);
  void AddObject(const ObjectInfo& object);
  // The column families are these now. Their sizes of timestamps follow from what is known of their
  // comparators. What is new or has changed is recorded.
  void SetColumnFamilies(std::vector<ColumnFamilyInfo> families);
  // Every comparator named so has timestamps of so many bytes.
  void KnowComparator(const std::string& name, uint32_t timestamp_size);
  std::vector<ColumnFamilyInfo> column_families() const;
  // Returns the position behind the last change of a MANIFEST or of CURRENT: what is cut there or
  // later does not name the object, also where it was a leftover that nothing ever named. After a
  // break it is one of offset UINT64_MAX, which no cut of this epoch reaches.
  Position RemoveObject(uint64_t number);

  // The log file could not be written, or not be made durable: what followers have may not be what
  // the leader keeps. No frame is recorded from here on.
  void Break(const LogFileId& id, const rocksdb::Status& why);
  // The same, of the MANIFEST that CURRENT names, or of the newest WAL.
  void BreakCurrentManifest(const rocksdb::Status& why);
  void BreakNewestWal(const rocksdb::Status& why);
  // No file has failed, but what comes next would reach followers in a wrong order: the log of the
  // next epoch begins behind it.
  void BreakOrder(const rocksdb::Status& why);
  rocksdb::Status status() const;
  // Called once, by the first break, in the thread that failed to write and without a lock: must
  // return soon and call nothing that takes locks of RocksDB. If there was a break already it is
  // called at once.
  void SetBreakHandler(std::function<void()> handler);

  // The log of `epoch`, which begins with what the directory holds, without the files that were
  // broken; what is recorded here from now on goes there, in the order of the calls.
  // Returns null if a broken file is still needed: a WAL of number `oldest_needed_wal` or more, or
  // the MANIFEST that CURRENT names.
  // REQUIRES: broken, and not succeeded yet.
  std::shared_ptr<ReplicationLog> Succeed(uint64_t epoch, uint64_t oldest_needed_wal);
  // Whether Succeed would find no broken file in its way.
  bool CanSucceed(uint64_t oldest_needed_wal) const;
  // The newest of the logs that have succeeded this one, if it was succeeded; else null.
  std::shared_ptr<ReplicationLog> successor() const;
  bool succeeded() const { return succeeded_.load(std::memory_order_acquire); }

  // The whole frames from `offset` to the end of their chunk or of the log. Empty if there are
  // none. Returns false if they have left memory, or `offset` is not one that was handed out.
  bool Read(uint64_t offset, SharedBytes* out) const;

  ImageSnapshot Snapshot() const;

  // Sequence number of the first WAL record of this epoch; 0 before there is one.
  uint64_t first_sequence() const { return first_sequence_.load(std::memory_order_acquire); }

  // Whom AskForGrowth and Wake are about.
  void SetWaker(std::shared_ptr<StreamWaker> waker);
  // Has the waker called once, when end() != seen. False if that is so already: then it is not.
  bool AskForGrowth(uint64_t seen);
  // Takes that back: each append that finds it asked for costs the writer a system call.
  void AskForNothing() { asked_.store(false, std::memory_order_relaxed); }
  void Wake();

  uint64_t memory_bytes() const;
  uint64_t appends() const { return appends_.load(std::memory_order_relaxed); }
  uint64_t object_count() const;

 private:
  struct Chunk;

  // Room for one more frame of `size` bytes, at the end.
  char* ReserveLocked(size_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AppendFrameLocked(const Frame& frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AppendLocked(const LogFileId& id, uint64_t offset, const rocksdb::Slice& data)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LookForFirstSequenceLocked(const LogFileId& id, uint64_t offset, rocksdb::Slice data)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BreakLocked(const LogFileId& id, const rocksdb::Status& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool CanSucceedLocked(uint64_t oldest_needed_wal) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Calls the handler, if there was a break that it was not called for.
  void HandleBreak();
  void SetColumnFamiliesLocked(std::vector<ColumnFamilyInfo> families)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<ColumnFamilyInfo> ColumnFamiliesLocked() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void Publish();

  const uint64_t epoch_;
  const uint64_t memory_limit_;
  std::atomic<uint64_t> end_{0};
  std::atomic<uint64_t> appends_{0};
  std::atomic<uint64_t> first_sequence_{0};

  mutable PlainMutex mutex_;
  std::deque<std::shared_ptr<Chunk>> chunks_ ABSL_GUARDED_BY(mutex_);
  uint64_t memory_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t manifest_end_ ABSL_GUARDED_BY(mutex_) = 0;  // behind the last change, see RemoveObject
  std::map<LogFileId, TappedLogFile> files_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, ObjectInfo> objects_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ColumnFamilyInfo> column_families_ ABSL_GUARDED_BY(mutex_);  // by name
  std::map<std::string, uint32_t> timestamp_sizes_ ABSL_GUARDED_BY(mutex_);  // by comparator
  // A WAL without a write batch yet, and how many bytes it has of other records.
  LogFileId beginning_of_ ABSL_GUARDED_BY(mutex_) = {FrameFile::kWal, 0};
  uint64_t beginning_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t current_manifest_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t newest_recovered_wal_ ABSL_GUARDED_BY(mutex_) = 0;
  rocksdb::Status broken_ ABSL_GUARDED_BY(mutex_);
  // The files that the break and later failures were of.
  std::set<LogFileId> broken_files_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> break_handler_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<ReplicationLog> successor_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> succeeded_{false};

  // Apart from mutex_, so that an append takes it only when it was asked to.
  std::atomic<bool> asked_{false};
  PlainMutex waker_mutex_;
  std::shared_ptr<StreamWaker> waker_ ABSL_GUARDED_BY(waker_mutex_);
};

}  // namespace slipstream
