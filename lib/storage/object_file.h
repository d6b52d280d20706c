// Objects of the shared storage as the files that RocksDB reads.
#pragma once

#include <cstdint>
#include <memory>

#include "rocksdb/file_system.h"
#include "slipstream/shared_storage.h"

namespace slipstream {

// Threads and lifetime: as RocksDB's own files; the reader is kept for as long.
std::unique_ptr<rocksdb::FSRandomAccessFile> NewRandomAccessObjectFile(
    std::shared_ptr<const ObjectReader> reader);
std::unique_ptr<rocksdb::FSSequentialFile> NewSequentialObjectFile(
    std::shared_ptr<const ObjectReader> reader);

// What RocksDB is told of an object that could not be opened or read: an IOError also where the
// object is not there, because a Get passes NotFound on as if there were no such key. Counts it.
rocksdb::IOStatus FailedObjectRead(const rocksdb::Status& status);

// How many of them this thread has had so far.
uint64_t FailedObjectReads();

// What RocksDB is told of a call of the storage: an IOError may pass, so that RocksDB tries again
// by itself and the host need not open the database anew.
rocksdb::IOStatus ObjectIOStatus(const rocksdb::Status& status);

}  // namespace slipstream
