// Which objects on the shared storage belong to a database: a small journal beside the local log
// files. It answers for the directory listings and existence checks that RocksDB makes, so that no
// open has to list the storage, and it remembers removed objects until they are deleted.
//
//   (nothing) --Create--> being written --Commit--> live --Remove--> pinned --Deleted--> (nothing)
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/core/messages.h"
#include "rocksdb/file_system.h"
#include "slipstream/position.h"

namespace slipstream {

// Threads: any. Calls block on a write to the local disk; Commit also on its sync.
class ObjectCatalog {
 public:
  static constexpr const char* kFileName = "SLIPSTREAM";

  // Reads the journal in `directory`, if there is one, and rewrites it compactly.
  // Returns InvalidArgument if the directory belongs to a database of another name, Corruption if
  // the journal is damaged, IOError.
  [[nodiscard]] static rocksdb::Status Open(std::shared_ptr<rocksdb::FileSystem> fs,
                                            const std::string& directory,
                                            const std::string& database,
                                            std::unique_ptr<ObjectCatalog>* out);

  ~ObjectCatalog();

  // An object is about to be written: recorded first, so that one that a crash leaves behind is
  // known. An object of the same number from before is treated as removed.
  [[nodiscard]] rocksdb::Status Create(const ObjectInfo& object);
  // The object is whole on the storage. Durable when it returns OK.
  [[nodiscard]] rocksdb::Status Commit(uint64_t number, uint64_t size);
  // RocksDB needs it no more. `at` is where the replication log says so. A journal that cannot be
  // written is no failure: should the process end before it can, RocksDB finds the object unused
  // when it opens the database.
  // Returns NotFound if there is none.
  [[nodiscard]] rocksdb::Status Remove(uint64_t number, const Position& at);
  // The object is gone from the storage.
  [[nodiscard]] rocksdb::Status Deleted(const ObjectInfo& object);
  // An opening of the database began at `start`.
  [[nodiscard]] rocksdb::Status AddEpoch(const EpochStart& start);

  // Of a database whose WALs are in memory alone: everything up to `sequence` is in objects. Only
  // goes up. A record that cannot be written is made good by the next one: until then less is
  // known to be kept.
  void NoteKept(uint64_t sequence);
  // The WALs are on disk from here on.
  [[nodiscard]] rocksdb::Status ForgetKept();
  // What NoteKept last said in this opening or an earlier one; empty if the WALs were on disk.
  std::optional<uint64_t> kept() const;

  std::optional<ObjectInfo> Find(uint64_t number) const;
  // Those that exist for RocksDB; one being written has size 0.
  std::vector<ObjectInfo> Objects() const;
  std::vector<EpochStart> epochs() const;

  struct Removed {
    ObjectInfo object;
    Position at;
  };
  // Removed before `pin`, or all of them if there is no pin; not yet deleted.
  std::vector<Removed> Reclaimable(const std::optional<Position>& pin) const;
  // Count and bytes of those removed and not yet deleted.
  std::pair<uint64_t, uint64_t> pinned() const;

 private:
  ObjectCatalog(std::shared_ptr<rocksdb::FileSystem> fs, std::string directory,
                std::string database);
  rocksdb::Status Load() ABSL_LOCKS_EXCLUDED(mutex_);
  rocksdb::Status Rewrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  rocksdb::Status Replay(rocksdb::Slice record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  rocksdb::Status Write(const std::string& record, bool sync) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CreateLocked(const ObjectInfo& object) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveLocked(uint64_t number, const Position& at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  class Journal;

  const std::shared_ptr<rocksdb::FileSystem> fs_;
  const std::string directory_;
  const std::string database_;

  mutable absl::Mutex mutex_;
  std::unique_ptr<Journal> journal_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, ObjectInfo> objects_ ABSL_GUARDED_BY(mutex_);
  // By (number, epoch of the writer).
  std::map<std::pair<uint64_t, uint64_t>, Removed> removed_ ABSL_GUARDED_BY(mutex_);
  uint64_t pinned_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<EpochStart> epochs_ ABSL_GUARDED_BY(mutex_);
  std::optional<uint64_t> kept_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream
