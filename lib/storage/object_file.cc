#include "lib/storage/object_file.h"

namespace slipstream {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

class RandomAccessObjectFile : public rocksdb::FSRandomAccessFile {
 public:
  explicit RandomAccessObjectFile(std::shared_ptr<const ObjectReader> reader)
      : reader_(std::move(reader)) {}

  IOStatus Read(uint64_t offset, size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    return rocksdb::status_to_io_status(reader_->Read(offset, n, result, scratch));
  }
  // RocksDB then reads ahead into a buffer of its own.
  IOStatus Prefetch(uint64_t, size_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::NotSupported("Prefetch");
  }

 private:
  const std::shared_ptr<const ObjectReader> reader_;
};

class SequentialObjectFile : public rocksdb::FSSequentialFile {
 public:
  explicit SequentialObjectFile(std::shared_ptr<const ObjectReader> reader)
      : reader_(std::move(reader)) {}

  IOStatus Read(size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) override {
    rocksdb::Status s = reader_->Read(offset_, n, result, scratch);
    if (s.ok()) offset_ += result->size();
    return rocksdb::status_to_io_status(std::move(s));
  }
  IOStatus Skip(uint64_t n) override {
    offset_ += n;
    return IOStatus::OK();
  }

 private:
  const std::shared_ptr<const ObjectReader> reader_;
  uint64_t offset_ = 0;
};

}  // namespace

std::unique_ptr<rocksdb::FSRandomAccessFile> NewRandomAccessObjectFile(
    std::shared_ptr<const ObjectReader> reader) {
  return std::make_unique<RandomAccessObjectFile>(std::move(reader));
}

std::unique_ptr<rocksdb::FSSequentialFile> NewSequentialObjectFile(
    std::shared_ptr<const ObjectReader> reader) {
  return std::make_unique<SequentialObjectFile>(std::move(reader));
}

}  // namespace slipstream
