// One read of the facade: which generation it goes to, and what it says there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <typeinfo>
#include <utility>

#include "lib/follower/column_family_slots.h"
#include "lib/follower/follower_snapshot.h"
#include "lib/follower/generation.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/slice.h"
#include "rocksdb/status.h"
#include "rocksdb/wide_columns.h"
#include "slipstream/observe/task.h"

namespace slipstream {

// The generation does not have a column family that the host has a handle for.
rocksdb::Status ColumnFamilyIsMissing(const std::string& name, uint32_t id,
                                      const Generation& generation);

// Holds the generation, and the ReadOptions in its terms, for as long as the call lasts. Lives on
// the stack of that call; nothing is allocated or copied for a read that names no snapshot.
//
// Threads: one.
class FollowerRead {
 public:
  FollowerRead() = default;
  FollowerRead(const FollowerRead&) = delete;
  FollowerRead& operator=(const FollowerRead&) = delete;

  // Finds the generation. Called once, before everything else; nothing else may be called if it
  // fails.
  // options: borrowed.
  // Returns TryAgain         there is no generation yet.
  //         InvalidArgument  the snapshot is not one of this database.
  rocksdb::Status Begin(GenerationSet* generations, const rocksdb::ReadOptions& options) {
    if (generations->read_tasks() != nullptr) [[unlikely]]
      BeginTask(generations);
    if (options.snapshot == nullptr) [[likely]] {
      rocksdb::Status s = Begin(generations);
      options_ = &options;
      if (options.read_tier == rocksdb::kPersistedTier) ChangedOptions();
      return s;
    }
    return BeginAtSnapshot(generations, options);
  }

  // The same for calls without ReadOptions.
  rocksdb::Status Begin(GenerationSet* generations) {
    ref_ = generations->Acquire();
    generation_ = ref_.get();
    if (generation_ == nullptr) [[unlikely]]
      return NoGeneration();
    return rocksdb::Status::OK();
  }

  // Finds the handle in this generation for one of the host's.
  // slots: of the database that was asked.
  // Returns InvalidArgument      no handle, or one of another database; or a column family that the
  //                              snapshot does not contain.
  //         ColumnFamilyDropped  the generation does not have it any more.
  rocksdb::Status Find(const ColumnFamilySlots* slots, const rocksdb::ColumnFamilyHandle* host,
                       rocksdb::ColumnFamilyHandle** handle) const {
    const FollowerColumnFamilyHandle* ours = Ours(slots, host);
    if (ours == nullptr) [[unlikely]]
      return NotOurs(host);
    *handle = generation_->handle(ours->slot());
    if (*handle == nullptr) [[unlikely]]
      return Missing(*ours);
    if (task_) [[unlikely]]
      task_->task().SetAttribute("column_family", ours->GetName());
    return rocksdb::Status::OK();
  }

  // To be called for each column family before the generation's database makes an iterator over
  // it. See Generation::OpenLevel0.
  // REQUIRES: Find has found it.
  rocksdb::Status PrepareIterator(const ColumnFamilySlots* slots,
                                  const rocksdb::ColumnFamilyHandle* host) const {
    return generation_->OpenLevel0(Ours(slots, host)->slot());
  }

  // nullptr if the host's handle is not one of this database.
  static const FollowerColumnFamilyHandle* Ours(const ColumnFamilySlots* slots,
                                                const rocksdb::ColumnFamilyHandle* host) {
    if (host == nullptr || typeid(*host) != typeid(FollowerColumnFamilyHandle)) return nullptr;
    const auto* ours = static_cast<const FollowerColumnFamilyHandle*>(host);
    return ours->slots() == slots ? ours : nullptr;
  }

  rocksdb::DB* db() const { return generation_->db(); }
  bool has_blobs() const { return generation_->contents().has_blobs; }
  const rocksdb::ReadOptions& options() const { return *options_; }

  // Another reference to the generation, for results that outlive the call.
  GenerationRef Share() const { return ref_ ? ref_.Share() : snapshot_->generation().Share(); }
  // The reference itself, where this read needs it no more.
  GenerationRef Take() { return ref_ ? std::move(ref_) : snapshot_->generation().Share(); }

 private:
  void BeginTask(GenerationSet* generations);
  rocksdb::Status BeginAtSnapshot(GenerationSet* generations, const rocksdb::ReadOptions& options);
  rocksdb::ReadOptions* ChangedOptions();
  rocksdb::Status Missing(const FollowerColumnFamilyHandle& handle) const;
  static rocksdb::Status NoGeneration();
  static rocksdb::Status NotOurs(const rocksdb::ColumnFamilyHandle* handle);

  Generation* generation_ = nullptr;
  const rocksdb::ReadOptions* options_ = nullptr;
  // Empty where the snapshot holds the generation: a host keeps it until the call has returned.
  GenerationRef ref_;
  const FollowerSnapshot* snapshot_ = nullptr;
  std::optional<rocksdb::ReadOptions> changed_options_;
  mutable std::optional<observe::TaskScope> task_;  // where reads are tasks
};

// Makes a value that points into memory of `generation` keep it open until the value is reset.
// REQUIRES: value->IsPinned().
void HoldGeneration(GenerationRef generation, rocksdb::PinnableSlice* value);

// The same for those of n values that are pinned.
void HoldGenerations(const FollowerRead& read, rocksdb::PinnableSlice* values, size_t n);

// Copies an entity, so that nothing in the copy points into a generation: PinnableWideColumns takes
// no cleanup that could hold one.
rocksdb::Status CopyEntity(const rocksdb::PinnableWideColumns& from,
                           rocksdb::PinnableWideColumns* to);

rocksdb::Status TailingIsRefused();

}  // namespace slipstream
