#include "lib/follower/follower_iterator.h"

#include <utility>

#include "lib/follower/follower_read.h"

namespace slipstream {

FollowerIterator::FollowerIterator(GenerationSet* generations,
                                   const FollowerColumnFamilyHandle& column_family,
                                   const rocksdb::ReadOptions& options, GenerationRef generation,
                                   std::unique_ptr<rocksdb::Iterator> inner)
    : generations_(generations),
      slot_(column_family.slot()),
      column_family_id_(column_family.GetID()),
      column_family_name_(column_family.GetName()),
      options_(options),
      generation_(std::move(generation)),
      inner_(std::move(inner)) {}

rocksdb::Status FollowerIterator::status() const {
  rocksdb::Status s = inner_->status();
  if (s.ok() && incomplete_) {
    s = rocksdb::Status::IOError("iterator of column family '" + column_family_name_ +
                                 "': a file could not be read");
  }
  return s;
}

rocksdb::Status FollowerIterator::GetProperty(std::string name, std::string* value) {
  return inner_->GetProperty(std::move(name), value);
}

rocksdb::Status FollowerIterator::Refresh() {
  if (options_.snapshot != nullptr) {
    return rocksdb::Status::NotSupported("Refresh: the iterator was made with a snapshot");
  }
  GenerationRef now = generations_->Acquire();
  // This iterator holds its block, which therefore cannot have become that of another generation.
  if (now.get() == generation_.get()) return inner_->Refresh();
  rocksdb::ColumnFamilyHandle* handle = now->handle(slot_);
  if (handle == nullptr) {
    return ColumnFamilyIsMissing(column_family_name_, column_family_id_, *now.get());
  }
  std::unique_ptr<rocksdb::Iterator> inner(now->db()->NewIterator(options_, handle));
  if (rocksdb::Status s = inner->status(); !s.ok()) return s;
  inner_ = std::move(inner);
  generation_ = std::move(now);
  return rocksdb::Status::OK();
}

}  // namespace slipstream
