#include "lib/leader/replication_log.h"

#include <algorithm>
#include <utility>

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
  // Sequentially consistent with the store of end_: either this thread sees that it was asked, or
  // who asks sees the new end.
  if (!asked_.load(std::memory_order_seq_cst)) return;
  if (asked_.exchange(false, std::memory_order_seq_cst)) Wake();
}

void ReplicationLog::AddFile(TappedLogFile file) {
  {
    PlainLock lock(&mutex_);
    if (successor_ == nullptr) {
      files_[file.id] = std::move(file);
      return;
    }
  }
  successor()->AddFile(std::move(file));
}

void ReplicationLog::BeginRecovery() {
  PlainLock lock(&mutex_);
  for (const auto& [id, file] : files_) {
    if (id.file == FrameFile::kWal) newest_recovered_wal_ = id.number;  // in ascending order
  }
}

uint64_t ReplicationLog::newest_recovered_wal() const {
  PlainLock lock(&mutex_);
  return newest_recovered_wal_;
}

void ReplicationLog::Append(const LogFileId& id, uint64_t offset, const Slice& data) {
  bool broken;
  bool forward;
  {
    PlainLock lock(&mutex_);
    forward = successor_ != nullptr;
    if (!forward) AppendLocked(id, offset, data);
    broken = !broken_.ok();
  }
  if (!broken) {
    Publish();
  } else if (forward) {
    successor()->Append(id, offset, data);
  } else {
    HandleBreak();
  }
}

void ReplicationLog::AppendLocked(const LogFileId& id, uint64_t offset, const Slice& data) {
  auto it = files_.find(id);
  if (it == files_.end()) return;
  if (it->second.size != offset) {
    BreakLocked(id, rocksdb::Status::Corruption("replication log: append to log file " +
                                                std::to_string(id.number) + " at offset " +
                                                std::to_string(offset) + ", expected " +
                                                std::to_string(it->second.size)));
    return;
  }
  it->second.size = offset + data.size();
  if (!broken_.ok()) return;
  if (first_sequence_.load(std::memory_order_relaxed) == 0 && id.file == FrameFile::kWal) {
    LookForFirstSequenceLocked(id, offset, data);
  }
  Frame frame{FrameType::kLogAppend, id.file, id.number, offset, Slice()};
  for (size_t done = 0; done < data.size();) {
    const size_t n = std::min(kMaxFramePayload, data.size() - done);
    frame.argument = offset + done;
    frame.payload = Slice(data.data() + done, n);
    AppendFrameLocked(frame);
    done += n;
  }
  if (id.file == FrameFile::kManifest) manifest_end_ = next_;
  appends_.fetch_add(1, std::memory_order_relaxed);
}

void ReplicationLog::LookForFirstSequenceLocked(const LogFileId& id, uint64_t offset, Slice data) {
  // RocksDB 9.10 writes sizes of timestamps first, by themselves or together with the record.
  if (id != beginning_of_) {
    beginning_of_ = id;
    beginning_bytes_ = 0;
  }
  if (offset != beginning_bytes_) return;
  while (data.size() >= kLogHeaderBytes + sizeof(uint64_t)) {
    const auto type = static_cast<LogFragmentType>(data[6]);
    if (type == LogFragmentType::kFull || type == LogFragmentType::kFirst) {
      // The record's header, then the write batch's sequence number.
      first_sequence_.store(DecodeFixed64(data.data() + kLogHeaderBytes),
                            std::memory_order_release);
      return;
    }
    if (type != LogFragmentType::kUserDefinedTimestampSize) return;
    const size_t length = static_cast<uint8_t>(data[4]) | static_cast<uint8_t>(data[5]) << 8;
    const size_t whole = std::min(data.size(), kLogHeaderBytes + length);
    beginning_bytes_ += whole;
    data.remove_prefix(whole);
  }
}

void ReplicationLog::Truncate(const LogFileId& id, uint64_t size) {
  {
    PlainLock lock(&mutex_);
    if (successor_ == nullptr) {
      auto it = files_.find(id);
      if (it != files_.end()) it->second.size = std::min(it->second.size, size);
      return;
    }
  }
  successor()->Truncate(id, size);
}

void ReplicationLog::RemoveFile(const LogFileId& id) {
  bool forward;
  {
    PlainLock lock(&mutex_);
    forward = successor_ != nullptr;
    if (!forward) broken_files_.erase(id);
    if (!forward && files_.erase(id) != 0 && broken_.ok()) {
      AppendFrameLocked({FrameType::kLogRemoved, id.file, id.number, 0, Slice()});
    }
  }
  if (forward) {
    successor()->RemoveFile(id);
  } else {
    Publish();
  }
}

void ReplicationLog::SetCurrent(uint64_t manifest) {
  bool forward;
  {
    PlainLock lock(&mutex_);
    forward = successor_ != nullptr;
    if (!forward) current_manifest_ = manifest;
    if (broken_.ok()) {
      AppendFrameLocked({FrameType::kCurrentSet, FrameFile::kManifest, manifest, 0, Slice()});
      manifest_end_ = next_;
      appends_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  if (forward) {
    successor()->SetCurrent(manifest);
  } else {
    Publish();
  }
}

void ReplicationLog::AddObject(const ObjectInfo& object) {
  bool forward;
  {
    PlainLock lock(&mutex_);
    forward = successor_ != nullptr;
    if (!forward) objects_[object.number] = object;
    if (broken_.ok()) {
      char epoch[8];
      EncodeFixed64(epoch, object.epoch);
      AppendFrameLocked({FrameType::kObjectAdded, object.file, object.number, object.size,
                         Slice(epoch, sizeof(epoch))});
    }
  }
  if (forward) {
    successor()->AddObject(object);
  } else {
    Publish();
  }
}

void ReplicationLog::SetColumnFamiliesLocked(std::vector<ColumnFamilyInfo> families) {
  std::map<std::string, ColumnFamilyInfo> now;
  for (ColumnFamilyInfo& family : families) {
    auto size = timestamp_sizes_.find(family.comparator);
    if (size != timestamp_sizes_.end()) family.timestamp_size = size->second;
    const std::string payload = EncodeColumnFamilyInfo(family);
    // One whose names are that long is left for the follower to find out about.
    if (payload.size() > kMaxFramePayload) continue;
    auto before = column_families_.find(family.name);
    if (broken_.ok() && (before == column_families_.end() || before->second != family)) {
      AppendFrameLocked({FrameType::kColumnFamily, FrameFile::kManifest, 0, 0, payload});
    }
    std::string name = family.name;
    now.emplace(std::move(name), std::move(family));
  }
  column_families_ = std::move(now);
}

void ReplicationLog::SetColumnFamilies(std::vector<ColumnFamilyInfo> families) {
  bool forward;
  {
    PlainLock lock(&mutex_);
    forward = successor_ != nullptr;
    if (!forward) SetColumnFamiliesLocked(std::move(families));
  }
  if (forward) {
    successor()->SetColumnFamilies(std::move(families));
  } else {
    Publish();
  }
}

void ReplicationLog::KnowComparator(const std::string& name, uint32_t timestamp_size) {
  bool forward;
  {
    PlainLock lock(&mutex_);
    forward = successor_ != nullptr;
    if (!forward) {
      timestamp_sizes_[name] = timestamp_size;
      SetColumnFamiliesLocked(ColumnFamiliesLocked());
    }
  }
  if (forward) {
    successor()->KnowComparator(name, timestamp_size);
  } else {
    Publish();
  }
}

std::vector<ColumnFamilyInfo> ReplicationLog::ColumnFamiliesLocked() const {
  std::vector<ColumnFamilyInfo> families;
  families.reserve(column_families_.size());
  for (const auto& [name, family] : column_families_) families.push_back(family);
  return families;
}

std::vector<ColumnFamilyInfo> ReplicationLog::column_families() const {
  PlainLock lock(&mutex_);
  return ColumnFamiliesLocked();
}

Position ReplicationLog::RemoveObject(uint64_t number) {
  Position unneeded{epoch_, 0, 0};
  bool forward;
  {
    PlainLock lock(&mutex_);
    forward = successor_ != nullptr;
    auto it = objects_.find(number);  // empty once it was succeeded
    if (it != objects_.end()) {
      if (broken_.ok()) {
        AppendFrameLocked({FrameType::kObjectRemoved, it->second.file, number, 0, Slice()});
      }
      objects_.erase(it);
    }
    // After a break no follower of this epoch hears of the removal: each goes on needing the
    // object.
    unneeded.offset = broken_.ok() ? manifest_end_ : UINT64_MAX;
  }
  if (forward) return successor()->RemoveObject(number);
  Publish();
  return unneeded;
}

void ReplicationLog::BreakLocked(const LogFileId& id, const rocksdb::Status& why) {
  if (broken_.ok()) broken_ = why;
  broken_files_.insert(id);
}

void ReplicationLog::Break(const LogFileId& id, const rocksdb::Status& why) {
  bool forward;
  {
    PlainLock lock(&mutex_);
    forward = successor_ != nullptr;
    if (!forward) BreakLocked(id, why);
  }
  if (forward) {
    successor()->Break(id, why);
  } else {
    HandleBreak();
  }
}

void ReplicationLog::BreakOrder(const rocksdb::Status& why) {
  bool forward;
  {
    PlainLock lock(&mutex_);
    forward = successor_ != nullptr;
    if (!forward && broken_.ok()) broken_ = why;
  }
  if (forward) {
    successor()->BreakOrder(why);
  } else {
    HandleBreak();
  }
}

void ReplicationLog::BreakCurrentManifest(const rocksdb::Status& why) {
  LogFileId id{FrameFile::kManifest, 0};
  bool forward;
  {
    PlainLock lock(&mutex_);
    forward = successor_ != nullptr;
    id.number = current_manifest_;
    if (!forward) BreakLocked(id, why);
  }
  if (forward) {
    successor()->BreakCurrentManifest(why);
  } else {
    HandleBreak();
  }
}

void ReplicationLog::BreakNewestWal(const rocksdb::Status& why) {
  LogFileId id{FrameFile::kWal, 0};
  bool forward;
  {
    PlainLock lock(&mutex_);
    forward = successor_ != nullptr;
    for (const auto& [known, file] : files_) {
      if (known.file == FrameFile::kWal) id = known;  // in ascending order
    }
    if (!forward) BreakLocked(id, why);
  }
  if (forward) {
    successor()->BreakNewestWal(why);
  } else {
    HandleBreak();
  }
}

void ReplicationLog::HandleBreak() {
  std::function<void()> handler;
  {
    PlainLock lock(&mutex_);
    if (broken_.ok()) return;
    handler = std::exchange(break_handler_, nullptr);
  }
  if (handler) handler();
}

void ReplicationLog::SetBreakHandler(std::function<void()> handler) {
  {
    PlainLock lock(&mutex_);
    break_handler_ = std::move(handler);
  }
  HandleBreak();
}

rocksdb::Status ReplicationLog::status() const {
  PlainLock lock(&mutex_);
  return broken_;
}

bool ReplicationLog::CanSucceedLocked(uint64_t oldest_needed_wal) const {
  for (const LogFileId& id : broken_files_) {
    const bool needed = id.file == FrameFile::kWal ? id.number >= oldest_needed_wal
                                                   : id.number == current_manifest_;
    if (needed) return false;
  }
  return true;
}

bool ReplicationLog::CanSucceed(uint64_t oldest_needed_wal) const {
  PlainLock lock(&mutex_);
  return CanSucceedLocked(oldest_needed_wal);
}

std::shared_ptr<ReplicationLog> ReplicationLog::Succeed(uint64_t epoch,
                                                        uint64_t oldest_needed_wal) {
  auto next = std::make_shared<ReplicationLog>(epoch, memory_limit_);
  PlainLock lock(&mutex_);
  if (broken_.ok() || successor_ != nullptr || !CanSucceedLocked(oldest_needed_wal)) return nullptr;
  for (const LogFileId& id : broken_files_) files_.erase(id);
  {
    PlainLock next_lock(&next->mutex_);
    next->files_ = std::move(files_);
    next->objects_ = std::move(objects_);
    next->current_manifest_ = current_manifest_;
    next->newest_recovered_wal_ = newest_recovered_wal_;
    next->column_families_ = column_families_;
    next->timestamp_sizes_ = timestamp_sizes_;
  }
  files_.clear();
  objects_.clear();
  // Whoever still reads here is told that it has left memory.
  chunks_.clear();
  memory_bytes_ = 0;
  successor_ = next;
  succeeded_.store(true, std::memory_order_release);
  return next;
}

std::shared_ptr<ReplicationLog> ReplicationLog::successor() const {
  std::shared_ptr<ReplicationLog> newest;
  {
    PlainLock lock(&mutex_);
    newest = successor_;
  }
  while (newest != nullptr && newest->succeeded()) {
    std::shared_ptr<ReplicationLog> next;
    {
      PlainLock lock(&newest->mutex_);
      next = newest->successor_;
    }
    newest = std::move(next);
  }
  return newest;
}

bool ReplicationLog::Read(uint64_t offset, SharedBytes* out) const {
  out->owner.reset();
  out->bytes = Slice();
  PlainLock lock(&mutex_);
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
  PlainLock lock(&mutex_);
  snapshot.status = broken_;
  snapshot.offset = next_;
  snapshot.current_manifest = current_manifest_;
  snapshot.files.reserve(files_.size());
  for (const auto& [id, file] : files_) snapshot.files.push_back(file);
  snapshot.objects.reserve(objects_.size());
  for (const auto& [number, object] : objects_) snapshot.objects.push_back(object);
  snapshot.column_families = ColumnFamiliesLocked();
  return snapshot;
}

void ReplicationLog::SetWaker(std::shared_ptr<StreamWaker> waker) {
  PlainLock lock(&waker_mutex_);
  waker_ = std::move(waker);
}

bool ReplicationLog::AskForGrowth(uint64_t seen) {
  asked_.store(true, std::memory_order_seq_cst);
  if (end_.load(std::memory_order_seq_cst) == seen) return true;
  AskForNothing();
  return false;
}

void ReplicationLog::Wake() {
  std::shared_ptr<StreamWaker> waker;
  {
    PlainLock lock(&waker_mutex_);
    waker = waker_;
  }
  if (waker != nullptr) waker->Wake();
}

uint64_t ReplicationLog::memory_bytes() const {
  PlainLock lock(&mutex_);
  return memory_bytes_;
}

uint64_t ReplicationLog::object_count() const {
  PlainLock lock(&mutex_);
  return objects_.size();
}

}  // namespace slipstream
