#include "lib/storage/object_file.h"

#include <algorithm>
#include <string>

namespace slipstream {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

thread_local uint64_t failed_reads = 0;

// Reads as ObjectReader::Read, and does not take for granted that the storage keeps to it: a block
// that is too short is damage to RocksDB, from which it does not recover.
rocksdb::Status ReadWhole(const ObjectReader& reader, uint64_t offset, size_t n, Slice* result,
                          char* scratch) {
  rocksdb::Status s = reader.Read(offset, n, result, scratch);
  const uint64_t size = reader.size();
  const uint64_t expected = offset < size ? std::min<uint64_t>(n, size - offset) : 0;
  if (s.ok() && result->size() != expected) {
    s = rocksdb::Status::IOError("object read at " + std::to_string(offset) + ": got " +
                                 std::to_string(result->size()) + " bytes, expected " +
                                 std::to_string(expected));
  }
  return s;
}

class RandomAccessObjectFile : public rocksdb::FSRandomAccessFile {
 public:
  explicit RandomAccessObjectFile(std::shared_ptr<const ObjectReader> reader)
      : reader_(std::move(reader)) {}

  IOStatus Read(uint64_t offset, size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    const rocksdb::Status s = ReadWhole(*reader_, offset, n, result, scratch);
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
    rocksdb::Status s = ReadWhole(*reader_, offset_, n, result, scratch);
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
  return ObjectIOStatus(status);
}

IOStatus ObjectIOStatus(const rocksdb::Status& status) {
  IOStatus s = rocksdb::status_to_io_status(rocksdb::Status(status));
  if (s.IsIOError() && !s.IsNoSpace()) s.SetRetryable(true);
  return s;
}

uint64_t FailedObjectReads() { return failed_reads; }

}  // namespace slipstream
