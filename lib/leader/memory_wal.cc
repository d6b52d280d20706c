#include "lib/leader/memory_wal.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "lib/core/coding.h"
#include "lib/core/log_format.h"

namespace slipstream {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

class WritableWal : public rocksdb::FSWritableFile {
 public:
  explicit WritableWal(std::shared_ptr<MemoryWal> wal) : wal_(std::move(wal)) {}

  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    wal_->Append(data);
    return IOStatus::OK();
  }
  IOStatus Append(const Slice& data, const IOOptions&, const rocksdb::DataVerificationInfo&,
                  IODebugContext*) override {
    wal_->Append(data);
    return IOStatus::OK();
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  // There is nothing that a sync could make safer.
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  bool IsSyncThreadSafe() const override { return true; }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return wal_->size(); }

 private:
  const std::shared_ptr<MemoryWal> wal_;
};

class RandomAccessWal : public rocksdb::FSRandomAccessFile {
 public:
  explicit RandomAccessWal(std::shared_ptr<const MemoryWal> wal) : wal_(std::move(wal)) {}

  IOStatus Read(uint64_t offset, size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    *result = Slice(scratch, wal_->Read(offset, n, scratch));
    return IOStatus::OK();
  }

 private:
  const std::shared_ptr<const MemoryWal> wal_;
};

class SequentialWal : public rocksdb::FSSequentialFile {
 public:
  explicit SequentialWal(std::shared_ptr<const MemoryWal> wal) : wal_(std::move(wal)) {}

  IOStatus Read(size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) override {
    const size_t read = wal_->Read(offset_, n, scratch);
    *result = Slice(scratch, read);
    offset_ += read;
    return IOStatus::OK();
  }
  IOStatus Skip(uint64_t n) override {
    offset_ = std::min(offset_ + n, wal_->size());
    return IOStatus::OK();
  }

 private:
  const std::shared_ptr<const MemoryWal> wal_;
  uint64_t offset_ = 0;
};

}  // namespace

void MemoryWal::Append(Slice bytes) {
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
    std::memcpy(block + in_block, bytes.data(), n);
    bytes.remove_prefix(n);
    size += n;
  }
  size_.store(size, std::memory_order_release);
}

size_t MemoryWal::Read(uint64_t offset, size_t n, char* out) const {
  const uint64_t size = this->size();
  const uint64_t end = offset < size ? offset + std::min<uint64_t>(n, size - offset) : offset;
  size_t done = 0;
  while (offset < end) {
    const char* block;
    {
      absl::MutexLock lock(&mutex_);
      block = blocks_[offset / kBlockBytes].get();
    }
    const size_t in_block = offset % kBlockBytes;
    const size_t piece = std::min<uint64_t>(kBlockBytes - in_block, end - offset);
    std::memcpy(out + done, block + in_block, piece);
    done += piece;
    offset += piece;
  }
  return done;
}

uint64_t MemoryWal::FirstSequence() const {
  // Of a physical record: 4 bytes of checksum, 2 of length, 1 of type; then the batch, which begins
  // with its sequence number. Types other than the beginning of a batch are about the file itself.
  constexpr uint64_t kTypeAt = kLogHeaderBytes - 1;
  char bytes[kLogHeaderBytes + sizeof(uint64_t)];
  for (uint64_t offset = 0; Read(offset, sizeof(bytes), bytes) == sizeof(bytes);) {
    const auto type = static_cast<LogFragmentType>(bytes[kTypeAt]);
    if (type == LogFragmentType::kFull || type == LogFragmentType::kFirst) {
      return DecodeFixed64(bytes + kLogHeaderBytes);
    }
    offset += kLogHeaderBytes + DecodeFixed16(bytes + 4);
  }
  return 0;
}

uint64_t MemoryWal::capacity() const {
  absl::MutexLock lock(&mutex_);
  return blocks_.size() * kBlockBytes;
}

std::unique_ptr<rocksdb::FSWritableFile> MemoryWals::Create(uint64_t number) {
  auto wal = std::make_shared<MemoryWal>();
  absl::MutexLock lock(&mutex_);
  wals_[number] = wal;
  return std::make_unique<WritableWal>(std::move(wal));
}

std::shared_ptr<MemoryWal> MemoryWals::Get(uint64_t number) const {
  absl::MutexLock lock(&mutex_);
  auto it = wals_.find(number);
  return it == wals_.end() ? nullptr : it->second;
}

std::unique_ptr<rocksdb::FSRandomAccessFile> MemoryWals::OpenRandomAccess(uint64_t number) const {
  auto wal = Get(number);
  return wal == nullptr ? nullptr : std::make_unique<RandomAccessWal>(std::move(wal));
}

std::unique_ptr<rocksdb::FSSequentialFile> MemoryWals::OpenSequential(uint64_t number) const {
  auto wal = Get(number);
  return wal == nullptr ? nullptr : std::make_unique<SequentialWal>(std::move(wal));
}

bool MemoryWals::Find(uint64_t number, uint64_t* size) const {
  const auto wal = Get(number);
  if (wal == nullptr) return false;
  *size = wal->size();
  return true;
}

bool MemoryWals::Remove(uint64_t number) {
  absl::MutexLock lock(&mutex_);
  return wals_.erase(number) > 0;
}

std::vector<uint64_t> MemoryWals::Numbers() const {
  std::vector<uint64_t> numbers;
  absl::MutexLock lock(&mutex_);
  for (const auto& [number, wal] : wals_) numbers.push_back(number);
  return numbers;
}

uint64_t MemoryWals::kept() const {
  // Read before the WALs: a write is in one of them before it has its number.
  const rocksdb::DB* root = root_.load(std::memory_order_acquire);
  if (root == nullptr) return 0;
  const uint64_t latest = root->GetLatestSequenceNumber();
  absl::MutexLock lock(&mutex_);
  for (const auto& [number, wal] : wals_) {
    if (const uint64_t first = wal->FirstSequence(); first != 0) return first - 1;
  }
  return latest;
}

uint64_t MemoryWals::bytes() const {
  uint64_t bytes = 0;
  absl::MutexLock lock(&mutex_);
  for (const auto& [number, wal] : wals_) bytes += wal->capacity();
  return bytes;
}

}  // namespace slipstream
