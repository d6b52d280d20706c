// A generation: one ordinary RocksDB instance opened from a cut of the image, and the way readers
// find the current one and hold it.
//
//   built --publish--> current --swap--> retired --last reader gone--> closed (its block is reused)
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "rocksdb/db.h"
#include "slipstream/observe/task.h"
#include "slipstream/position.h"

namespace slipstream {

// What a generation owns once it is open.
struct GenerationContents {
  uint64_t id = 0;                    // 1, 2, 3, ... in order of building
  Position cut;                       // the point of the replication log that it was opened from
  std::unique_ptr<rocksdb::Env> env;  // outlives the db
  std::unique_ptr<rocksdb::DB> db;
  // By the slot of ColumnFamilySlots; nullptr where this generation has no such column family.
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  // Values may lie in blob files. None is added to an open generation.
  bool has_blobs = false;
  // Names and ids, in the order in which db has them; for lookups by name.
  std::vector<std::pair<std::string, uint32_t>> column_families;

  // Closes the database. Safe on empty contents.
  void Close();
};

// The block of memory that counts the readers of a generation. Blocks are never freed while the
// follower lives, so that a reader may touch the counter of one that was retired a moment before;
// it then sees that the block is no longer current and steps back.
class Generation {
 public:
  static constexpr size_t kShards = 32;

  rocksdb::DB* db() const { return contents_.db.get(); }
  const Position& cut() const { return contents_.cut; }
  uint64_t id() const { return contents_.id; }
  // nullptr if this generation does not have the column family.
  rocksdb::ColumnFamilyHandle* handle(size_t slot) const {
    return slot < contents_.handles.size() ? contents_.handles[slot] : nullptr;
  }
  const GenerationContents& contents() const { return contents_; }
  // Of an iterator over it; of nobody unless reads are tasks.
  observe::Task NewIteratorTask() const;

  // Opens all tables of level 0 of the column family in this slot, once; unless the host has
  // bounded max_open_files, they stay open. To be called before RocksDB makes an iterator:
  // RocksDB 7.8 frees memory twice, and ends the process, if one over range deletions is made while
  // such a table cannot be opened. REQUIRES: handle(slot) != nullptr. Returns what a table could
  // not be opened for.
  rocksdb::Status OpenLevel0(size_t slot) {
    if (level0_open_[slot].load(std::memory_order_acquire)) [[likely]]
      return rocksdb::Status::OK();
    return OpenLevel0Tables(slot);
  }

 private:
  friend class GenerationSet;
  friend class GenerationRef;

  struct alignas(64) Shard {
    std::atomic<int64_t> refs{0};
  };

  void Release(size_t shard);
  rocksdb::Status OpenLevel0Tables(size_t slot);

  std::array<Shard, kShards> shards_;
  std::atomic<bool> retired_{false};
  class GenerationSet* set_ = nullptr;   // constant after construction
  observe::Task retiring_{nullptr, ""};  // while readers hold what is not current any more
  GenerationContents contents_;          // written while no reader can hold the block
  // By slot: whether the tables of level 0 are open.
  std::unique_ptr<std::atomic<bool>[]> level0_open_;  // replaced while no reader can hold the block
};

// Holds a generation open. Movable; copies count again.
// Threads: one reference belongs to one thread at a time; it may be dropped on any thread.
class GenerationRef {
 public:
  GenerationRef() = default;
  GenerationRef(GenerationRef&& o) noexcept
      : generation_(std::exchange(o.generation_, nullptr)), shard_(o.shard_) {}
  GenerationRef& operator=(GenerationRef&& o) noexcept {
    if (this != &o) {
      Reset();
      generation_ = std::exchange(o.generation_, nullptr);
      shard_ = o.shard_;
    }
    return *this;
  }
  GenerationRef(const GenerationRef&) = delete;
  GenerationRef& operator=(const GenerationRef&) = delete;
  ~GenerationRef() { Reset(); }

  // Another reference to the same generation. REQUIRES: *this holds one.
  GenerationRef Share() const;

  void Reset() {
    if (generation_ != nullptr) std::exchange(generation_, nullptr)->Release(shard_);
  }

  explicit operator bool() const { return generation_ != nullptr; }
  Generation* operator->() const { return generation_; }
  Generation* get() const { return generation_; }

 private:
  friend class GenerationSet;
  GenerationRef(Generation* g, size_t shard)
      : generation_(g), shard_(static_cast<uint32_t>(shard)) {}

  Generation* generation_ = nullptr;
  uint32_t shard_ = 0;
};

// The current generation and the retired ones that readers still hold.
//
// Threads: Acquire from any thread, without a lock; Publish from the applier; CloseUnused and
// WaitForUnused from the retirer.
class GenerationSet {
 public:
  GenerationSet() = default;
  // tasks: for generations that are not current any more. Borrowed; may be null.
  // slow_read_us: reads are tasks too, and kept from this on; 0 = they are not.
  GenerationSet(observe::TaskRegistry* tasks, std::string database, uint64_t slow_read_us = 0)
      : tasks_(tasks),
        database_(std::move(database)),
        read_tasks_(slow_read_us == 0 ? nullptr : tasks),
        slow_read_us_(slow_read_us) {}
  // REQUIRES: no reference is held. Closes everything.
  ~GenerationSet();

  // The current generation; empty before the first Publish. Costs two operations on a counter that
  // this thread shares with few others.
  GenerationRef Acquire();

  // Makes `contents` current. Returns the reference that the applier writes through.
  void Publish(GenerationContents contents);

  // The current generation for the applier, which is the only thread that replaces it.
  Generation* current() const { return current_.load(std::memory_order_acquire); }

  // Null unless reads are tasks.
  observe::TaskRegistry* read_tasks() const { return read_tasks_; }
  uint64_t slow_read_us() const { return slow_read_us_; }
  const std::string& database() const { return database_; }

  // Closes retired generations that nobody holds. Returns how many were closed.
  size_t CloseUnused();

  // Blocks until CloseUnused might find one, or Stop.  Returns false after Stop.
  bool WaitForUnused();
  void Stop();

  // The smallest cut of all generations that are open, or of `fallback` if there is none.
  Position OldestCut(const Position& fallback) const;
  size_t live() const;

 private:
  friend class Generation;
  static size_t ThisThreadsShard();
  static bool Unused(const Generation& g);
  void Signal();

  observe::TaskRegistry* const tasks_ = nullptr;
  const std::string database_;
  observe::TaskRegistry* const read_tasks_ = nullptr;
  const uint64_t slow_read_us_ = 0;
  std::atomic<Generation*> current_{nullptr};
  mutable absl::Mutex mutex_;
  absl::CondVar wake_;
  bool signalled_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<Generation>> blocks_ ABSL_GUARDED_BY(mutex_);  // all, for ever
  std::vector<Generation*> retired_ ABSL_GUARDED_BY(mutex_);
  std::vector<Generation*> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream
