#include "lib/storage/object_file.h"

namespace slipstream {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

thread_local uint64_t failed_reads = 0;

class RandomAccessObjectFile : public rocksdb::FSRandomAccessFile {
 public:
  explicit RandomAccessObjectFile(std::shared_ptr<const ObjectReader> reader)
      : reader_(std::move(reader)) {}

  IOStatus Read(uint64_t offset, size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    const rocksdb::Status s = reader_->Read(offset, n, result, scratch);
    return s.ok() ? IOStatus::OK() : FailedObjectRead(s);
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
    if (!s.ok()) return FailedObjectRead(s);
    offset_ += result->size();
    return IOStatus::OK();
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

IOStatus FailedObjectRead(const rocksdb::Status& status) {
  ++failed_reads;
  if (status.IsNotFound()) return IOStatus::IOError("object is gone", status.ToString());
  return rocksdb::status_to_io_status(rocksdb::Status(status));
}

uint64_t FailedObjectReads() { return failed_reads; }

}  // namespace slipstream
