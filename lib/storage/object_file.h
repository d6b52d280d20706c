// Objects of the shared storage as the files that RocksDB reads.
#pragma once

#include <memory>

#include "rocksdb/file_system.h"
#include "slipstream/shared_storage.h"

namespace slipstream {

// Threads and lifetime: as RocksDB's own files; the reader is kept for as long.
std::unique_ptr<rocksdb::FSRandomAccessFile> NewRandomAccessObjectFile(
    std::shared_ptr<const ObjectReader> reader);
std::unique_ptr<rocksdb::FSSequentialFile> NewSequentialObjectFile(
    std::shared_ptr<const ObjectReader> reader);

}  // namespace slipstream
