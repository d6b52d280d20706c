#include "lib/core/version_edit.h"

#include <cstddef>

#include "lib/core/coding.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

enum Tag : uint32_t {
  kComparator = 1,
  kLogNumber = 2,
  kNextFileNumber = 3,
  kLastSequence = 4,
  kCompactCursor = 5,
  kDeletedFile = 6,
  kNewFile = 7,
  kPrevLogNumber = 9,
  kMinLogNumberToKeep = 10,
  kNewFile2 = 100,
  kNewFile3 = 102,
  kNewFile4 = 103,
  kColumnFamily = 200,
  kColumnFamilyAdd = 201,
  kColumnFamilyDrop = 202,
  kMaxColumnFamily = 203,
  kInAtomicGroup = 300,
  kBlobFileAddition = 400,
  kBlobFileGarbage = 401,
  // An unknown tag with this bit is followed by a length-prefixed value and may be skipped.
  kIgnorableTagBit = 1 << 13,
  kDbId = 8193,
  kOldBlobFileAddition = 8194,
  kOldBlobFileGarbage = 8195,
  kWalAddition = 8196,
  kWalDeletion = 8197,
  kFullHistoryTsLow = 8198,
  kPrefixedWalAddition = 8199,
  kPrefixedWalDeletion = 8200,
  kPersistUserDefinedTimestamps = 8201,  // of RocksDB 9.10, and not of 7.8
};

// The custom fields of kNewFile4 are tag and length-prefixed value, up to a terminating tag.
constexpr uint32_t kNewFileEnd = 1;
constexpr uint32_t kNewFileMinLogNumberToKeep = 3;
constexpr uint32_t kNewFilePathId = 65;
constexpr uint32_t kNewFileMustUnderstandBit = 1 << 6;

// The custom fields of blob file entries have the same shape.
constexpr uint32_t kBlobFieldEnd = 0;
constexpr uint32_t kBlobFieldMustUnderstandBit = 1 << 6;

constexpr uint32_t kWalFieldEnd = 1;
constexpr uint32_t kWalFieldSyncedBytes = 2;

// Behind the user key: sequence number and value type.
constexpr size_t kInternalKeyTrailerBytes = 8;

class EditDecoder {
 public:
  EditDecoder(Slice record, VersionEditSummary* out) : record_(record), input_(record), out_(out) {}

  Status Run() {
    while (status_.ok() && !input_.empty()) {
      entry_offset_ = record_.size() - input_.size();
      tag_ = 0;
      if (!GetVarint32(&input_, &tag_)) {
        Malformed("no tag", "a varint32");
      } else if (!TakeCounter() && !TakeFileEntry() && !TakeDatabaseEntry()) {
        TakeUnknown();
      }
    }
    out_->understood = status_.ok();
    if (!status_.ok()) out_->message = status_.ToString();
    return status_;
  }

 private:
  // Each Take function below returns whether the tag was one of its own, whether or not its value
  // could be decoded.

  bool TakeCounter() {
    switch (tag_) {
      case kLogNumber:
        return TakeVarint64(&out_->log_number);
      case kPrevLogNumber:
        return TakeVarint64(&out_->prev_log_number);
      case kNextFileNumber:
        return TakeVarint64(&out_->next_file_number);
      case kLastSequence:
        return TakeVarint64(&out_->last_sequence);
      case kMinLogNumberToKeep:
        return TakeVarint64(&out_->min_log_number_to_keep);
      case kMaxColumnFamily:
        return TakeVarint32(&out_->max_column_family);
      case kInAtomicGroup:
        return TakeVarint32(&out_->remaining_entries);
      case kComparator:
        return TakeString(&out_->comparator);
      case kDbId:
        return TakeString(&out_->db_id);
      default:
        return false;
    }
  }

  bool TakeFileEntry() {
    switch (tag_) {
      case kDeletedFile:
        TakeDeletedFile();
        return true;
      case kNewFile:
      case kNewFile2:
      case kNewFile3:
      case kNewFile4:
        TakeNewFile();
        return true;
      case kCompactCursor:
        TakeCompactCursor();
        return true;
      case kBlobFileAddition:
      case kOldBlobFileAddition:
        TakeBlobFileAddition();
        return true;
      case kBlobFileGarbage:
      case kOldBlobFileGarbage:
        TakeBlobFileGarbage();
        return true;
      default:
        return false;
    }
  }

  bool TakeDatabaseEntry() {
    switch (tag_) {
      case kColumnFamily:
        if (!GetVarint32(&input_, &out_->column_family)) CutShort("a column family id");
        return true;
      case kColumnFamilyAdd:
        TakeColumnFamilyAdd();
        return true;
      case kColumnFamilyDrop:
        out_->column_family_drop = true;
        return true;
      case kWalAddition:
        TakeWalAddition(&input_);
        return true;
      case kWalDeletion:
        TakeWalDeletion(&input_);
        return true;
      case kPrefixedWalAddition:
      case kPrefixedWalDeletion:
        TakePrefixedWalEntry();
        return true;
      case kFullHistoryTsLow:
        TakeFullHistoryTsLow();
        return true;
      case kPersistUserDefinedTimestamps:
        TakePersistUserDefinedTimestamps();
        return true;
      default:
        return false;
    }
  }

  void TakeUnknown() {
    if ((tag_ & kIgnorableTagBit) == 0) {
      status_ = Status::NotSupported(Where(), "found unknown tag " + std::to_string(tag_) +
                                                  ", expected a tag of RocksDB 7.8 or 9.10");
      return;
    }
    Slice skipped;
    if (!GetLengthPrefixedSlice(&input_, &skipped)) {
      CutShort("a length-prefixed value");
      return;
    }
    ++out_->ignored_tags;
  }

  bool TakeVarint64(std::optional<uint64_t>* field) {
    uint64_t value = 0;
    if (GetVarint64(&input_, &value)) {
      *field = value;
    } else {
      CutShort("a varint64");
    }
    return true;
  }

  bool TakeVarint32(std::optional<uint32_t>* field) {
    uint32_t value = 0;
    if (GetVarint32(&input_, &value)) {
      *field = value;
    } else {
      CutShort("a varint32");
    }
    return true;
  }

  bool TakeString(std::optional<std::string>* field) {
    Slice value;
    if (GetLengthPrefixedSlice(&input_, &value)) {
      *field = value.ToString();
    } else {
      CutShort("a length-prefixed string");
    }
    return true;
  }

  bool GetInternalKey() {
    Slice key;
    return GetLengthPrefixedSlice(&input_, &key) && key.size() >= kInternalKeyTrailerBytes;
  }

  void TakeDeletedFile() {
    uint32_t level = 0;
    uint64_t number = 0;
    if (GetVarint32(&input_, &level) && GetVarint64(&input_, &number)) {
      out_->deleted_files.push_back(number);
    } else {
      CutShort("a level and a file number");
    }
  }

  void TakeNewFile() {
    uint32_t level = 0;
    uint32_t path_id = 0;
    uint64_t number = 0;
    uint64_t size = 0;
    uint64_t sequence = 0;
    if (!GetVarint32(&input_, &level) || !GetVarint64(&input_, &number) ||
        (tag_ == kNewFile3 && !GetVarint32(&input_, &path_id)) || !GetVarint64(&input_, &size) ||
        !GetInternalKey() || !GetInternalKey() ||
        (tag_ != kNewFile &&
         (!GetVarint64(&input_, &sequence) || !GetVarint64(&input_, &sequence)))) {
      CutShort("level, number, size, bounds and sequence numbers of a new file");
      return;
    }
    if (tag_ == kNewFile4 && !TakeNewFileFields()) return;
    out_->added_files.push_back(number);
  }

  bool TakeNewFileFields() {
    for (;;) {
      uint32_t field = 0;
      if (!GetVarint32(&input_, &field)) return CutShort("a field tag of a new file");
      if (field == kNewFileEnd) return true;
      Slice value;
      if (!GetLengthPrefixedSlice(&input_, &value)) return CutShort("a field of a new file");
      if (field == kNewFileMinLogNumberToKeep) {
        // This counter is also written inside a new file, for releases that do not know its tag.
        uint64_t number = 0;
        if (!GetFixed64(&value, &number)) {
          return Malformed("min_log_number_to_keep of " + std::to_string(value.size()) + " bytes",
                           "8 bytes");
        }
        out_->min_log_number_to_keep = number;
      } else if ((field & kNewFileMustUnderstandBit) != 0 && field != kNewFilePathId) {
        return UnknownField(field, "a new file");
      }
    }
  }

  void TakeCompactCursor() {
    uint32_t level = 0;
    if (!GetVarint32(&input_, &level) || !GetInternalKey()) CutShort("a compaction cursor");
  }

  void TakeBlobFileAddition() {
    uint64_t number = 0;
    uint64_t count = 0;
    uint64_t bytes = 0;
    Slice method;
    Slice value;
    if (!GetVarint64(&input_, &number) || !GetVarint64(&input_, &count) ||
        !GetVarint64(&input_, &bytes) || !GetLengthPrefixedSlice(&input_, &method) ||
        !GetLengthPrefixedSlice(&input_, &value)) {
      CutShort("number, count, bytes and checksum of a blob file");
      return;
    }
    if (SkipBlobFields()) out_->added_blob_files.push_back(number);
  }

  void TakeBlobFileGarbage() {
    uint64_t number = 0;
    uint64_t count = 0;
    uint64_t bytes = 0;
    if (!GetVarint64(&input_, &number) || !GetVarint64(&input_, &count) ||
        !GetVarint64(&input_, &bytes)) {
      CutShort("number, count and bytes of a blob file's garbage");
      return;
    }
    if (SkipBlobFields()) out_->garbage_blob_count += count;
  }

  bool SkipBlobFields() {
    for (;;) {
      uint32_t field = 0;
      if (!GetVarint32(&input_, &field)) return CutShort("a field tag of a blob file");
      if (field == kBlobFieldEnd) return true;
      if ((field & kBlobFieldMustUnderstandBit) != 0) return UnknownField(field, "a blob file");
      Slice value;
      if (!GetLengthPrefixedSlice(&input_, &value)) return CutShort("a field of a blob file");
    }
  }

  void TakeColumnFamilyAdd() {
    Slice name;
    if (!GetLengthPrefixedSlice(&input_, &name)) {
      CutShort("a column family name");
      return;
    }
    out_->column_family_add = true;
    out_->column_family_name = name.ToString();
  }

  void TakePrefixedWalEntry() {
    Slice entry;
    if (!GetLengthPrefixedSlice(&input_, &entry)) {
      CutShort("a length-prefixed WAL entry");
    } else if (tag_ == kPrefixedWalAddition) {
      TakeWalAddition(&entry);
    } else {
      TakeWalDeletion(&entry);
    }
  }

  void TakeWalAddition(Slice* entry) {
    VersionEditSummary::WalAddition wal;
    bool complete = GetVarint64(entry, &wal.number);
    uint32_t field = 0;
    while (complete && (complete = GetVarint32(entry, &field)) && field != kWalFieldEnd) {
      if (field != kWalFieldSyncedBytes) {
        UnknownField(field, "a WAL");
        return;
      }
      uint64_t bytes = 0;
      complete = GetVarint64(entry, &bytes);
      wal.synced_bytes = bytes;
    }
    if (complete) {
      out_->wal_additions.push_back(wal);
    } else {
      CutShort("number, size and end of a WAL entry");
    }
  }

  void TakeWalDeletion(Slice* entry) {
    uint64_t number = 0;
    if (GetVarint64(entry, &number)) {
      out_->wal_deletions.push_back(number);
    } else {
      CutShort("a WAL number");
    }
  }

  void TakeFullHistoryTsLow() {
    Slice timestamp;
    if (!GetLengthPrefixedSlice(&input_, &timestamp)) {
      CutShort("a timestamp");
    } else if (timestamp.empty()) {
      Malformed("an empty full_history_ts_low", "a timestamp");
    } else {
      out_->full_history_ts_low = timestamp.ToString();
    }
  }

  void TakePersistUserDefinedTimestamps() {
    Slice flag;
    if (!GetLengthPrefixedSlice(&input_, &flag)) {
      CutShort("a flag");
    } else if (flag.size() != 1) {
      Malformed("persist_user_defined_timestamps of " + std::to_string(flag.size()) + " bytes",
                "1 byte");
    } else {
      out_->persist_user_defined_timestamps = flag[0] == 1;
    }
  }

  std::string Where() const {
    return "manifest edit of " + std::to_string(record_.size()) + " bytes, entry at byte " +
           std::to_string(entry_offset_);
  }

  // The three reports of an error return false, for the functions whose result they are.
  bool Malformed(const std::string& found, const std::string& expected) {
    status_ = Status::Corruption(Where(), "found " + found + ", expected " + expected);
    return false;
  }

  bool CutShort(const std::string& expected) {
    return Malformed(
        "tag " + std::to_string(tag_) + " with a bad value or the record's end behind it",
        expected);
  }

  bool UnknownField(uint32_t field, const std::string& entry) {
    status_ =
        Status::NotSupported(Where(), "found unknown field " + std::to_string(field) + " of " +
                                          entry + ", expected one of RocksDB 7.8 or 9.10");
    return false;
  }

  const Slice record_;
  Slice input_;
  VersionEditSummary* const out_;
  uint32_t tag_ = 0;
  size_t entry_offset_ = 0;
  Status status_;
};

}  // namespace

Status DecodeVersionEdit(Slice record, VersionEditSummary* out) {
  *out = VersionEditSummary();
  return EditDecoder(record, out).Run();
}

std::string WithColumnFamilyName(Slice record, Slice name) {
  // Of a tag that stands twice in an edit, the last one counts.
  std::string renamed = record.ToString();
  PutVarint32(&renamed, kColumnFamilyAdd);
  PutLengthPrefixedSlice(&renamed, name);
  return renamed;
}

EditKind ClassifyEdit(const VersionEditSummary& edit) {
  // RocksDB names the comparator only where it creates a column family or writes down its state.
  if (!edit.understood || edit.ignored_tags > 0 || edit.column_family_add ||
      edit.column_family_drop || edit.comparator.has_value() || !edit.full_history_ts_low.empty()) {
    return EditKind::kBarrier;
  }
  const bool adds = !edit.added_files.empty() || !edit.added_blob_files.empty();
  const bool deletes = !edit.deleted_files.empty();
  const bool flushes = edit.log_number.has_value();
  if (deletes) return adds && !flushes ? EditKind::kCompaction : EditKind::kBarrier;
  // Blobs become garbage only when a compaction replaces the tables that refer to them.
  if (edit.garbage_blob_count > 0) return EditKind::kBarrier;
  if (flushes) return EditKind::kFlush;
  return adds ? EditKind::kBarrier : EditKind::kHousekeeping;
}

const char* EditKindName(EditKind kind) {
  switch (kind) {
    case EditKind::kFlush:
      return "flush";
    case EditKind::kCompaction:
      return "compaction";
    case EditKind::kHousekeeping:
      return "housekeeping";
    case EditKind::kBarrier:
      return "barrier";
  }
  return "unknown";
}

}  // namespace slipstream
