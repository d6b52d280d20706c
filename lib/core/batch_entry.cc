#include "lib/core/batch_entry.h"

#include <string>

#include "lib/core/batch_gatherer.h"
#include "lib/core/coding.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

// The types of entries that RocksDB writes to a WAL (its ValueType).
enum EntryType : unsigned char {
  kDeletion = 0x00,
  kValue = 0x01,
  kMerge = 0x02,
  kLogData = 0x03,
  kFamilyDeletion = 0x04,
  kFamilyValue = 0x05,
  kFamilyMerge = 0x06,
  kSingleDeletion = 0x07,
  kFamilySingleDeletion = 0x08,
  kBeginPrepare = 0x09,
  kEndPrepare = 0x0a,
  kCommit = 0x0b,
  kRollback = 0x0c,
  kNoop = 0x0d,
  kFamilyRangeDeletion = 0x0e,
  kRangeDeletion = 0x0f,
  kFamilyBlobIndex = 0x10,
  kBlobIndex = 0x11,
  kBeginPersistedPrepare = 0x12,
  kBeginUnprepare = 0x13,
  kCommitWithTimestamp = 0x15,
  kEntity = 0x16,
  kFamilyEntity = 0x17,
  // Of WriteBatch::TimedPut, which came after RocksDB 7.8.
  kTimedValue = 0x18,
  kFamilyTimedValue = 0x19,
};

// What follows the type byte.
struct Layout {
  BatchEntryKind kind = BatchEntryKind::kData;
  bool known = true;
  bool family = false;  // a varint32, the id of the column family
  int strings = 0;      // with their lengths before them
};

Layout LayoutOf(unsigned char type) {
  using Kind = BatchEntryKind;
  switch (type) {
    case kDeletion:
    case kSingleDeletion:
      return {Kind::kData, true, false, 1};
    case kFamilyDeletion:
    case kFamilySingleDeletion:
      return {Kind::kData, true, true, 1};
    case kValue:
    case kMerge:
    case kRangeDeletion:
    case kBlobIndex:
    case kEntity:
    case kTimedValue:
      return {Kind::kData, true, false, 2};
    case kFamilyValue:
    case kFamilyMerge:
    case kFamilyRangeDeletion:
    case kFamilyBlobIndex:
    case kFamilyEntity:
    case kFamilyTimedValue:
      return {Kind::kData, true, true, 2};
    case kLogData:
      return {Kind::kComment, true, false, 1};
    case kNoop:
      return {Kind::kComment, true, false, 0};
    case kBeginPrepare:
      return {Kind::kBeginPrepare, true, false, 0};
    case kBeginPersistedPrepare:
      return {Kind::kBeginPersistedPrepare, true, false, 0};
    case kBeginUnprepare:
      return {Kind::kBeginUnprepare, true, false, 0};
    case kEndPrepare:
      return {Kind::kEndPrepare, true, false, 1};
    case kCommit:
      return {Kind::kCommit, true, false, 1};
    case kCommitWithTimestamp:
      return {Kind::kCommitWithTimestamp, true, false, 2};
    case kRollback:
      return {Kind::kRollback, true, false, 1};
    default:
      return {Kind::kComment, false, false, 0};
  }
}

}  // namespace

Status TakeBatchEntry(Slice* input, BatchEntry* entry) {
  const auto type = static_cast<unsigned char>((*input)[0]);
  const Layout layout = LayoutOf(type);
  if (!layout.known) {
    return Status::Corruption("write batch: entry of type " + std::to_string(type) +
                              ", expected one that RocksDB writes to a WAL");
  }
  Slice rest(input->data() + 1, input->size() - 1);
  uint32_t family = 0;
  bool whole = !layout.family || GetVarint32(&rest, &family);
  Slice last;
  for (int i = 0; whole && i < layout.strings; ++i) whole = GetLengthPrefixedSlice(&rest, &last);
  if (!whole) {
    return Status::Corruption("write batch: entry of type " + std::to_string(type) +
                              " is cut off " + std::to_string(input->size()) +
                              " bytes before the end of the batch");
  }
  entry->kind = layout.kind;
  entry->column_family = family;
  entry->range_deletion = type == kRangeDeletion || type == kFamilyRangeDeletion;
  entry->bytes = Slice(input->data(), input->size() - rest.size());
  const bool marker =
      layout.kind != BatchEntryKind::kData && layout.kind != BatchEntryKind::kComment;
  entry->name = marker ? last : Slice();
  *input = rest;
  return Status::OK();
}

Status LeaveOutNoOperations(Slice* record, std::string* buffer) {
  BatchHeader header;
  Status s = DecodeBatchHeader(*record, &header);
  if (!s.ok()) return s;
  Slice rest(record->data() + kBatchHeaderSize, record->size() - kBatchHeaderSize);
  const char* kept = record->data();  // where the next piece that is taken over begins
  buffer->clear();
  while (!rest.empty()) {
    BatchEntry entry;
    s = TakeBatchEntry(&rest, &entry);
    if (!s.ok()) return s;
    if (static_cast<unsigned char>(entry.bytes[0]) != kNoop) continue;
    buffer->append(kept, static_cast<size_t>(entry.bytes.data() - kept));
    kept = rest.data();
  }
  if (kept == record->data()) return s;
  buffer->append(kept, static_cast<size_t>(record->data() + record->size() - kept));
  *record = Slice(*buffer);
  return s;
}

}  // namespace slipstream
