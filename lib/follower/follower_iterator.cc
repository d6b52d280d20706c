#include "lib/follower/follower_iterator.h"

#include <utility>

#include "lib/follower/follower_read.h"

namespace slipstream {

FollowerIterator::FollowerIterator(GenerationSet* generations,
                                   const FollowerColumnFamilyHandle& column_family,
                                   const rocksdb::ReadOptions& options, GenerationRef generation,
                                   std::unique_ptr<rocksdb::Iterator> inner)
    : GenerationIterator(std::move(generation), std::move(inner)),
      generations_(generations),
      slot_(column_family.slot()),
      column_family_id_(column_family.GetID()),
      column_family_name_(column_family.GetName()),
      options_(options) {}

rocksdb::Status FollowerIterator::status() const {
  rocksdb::Status s = GenerationIterator::status();
  if (s.ok() || !inner()->status().ok()) return s;
  return rocksdb::Status::IOError("iterator of column family '" + column_family_name_ +
                                  "': a file could not be read");
}

rocksdb::Status FollowerIterator::GetProperty(std::string name, std::string* value) {
  return inner()->GetProperty(std::move(name), value);
}

#if SLIPSTREAM_ROCKSDB_9

rocksdb::Status FollowerIterator::Refresh() { return RefreshTo(nullptr); }

rocksdb::Status FollowerIterator::Refresh(const rocksdb::Snapshot* snapshot) {
  return RefreshTo(snapshot);
}

#else

rocksdb::Status FollowerIterator::Refresh() {
  if (options_.snapshot != nullptr) {
    return rocksdb::Status::NotSupported("Refresh: the iterator was made with a snapshot");
  }
  return RefreshTo(nullptr);
}

#endif

rocksdb::Status FollowerIterator::RefreshTo(const rocksdb::Snapshot* snapshot) {
  rocksdb::ReadOptions options = options_;
  options.snapshot = snapshot;
  FollowerRead read;
  rocksdb::Status s = read.Begin(generations_, options);
  if (!s.ok()) return s;
  GenerationRef to = read.Share();
  // This iterator holds its block, which therefore cannot have become that of another generation.
  if (to.get() == generation().get()) {
#if SLIPSTREAM_ROCKSDB_9
    s = inner()->Refresh(read.options().snapshot);
#else
    s = inner()->Refresh();
#endif
    if (s.ok()) options_ = read.options();
    return s;
  }
  rocksdb::ColumnFamilyHandle* handle = to->handle(slot_);
  if (handle == nullptr) {
    return ColumnFamilyIsMissing(column_family_name_, column_family_id_, *to.get());
  }
  s = to->OpenLevel0(slot_);
  if (!s.ok()) return s;
  std::unique_ptr<rocksdb::Iterator> moved(to->db()->NewIterator(read.options(), handle));
  s = moved->status();
  if (!s.ok()) return s;
  options_ = read.options();
  MoveTo(std::move(to), std::move(moved));
  return s;
}

}  // namespace slipstream
