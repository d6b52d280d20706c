// Bytes of one log file in memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "rocksdb/slice.h"

namespace slipstream {

// Append-only: what was there once is never moved or changed.
// Threads: one appends, any number read what was appended before they were told of it.
class ImageFile {
 public:
  void Append(rocksdb::Slice bytes);
  uint64_t size() const { return size_.load(std::memory_order_acquire); }
  // Copies up to `n` bytes at `offset` and returns how many there were below size().
  size_t Read(uint64_t offset, size_t n, char* out) const;

 private:
  static constexpr size_t kBlockBytes = 256 << 10;

  std::atomic<uint64_t> size_{0};
  mutable absl::Mutex mutex_;  // of the list, not of the bytes
  std::vector<std::unique_ptr<char[]>> blocks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream
