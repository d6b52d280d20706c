#include "lib/follower/image_file.h"

#include <algorithm>
#include <cstring>

namespace slipstream {

void ImageFile::Append(rocksdb::Slice bytes) {
  uint64_t size = size_.load(std::memory_order_relaxed);
  while (!bytes.empty()) {
    const size_t in_block = size % kBlockBytes;
    char* block;
    {
      absl::MutexLock lock(&mutex_);
      if (in_block == 0) blocks_.push_back(std::unique_ptr<char[]>(new char[kBlockBytes]));
      block = blocks_.back().get();
    }
    const size_t n = std::min(bytes.size(), kBlockBytes - in_block);
    memcpy(block + in_block, bytes.data(), n);
    bytes.remove_prefix(n);
    size += n;
  }
  size_.store(size, std::memory_order_release);
}

size_t ImageFile::Read(uint64_t offset, size_t n, char* out) const {
  const uint64_t end = std::min(size(), offset + n);
  size_t done = 0;
  while (offset < end) {
    const char* block;
    {
      absl::MutexLock lock(&mutex_);
      block = blocks_[offset / kBlockBytes].get();
    }
    const size_t in_block = offset % kBlockBytes;
    const size_t piece = std::min<uint64_t>(kBlockBytes - in_block, end - offset);
    memcpy(out + done, block + in_block, piece);
    done += piece;
    offset += piece;
  }
  return done;
}

}  // namespace slipstream
