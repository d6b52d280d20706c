// What a host holds after NewIterator().
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lib/follower/column_family_slots.h"
#include "lib/follower/generation.h"
#include "lib/storage/object_file.h"
#include "rocksdb/iterator.h"
#include "rocksdb/options.h"

namespace slipstream {

// An iterator over one generation, which stays open for as long as this stays on it. Refresh()
// moves it to the generation that is current then.
//
// Threads: as rocksdb::Iterator.
class FollowerIterator final : public rocksdb::Iterator {
 public:
  // options: those that `inner` was made with.
  // column_family: read, not kept; the host may delete it before the iterator.
  FollowerIterator(GenerationSet* generations, const FollowerColumnFamilyHandle& column_family,
                   const rocksdb::ReadOptions& options, GenerationRef generation,
                   std::unique_ptr<rocksdb::Iterator> inner);

  bool Valid() const override { return !incomplete_ && inner_->Valid(); }
  void SeekToFirst() override {
    Reposition([this] { inner_->SeekToFirst(); });
  }
  void SeekToLast() override {
    Reposition([this] { inner_->SeekToLast(); });
  }
  void Seek(const rocksdb::Slice& target) override {
    Reposition([&] { inner_->Seek(target); });
  }
  void SeekForPrev(const rocksdb::Slice& target) override {
    Reposition([&] { inner_->SeekForPrev(target); });
  }
  void Next() override {
    Move([this] { inner_->Next(); });
  }
  void Prev() override {
    Move([this] { inner_->Prev(); });
  }
  rocksdb::Slice key() const override { return inner_->key(); }
  rocksdb::Slice value() const override { return inner_->value(); }
  const rocksdb::WideColumns& columns() const override { return inner_->columns(); }
  rocksdb::Slice timestamp() const override { return inner_->timestamp(); }
  rocksdb::Status status() const override;
  rocksdb::Status GetProperty(std::string name, std::string* value) override;

  // Returns NotSupported         made with a snapshot.
  //         ColumnFamilyDropped  the current generation does not have the column family.
  // After a failure the iterator is where it was.
  rocksdb::Status Refresh() override;

 private:
  // RocksDB 7.8 forgets the error if the next file of a level cannot be opened or read when an
  // iterator comes to it (MergingIterator::SkipNextDeleted), and goes on without what is in it.
  template <typename Function>
  void Move(Function function) {
    const uint64_t before = FailedObjectReads();
    function();
    if (FailedObjectReads() != before) [[unlikely]]
      incomplete_ = true;
  }
  template <typename Function>
  void Reposition(Function function) {
    incomplete_ = false;
    Move(function);
  }

  GenerationSet* const generations_;
  const size_t slot_;
  const uint32_t column_family_id_;
  const std::string column_family_name_;
  const rocksdb::ReadOptions options_;
  GenerationRef generation_;  // outlives inner_
  std::unique_ptr<rocksdb::Iterator> inner_;
  bool incomplete_ = false;
};

}  // namespace slipstream
