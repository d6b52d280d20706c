#include "lib/follower/follower_snapshot.h"

#include <algorithm>

namespace slipstream {

const rocksdb::Snapshot* FollowerSnapshots::New(const GenerationSet* generations,
                                                GenerationRef generation) {
  const rocksdb::Snapshot* inner = generation->db()->GetSnapshot();
  if (inner == nullptr) return nullptr;
  const auto* snapshot = new FollowerSnapshot(generations, std::move(generation), inner);
  absl::MutexLock lock(&mutex_);
  live_.insert(snapshot);
  return snapshot;
}

void FollowerSnapshots::Release(const rocksdb::Snapshot* snapshot) {
  {
    absl::MutexLock lock(&mutex_);
    if (live_.erase(snapshot) == 0) return;
  }
  // Without the lock, as this calls RocksDB.
  delete static_cast<const FollowerSnapshot*>(snapshot);
}

bool FollowerSnapshots::Property(const rocksdb::Slice& property, uint64_t* value) const {
  using Properties = rocksdb::DB::Properties;
  const bool count = property == Properties::kNumSnapshots;
  const bool time = property == Properties::kOldestSnapshotTime;
  const bool sequence = property == Properties::kOldestSnapshotSequence;
  if (!count && !time && !sequence) return false;
  absl::MutexLock lock(&mutex_);
  *value = live_.size();
  if (count || live_.empty()) return true;
  const rocksdb::Snapshot* oldest = *std::min_element(
      live_.begin(), live_.end(), [](const rocksdb::Snapshot* a, const rocksdb::Snapshot* b) {
        return a->GetSequenceNumber() < b->GetSequenceNumber();
      });
  *value = time ? static_cast<uint64_t>(oldest->GetUnixTime()) : oldest->GetSequenceNumber();
  return true;
}

}  // namespace slipstream
