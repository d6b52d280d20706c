// What all iterators of a follower have in common.
#pragma once

#include <memory>
#include <utility>

#include "lib/core/rocksdb_release.h"
#include "lib/follower/generation.h"
#include "lib/storage/object_file.h"
#include "rocksdb/iterator.h"
#include "rocksdb/status.h"

namespace slipstream {

// A RocksDB iterator, and the generation that it reads, which stays open until this is deleted or
// moved to another one.
// Base: the public type of the iterator, rocksdb::Iterator for example.
//
// Threads: as rocksdb::Iterator.
template <typename Base>
class GenerationIterator : public Base {
 public:
  GenerationIterator(GenerationRef generation, std::unique_ptr<Base> inner)
      : generation_(std::move(generation)),
        inner_(std::move(inner)),
        task_(generation_->NewIteratorTask()) {}

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
#if SLIPSTREAM_ROCKSDB_9
  bool PrepareValue() override {
    bool prepared = false;
    Move([&] { prepared = inner_->PrepareValue(); });
    return prepared && !incomplete_;
  }
#endif
  rocksdb::Slice key() const override { return inner_->key(); }
  rocksdb::Status status() const override {
    rocksdb::Status s = inner_->status();
    if (s.ok() && incomplete_) s = rocksdb::Status::IOError("iterator: a file could not be read");
    return s;
  }

 protected:
  const GenerationRef& generation() const { return generation_; }
  Base* inner() const { return inner_.get(); }
  void MoveTo(GenerationRef generation, std::unique_ptr<Base> inner) {
    inner_ = std::move(inner);
    generation_ = std::move(generation);
  }

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

  GenerationRef generation_;  // outlives inner_
  std::unique_ptr<Base> inner_;
  bool incomplete_ = false;
  const observe::Task task_;  // while the host has it
};

}  // namespace slipstream
