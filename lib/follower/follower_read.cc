#include "lib/follower/follower_read.h"

namespace slipstream {

namespace {

// What a pinned value holds. The cleanups that RocksDB registered run first, as they belong to the
// generation's database, and a Cleanable by itself gives no order between its cleanups.
struct PinnedGeneration {
  GenerationRef generation;
  rocksdb::Cleanable cleanups;
};

void Unpin(void* pinned, void*) { delete static_cast<PinnedGeneration*>(pinned); }

}  // namespace

rocksdb::Status ColumnFamilyIsMissing(const std::string& name, uint32_t id,
                                      const Generation& generation) {
  return rocksdb::Status::ColumnFamilyDropped("column family '" + name + "' of id " +
                                              std::to_string(id) + " is not in generation " +
                                              std::to_string(generation.id()));
}

void HoldGeneration(GenerationRef generation, rocksdb::PinnableSlice* value) {
  auto* pinned = new PinnedGeneration{std::move(generation), {}};
  value->DelegateCleanupsTo(&pinned->cleanups);
  value->RegisterCleanup(&Unpin, pinned, nullptr);
}

void HoldGenerations(const FollowerRead& read, rocksdb::PinnableSlice* values, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (values[i].IsPinned()) HoldGeneration(read.Share(), &values[i]);
  }
}

rocksdb::Status TailingIsRefused() {
  return rocksdb::Status::NotSupported(
      "ReadOptions::tailing: this database is a follower; call Refresh() on an ordinary iterator");
}

// PinnableWideColumns does not give its bytes, but the values stand at their end in the order of
// the columns, so they end where the last value does.
rocksdb::Status CopyEntity(const rocksdb::PinnableWideColumns& from,
                           rocksdb::PinnableWideColumns* to) {
  const rocksdb::WideColumns& columns = from.columns();
  if (columns.empty()) return rocksdb::Status::OK();
  const rocksdb::Slice& last = columns.back().value();
  const size_t size = from.serialized_size();
  const rocksdb::Slice bytes(last.data() + last.size() - size, size);
  // A plain value is shown as one column without a header before it.
  if (columns.size() > 1 || last.size() != size) return to->SetWideColumnValue(bytes);
  to->SetPlainValue(bytes);
  return rocksdb::Status::OK();
}

void FollowerRead::BeginTask(GenerationSet* generations) {
  task_.emplace(
      generations->read_tasks(), "read",
      std::initializer_list<observe::TaskAttribute>{{"database", generations->database()}},
      observe::TaskOptions{.cancellable = false, .keep_from_us = generations->slow_read_us()});
}

rocksdb::Status FollowerRead::BeginAtSnapshot(GenerationSet* generations,
                                              const rocksdb::ReadOptions& options) {
  const rocksdb::Snapshot& snapshot = *options.snapshot;
  if (typeid(snapshot) == typeid(FollowerSnapshot)) {
    const auto& ours = static_cast<const FollowerSnapshot&>(snapshot);
    if (ours.generations() == generations) snapshot_ = &ours;
  }
  if (snapshot_ == nullptr) {
    return rocksdb::Status::InvalidArgument(
        "ReadOptions::snapshot: not a snapshot of this database");
  }
  generation_ = snapshot_->generation().get();
  options_ = &options;
  ChangedOptions()->snapshot = snapshot_->inner();
  return rocksdb::Status::OK();
}

rocksdb::ReadOptions* FollowerRead::ChangedOptions() {
  changed_options_.emplace(*options_);
  options_ = &*changed_options_;
  // All that was applied came from the leader's WAL, so all of it is persisted; but it was written
  // to the generation without a WAL, where RocksDB would not count it as such.
  if (changed_options_->read_tier == rocksdb::kPersistedTier) {
    changed_options_->read_tier = rocksdb::kReadAllTier;
  }
  return &*changed_options_;
}

rocksdb::Status FollowerRead::Missing(const FollowerColumnFamilyHandle& handle) const {
  if (snapshot_ == nullptr) {
    return ColumnFamilyIsMissing(handle.GetName(), handle.GetID(), *generation_);
  }
  return rocksdb::Status::InvalidArgument(
      "ReadOptions::snapshot: does not contain column family '" + handle.GetName() + "' of id " +
      std::to_string(handle.GetID()));
}

rocksdb::Status FollowerRead::NoGeneration() {
  return rocksdb::Status::TryAgain("the follower has no data yet");
}

rocksdb::Status FollowerRead::NotOurs(const rocksdb::ColumnFamilyHandle* handle) {
  if (handle == nullptr) {
    return rocksdb::Status::InvalidArgument("column family handle: expected one, found nullptr");
  }
  return rocksdb::Status::InvalidArgument("the handle of column family '" + handle->GetName() +
                                          "' is not one of this database");
}

}  // namespace slipstream
