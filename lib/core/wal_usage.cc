#include "lib/core/wal_usage.h"

#include <algorithm>
#include <utility>

#include "lib/core/batch_entry.h"

namespace slipstream {

void WalUsage::Count(const BatchHeader& header, rocksdb::Slice record) {
  if (next_sequence_ == 0) first_sequence_ = header.sequence;
  bytes_ += record.size();
  next_sequence_ = std::max(next_sequence_, header.sequence + header.count);
}

void WalUsage::AddOf(uint32_t family, const BatchHeader& header, rocksdb::Slice record) {
  Count(header, record);
  by_family_[family] += record.size();
}

void WalUsage::Add(const BatchHeader& header, rocksdb::Slice record) {
  Count(header, record);
  record.remove_prefix(kBatchHeaderSize);
  uint64_t more = kBatchHeaderSize;  // goes with the first entry
  while (known_ && !record.empty()) {
    BatchEntry entry;
    known_ = TakeBatchEntry(&record, &entry).ok();
    if (!known_ || entry.kind != BatchEntryKind::kData) continue;
    by_family_[entry.column_family] += entry.bytes.size() + std::exchange(more, 0);
  }
}

uint64_t WalUsage::NeededBytes(const ManifestColumnFamilies& families, uint64_t wal) const {
  if (!known_) return bytes_;
  uint64_t needed = 0;
  for (const auto& [family, bytes] : by_family_) {
    if (NeedsWal(families, family, wal)) needed += bytes;
  }
  return needed;
}

}  // namespace slipstream
