#include "lib/follower/generation.h"

#include <algorithm>

namespace slipstream {

void GenerationContents::Close() {
  if (db == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    if (handle != nullptr) db->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  }
  handles.clear();
  // Everything in the memtables is a copy of the image, so there is nothing that a failed close
  // could lose.
  db->Close().PermitUncheckedError();
  db.reset();
  env.reset();
}

observe::Task Generation::NewIteratorTask() const {
  return observe::Task(set_->read_tasks(), "read",
                       {{"database", set_->database()}, {"operation", "iterator"}},
                       {.cancellable = false, .keep_from_us = set_->slow_read_us()});
}

void Generation::Release(size_t shard) {
  // The decrement and the load below are sequentially consistent: either the retirer, which sets
  // retired_ first and sums the counters after, sees this decrement, or this thread sees retired_.
  shards_[shard].refs.fetch_sub(1, std::memory_order_seq_cst);
  if (retired_.load(std::memory_order_seq_cst)) set_->Signal();
}

rocksdb::Status Generation::OpenLevel0Tables(size_t slot) {
  rocksdb::ColumnFamilyHandle* const handle = contents_.handles[slot];
  uint64_t tables = 0;
  std::string number;
  if (db()->GetProperty(handle, rocksdb::DB::Properties::kNumFilesAtLevelPrefix + "0", &number)) {
    tables = std::stoull(number);
  }
  // An iterator opens the tables of level 0 when it is made, and asks the filter about each that it
  // could open. One that ignores range deletions may.
  uint64_t opened = 0;
  rocksdb::ReadOptions options;
  options.ignore_range_deletions = true;
  options.table_filter = [&opened](const rocksdb::TableProperties&) {
    ++opened;
    return false;
  };
  // Without one it is refused where keys have timestamps; any will do.
  const std::string any_time(handle->GetComparator()->timestamp_size(), '\xff');
  const rocksdb::Slice timestamp(any_time);
  if (!any_time.empty()) options.timestamp = &timestamp;
  std::unique_ptr<rocksdb::Iterator> it(db()->NewIterator(options, handle));
  if (opened >= tables) {
    level0_open_[slot].store(true, std::memory_order_release);
    return rocksdb::Status::OK();
  }
  // To hear why, and to look at no table of another level.
  const rocksdb::Slice nothing("", 0);
  options.iterate_upper_bound = &nothing;
  it.reset(db()->NewIterator(options, handle));
  it->SeekToFirst();
  if (!it->status().ok()) return it->status();
  return rocksdb::Status::IOError("column family '" + handle->GetName() + "' of generation " +
                                  std::to_string(id()) + ": of " + std::to_string(tables) +
                                  " tables of level 0, could be opened: " + std::to_string(opened));
}

GenerationRef GenerationRef::Share() const {
  generation_->shards_[shard_].refs.fetch_add(1, std::memory_order_relaxed);
  return GenerationRef(generation_, shard_);
}

GenerationSet::~GenerationSet() {
  Stop();
  for (const auto& block : blocks_) block->contents_.Close();
}

size_t GenerationSet::ThisThreadsShard() {
  static std::atomic<size_t> next{0};
  thread_local const size_t shard =
      next.fetch_add(1, std::memory_order_relaxed) % Generation::kShards;
  return shard;
}

GenerationRef GenerationSet::Acquire() {
  const size_t shard = ThisThreadsShard();
  for (;;) {
    Generation* g = current_.load(std::memory_order_acquire);
    if (g == nullptr) return GenerationRef();
    // Counted first, then looked again: a retirer that found the counter at zero had replaced
    // current_ before, so this thread sees the replacement and steps back.
    g->shards_[shard].refs.fetch_add(1, std::memory_order_seq_cst);
    if (current_.load(std::memory_order_seq_cst) == g) return GenerationRef(g, shard);
    g->Release(shard);
  }
}

void GenerationSet::Publish(GenerationContents contents) {
  absl::MutexLock lock(&mutex_);
  if (free_.empty()) {
    blocks_.push_back(std::make_unique<Generation>());
    blocks_.back()->set_ = this;
    free_.push_back(blocks_.back().get());
  }
  Generation* next = free_.back();
  free_.pop_back();
  next->level0_open_ = std::make_unique<std::atomic<bool>[]>(contents.handles.size());
  next->contents_ = std::move(contents);
  next->retired_.store(false, std::memory_order_seq_cst);
  Generation* old = current_.exchange(next, std::memory_order_seq_cst);
  if (old != nullptr) {
    old->retired_.store(true, std::memory_order_seq_cst);
    retired_.push_back(old);
    if (tasks_ != nullptr) {
      old->retiring_ =
          observe::Task(tasks_, "retire", {{"database", database_}}, {.cancellable = false});
      old->retiring_.SetAttribute("generation", std::to_string(old->id()));
      old->retiring_.SetStatus("held by readers");
    }
    signalled_ = true;
    wake_.Signal();
  }
}

bool GenerationSet::Unused(const Generation& g) {
  // A reference is released on the shard it was taken on, and none can be taken any more, so each
  // counter that was once zero stays at zero but for readers that are stepping back.
  return std::all_of(g.shards_.begin(), g.shards_.end(), [](const Generation::Shard& s) {
    return s.refs.load(std::memory_order_seq_cst) == 0;
  });
}

size_t GenerationSet::CloseUnused() {
  std::vector<Generation*> unused;
  {
    absl::MutexLock lock(&mutex_);
    auto keep = std::partition(retired_.begin(), retired_.end(),
                               [](const Generation* g) { return !Unused(*g); });
    unused.assign(keep, retired_.end());
    retired_.erase(keep, retired_.end());
  }
  for (Generation* g : unused) {
    g->retiring_.SetStatus("closing");
    g->contents_.Close();
    g->retiring_.Finish(rocksdb::Status::OK());
  }
  absl::MutexLock lock(&mutex_);
  free_.insert(free_.end(), unused.begin(), unused.end());
  return unused.size();
}

bool GenerationSet::WaitForUnused() {
  absl::MutexLock lock(&mutex_);
  while (!signalled_ && !stopped_) wake_.Wait(&mutex_);
  signalled_ = false;
  return !stopped_;
}

void GenerationSet::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  wake_.SignalAll();
}

void GenerationSet::Signal() {
  absl::MutexLock lock(&mutex_);
  signalled_ = true;
  wake_.Signal();
}

Position GenerationSet::OldestCut(const Position& fallback) const {
  absl::MutexLock lock(&mutex_);
  const Generation* current = current_.load(std::memory_order_acquire);
  Position oldest = current != nullptr ? current->cut() : fallback;
  for (const Generation* g : retired_) oldest = std::min(oldest, g->cut());
  return oldest;
}

size_t GenerationSet::live() const {
  absl::MutexLock lock(&mutex_);
  return retired_.size() + (current_.load(std::memory_order_acquire) != nullptr ? 1 : 0);
}

}  // namespace slipstream
