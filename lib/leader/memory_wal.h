// WALs that are kept in memory alone (LeaderOptions::wal = kMemoryOnly): RocksDB writes and reads
// them as files.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "rocksdb/db.h"
#include "rocksdb/file_system.h"

namespace slipstream {

// The bytes of one WAL. Grows at its end; bytes do not move.
// Threads: one appends, any read.
class MemoryWal {
 public:
  void Append(rocksdb::Slice bytes);
  // Copies up to n bytes at `offset`. Returns how many there were.
  size_t Read(uint64_t offset, size_t n, char* out) const;
  // The sequence number of its first write; 0 if there is none yet.
  uint64_t FirstSequence() const;
  uint64_t size() const { return size_.load(std::memory_order_acquire); }
  // Of memory taken.
  uint64_t capacity() const;

 private:
  static constexpr size_t kBlockBytes = 256 << 10;

  std::atomic<uint64_t> size_{0};
  mutable absl::Mutex mutex_;
  std::vector<std::unique_ptr<char[]>> blocks_ ABSL_GUARDED_BY(mutex_);
};

// All WALs of a database, by number. RocksDB deletes one when everything in it is flushed; streams
// that still read it keep its bytes until they are done.
// Threads: any.
class MemoryWals {
 public:
  // Replaces one of the same number.
  std::unique_ptr<rocksdb::FSWritableFile> Create(uint64_t number);
  // Null if there is none.
  std::unique_ptr<rocksdb::FSRandomAccessFile> OpenRandomAccess(uint64_t number) const;
  std::unique_ptr<rocksdb::FSSequentialFile> OpenSequential(uint64_t number) const;
  bool Find(uint64_t number, uint64_t* size) const;
  // False if there is none.
  bool Remove(uint64_t number);
  std::vector<uint64_t> Numbers() const;
  // The database is open. Lifetime: used until its last WAL is removed. root: DB::GetRootDB().
  void SetDatabase(const rocksdb::DB* root) { root_.store(root, std::memory_order_release); }
  // Up to which sequence number nothing depends on them any more: what is before the oldest of them
  // is flushed in all column families. 0 if that is not known, as before SetDatabase.
  uint64_t kept() const;
  // Memory of all of them.
  uint64_t bytes() const;

 private:
  std::shared_ptr<MemoryWal> Get(uint64_t number) const;

  std::atomic<const rocksdb::DB*> root_{nullptr};
  mutable absl::Mutex mutex_;
  std::map<uint64_t, std::shared_ptr<MemoryWal>> wals_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream
