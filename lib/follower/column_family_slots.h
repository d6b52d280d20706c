// The handles that a host holds, which outlive generations: each has a slot, and every generation
// has its own RocksDB handle at that slot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"

namespace slipstream {

class ColumnFamilySlots;

// What the host holds. Names one column family of the database for ever: a dropped and re-created
// one of the same name has another id and another handle. Final, so that the type alone tells a
// handle of this library from one of RocksDB.
class FollowerColumnFamilyHandle final : public rocksdb::ColumnFamilyHandle {
 public:
  // slots: where `slot` comes from. It is never followed: it tells the handles of two followers in
  // one process apart, whose slots mean different column families.
  // owner: kFollower = destroying it is left to the follower.
  enum class Owner { kHost, kFollower };
  FollowerColumnFamilyHandle(std::string name, uint32_t id, size_t slot,
                             rocksdb::ColumnFamilyOptions options,
                             const ColumnFamilySlots* slots = nullptr, Owner owner = Owner::kHost)
      : slots_(slots),
        slot_(slot),
        id_(id),
        owner_(owner),
        name_(std::move(name)),
        options_(std::move(options)) {}

  const std::string& GetName() const override { return name_; }
  uint32_t GetID() const override { return id_; }
  rocksdb::Status GetDescriptor(rocksdb::ColumnFamilyDescriptor* descriptor) override {
    *descriptor = rocksdb::ColumnFamilyDescriptor(name_, options_);
    return rocksdb::Status::OK();
  }
  const rocksdb::Comparator* GetComparator() const override { return options_.comparator; }
  size_t slot() const { return slot_; }
  const ColumnFamilySlots* slots() const { return slots_; }
  Owner owner() const { return owner_; }
  bool merges() const { return options_.merge_operator != nullptr; }

 private:
  // What every read looks at comes first.
  const ColumnFamilySlots* const slots_;
  const size_t slot_;
  const uint32_t id_;
  const Owner owner_;
  const std::string name_;
  const rocksdb::ColumnFamilyOptions options_;
};

// Column family id -> slot. Slots are never reused.
// Threads: any.
class ColumnFamilySlots {
 public:
  // The slot of a column family, made at its first appearance.
  size_t SlotOf(uint32_t id);

 private:
  absl::Mutex mutex_;
  std::unordered_map<uint32_t, size_t> slots_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream
