#include "lib/leader/replication_log.h"

#include <algorithm>

#include "lib/core/coding.h"
#include "lib/core/log_format.h"

namespace slipstream {

using rocksdb::Slice;

// Whole frames only; never moved or changed once written, so that streams can read behind the
// writer. The log publishes how much of the last chunk is complete through end_.
struct ReplicationLog::Chunk {
  Chunk(uint64_t base_offset, size_t bytes)
      : base(base_offset), capacity(bytes), data(new char[bytes]) {}

  const uint64_t base;
  const size_t capacity;
  size_t size = 0;
  const std::unique_ptr<char[]> data;
};

namespace {
constexpr size_t kChunkBytes = 1 << 20;
static_assert(kChunkBytes >= kMaxFramePayload + kFrameHeaderSize);
}  // namespace

ReplicationLog::ReplicationLog(uint64_t epoch, uint64_t memory_limit)
    : epoch_(epoch), memory_limit_(memory_limit) {}

ReplicationLog::~ReplicationLog() = default;

char* ReplicationLog::ReserveLocked(size_t size) {
  if (chunks_.empty() || chunks_.back()->capacity - chunks_.back()->size < size) {
    while (!chunks_.empty() && memory_bytes_ + kChunkBytes > memory_limit_) {
      memory_bytes_ -= chunks_.front()->capacity;
      chunks_.pop_front();
    }
    chunks_.push_back(std::make_shared<Chunk>(next_, kChunkBytes));
    memory_bytes_ += kChunkBytes;
  }
  Chunk& chunk = *chunks_.back();
  char* at = chunk.data.get() + chunk.size;
  chunk.size += size;
  next_ += size;
  return at;
}

void ReplicationLog::AppendFrameLocked(const Frame& frame) {
  EncodeFrame(frame, ReserveLocked(frame.encoded_size()));
  end_.store(next_, std::memory_order_seq_cst);
}

void ReplicationLog::Publish() {
  // Sequentially consistent with the store of end_: either this thread sees the waiter, or the
  // waiter sees the new end.
  if (!waiting_.load(std::memory_order_seq_cst)) return;
  Wake();
}

void ReplicationLog::AddFile(TappedLogFile file) {
  absl::MutexLock lock(&mutex_);
  files_[file.id] = std::move(file);
}

void ReplicationLog::BeginRecovery() {
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, file] : files_) {
    if (id.file == FrameFile::kWal) newest_recovered_wal_ = id.number;  // in ascending order
  }
}

uint64_t ReplicationLog::newest_recovered_wal() const {
  absl::MutexLock lock(&mutex_);
  return newest_recovered_wal_;
}

void ReplicationLog::Append(const LogFileId& id, uint64_t offset, const Slice& data) {
  {
    absl::MutexLock lock(&mutex_);
    if (!broken_.ok()) return;
    auto it = files_.find(id);
    if (it == files_.end()) return;
    if (it->second.size != offset) {
      broken_ = rocksdb::Status::Corruption(
          "replication log: append to log file " + std::to_string(id.number) + " at offset " +
          std::to_string(offset) + ", expected " + std::to_string(it->second.size));
      return;
    }
    it->second.size = offset + data.size();
    if (first_sequence_.load(std::memory_order_relaxed) == 0 && id.file == FrameFile::kWal &&
        offset == 0 && data.size() >= kLogHeaderBytes + sizeof(uint64_t)) {
      // The record's header, then the write batch's sequence number.
      first_sequence_.store(DecodeFixed64(data.data() + kLogHeaderBytes),
                            std::memory_order_release);
    }
    Frame frame{FrameType::kLogAppend, id.file, id.number, offset, Slice()};
    for (size_t done = 0; done < data.size();) {
      const size_t n = std::min(kMaxFramePayload, data.size() - done);
      frame.argument = offset + done;
      frame.payload = Slice(data.data() + done, n);
      AppendFrameLocked(frame);
      done += n;
    }
    appends_.fetch_add(1, std::memory_order_relaxed);
  }
  Publish();
}

void ReplicationLog::Truncate(const LogFileId& id, uint64_t size) {
  absl::MutexLock lock(&mutex_);
  auto it = files_.find(id);
  if (it != files_.end()) it->second.size = std::min(it->second.size, size);
}

void ReplicationLog::RemoveFile(const LogFileId& id) {
  {
    absl::MutexLock lock(&mutex_);
    if (!broken_.ok() || files_.erase(id) == 0) return;
    AppendFrameLocked({FrameType::kLogRemoved, id.file, id.number, 0, Slice()});
  }
  Publish();
}

void ReplicationLog::SetCurrent(uint64_t manifest) {
  {
    absl::MutexLock lock(&mutex_);
    if (!broken_.ok()) return;
    current_manifest_ = manifest;
    AppendFrameLocked({FrameType::kCurrentSet, FrameFile::kManifest, manifest, 0, Slice()});
    appends_.fetch_add(1, std::memory_order_relaxed);
  }
  Publish();
}

void ReplicationLog::AddObject(const ObjectInfo& object) {
  {
    absl::MutexLock lock(&mutex_);
    if (!broken_.ok()) return;
    objects_[object.number] = object;
    char epoch[8];
    EncodeFixed64(epoch, object.epoch);
    AppendFrameLocked({FrameType::kObjectAdded, object.file, object.number, object.size,
                       Slice(epoch, sizeof(epoch))});
  }
  Publish();
}

uint64_t ReplicationLog::RemoveObject(uint64_t number) {
  uint64_t after;
  {
    absl::MutexLock lock(&mutex_);
    auto it = objects_.find(number);
    if (broken_.ok() && it != objects_.end()) {
      AppendFrameLocked({FrameType::kObjectRemoved, it->second.file, number, 0, Slice()});
      objects_.erase(it);
    }
    // After a break no follower hears of the removal: each goes on needing the object.
    after = broken_.ok() ? next_ : UINT64_MAX;
  }
  Publish();
  return after;
}

void ReplicationLog::Break(const rocksdb::Status& why) {
  absl::MutexLock lock(&mutex_);
  if (broken_.ok()) broken_ = why;
}

rocksdb::Status ReplicationLog::status() const {
  absl::MutexLock lock(&mutex_);
  return broken_;
}

bool ReplicationLog::Read(uint64_t offset, SharedBytes* out) const {
  out->owner.reset();
  out->bytes = Slice();
  absl::MutexLock lock(&mutex_);
  if (offset == next_) return true;
  if (offset > next_ || chunks_.empty() || offset < chunks_.front()->base) return false;
  auto after =
      std::upper_bound(chunks_.begin(), chunks_.end(), offset,
                       [](uint64_t o, const std::shared_ptr<Chunk>& c) { return o < c->base; });
  const std::shared_ptr<Chunk>& chunk = *std::prev(after);
  const size_t skip = offset - chunk->base;
  if (skip >= chunk->size) return false;
  out->owner = chunk;
  out->bytes = Slice(chunk->data.get() + skip, chunk->size - skip);
  return true;
}

ImageSnapshot ReplicationLog::Snapshot() const {
  ImageSnapshot snapshot;
  absl::MutexLock lock(&mutex_);
  snapshot.offset = next_;
  snapshot.current_manifest = current_manifest_;
  snapshot.files.reserve(files_.size());
  for (const auto& [id, file] : files_) snapshot.files.push_back(file);
  snapshot.objects.reserve(objects_.size());
  for (const auto& [number, object] : objects_) snapshot.objects.push_back(object);
  return snapshot;
}

void ReplicationLog::WaitForGrowth(uint64_t seen, absl::Duration timeout) {
  absl::MutexLock lock(&wait_mutex_);
  waiting_.store(true, std::memory_order_seq_cst);
  const absl::Time deadline = absl::Now() + timeout;
  while (!woken_ && end_.load(std::memory_order_seq_cst) == seen) {
    if (grown_.WaitWithDeadline(&wait_mutex_, deadline)) break;
  }
  woken_ = false;
  waiting_.store(false, std::memory_order_relaxed);
}

void ReplicationLog::Pause(absl::Duration timeout) {
  absl::MutexLock lock(&wait_mutex_);
  const absl::Time deadline = absl::Now() + timeout;
  while (!woken_) {
    if (grown_.WaitWithDeadline(&wait_mutex_, deadline)) break;
  }
  woken_ = false;
}

void ReplicationLog::Wake() {
  absl::MutexLock lock(&wait_mutex_);
  woken_ = true;
  grown_.Signal();
}

uint64_t ReplicationLog::memory_bytes() const {
  absl::MutexLock lock(&mutex_);
  return memory_bytes_;
}

uint64_t ReplicationLog::object_count() const {
  absl::MutexLock lock(&mutex_);
  return objects_.size();
}

}  // namespace slipstream
