#include "lib/core/wal_trimmer.h"

#include <algorithm>
#include <utility>

#include "lib/core/batch_entry.h"
#include "lib/core/batch_gatherer.h"
#include "lib/core/coding.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

std::string EmptyRecord(uint64_t sequence) {
  std::string record(kBatchHeaderSize, '\0');
  EncodeFixed64(record.data(), sequence);
  return record;
}

// What can be left out of a record.
struct RecordContents {
  bool needed = false;    // something
  bool unneeded = false;  // something
  bool range_deletion = false;
};

Status Examine(Slice entries, uint64_t wal, const ManifestColumnFamilies& families,
               RecordContents* contents) {
  while (!entries.empty()) {
    BatchEntry entry;
    Status s = TakeBatchEntry(&entries, &entry);
    if (!s.ok()) return s;
    if (entry.kind == BatchEntryKind::kComment) continue;
    if (entry.kind != BatchEntryKind::kData) {
      return Status::NotSupported(
          "a WAL with markers of transactions in two phases is not trimmed");
    }
    (NeedsWal(families, entry.column_family, wal) ? contents->needed : contents->unneeded) = true;
    contents->range_deletion |= entry.range_deletion;
  }
  return Status::OK();
}

}  // namespace

WalTrimmer::WalTrimmer(std::string name, uint64_t wal, const ManifestColumnFamilies* families)
    : wal_(wal), families_(families), reader_(std::move(name)) {}

Status WalTrimmer::Feed(Slice bytes, std::string* out) {
  return reader_.Feed(
      bytes, [&](Slice record, uint64_t) { return Take(record, out); },
      [&](Slice sizes, uint64_t) {
        writer_.AddTimestampSizes(sizes, out);
        return Status::OK();
      });
}

Status WalTrimmer::Take(Slice record, std::string* out) {
  BatchHeader header;
  Status s = DecodeBatchHeader(record, &header);
  if (!s.ok()) return s;
  Slice entries(record.data() + kBatchHeaderSize, record.size() - kBatchHeaderSize);
  RecordContents contents;
  s = Examine(entries, wal_, *families_, &contents);
  if (!s.ok()) return s;
  if (std::exchange(first_, false)) first_to_write_ = header.sequence;
  next_sequence_ = std::max(next_sequence_, header.sequence + header.count);
  if (!contents.needed) return s;
  // Whether a range deletion consumes a sequence number only its comparator knows.
  if (!contents.unneeded || contents.range_deletion) {
    Write(record, out);
    return s;
  }
  uint64_t sequence = header.sequence;
  uint32_t count = 0;  // of the run of entries that are needed
  const auto end_run = [&] {
    if (count == 0) return;
    EncodeFixed64(run_.data(), sequence - count);
    EncodeFixed32(run_.data() + 8, std::exchange(count, 0));
    Write(run_, out);
  };
  while (!entries.empty()) {
    BatchEntry entry;
    s = TakeBatchEntry(&entries, &entry);
    if (!s.ok()) return s;
    if (entry.kind == BatchEntryKind::kComment) continue;
    if (!NeedsWal(*families_, entry.column_family, wal_)) {
      end_run();
    } else {
      if (count++ == 0) run_.assign(kBatchHeaderSize, '\0');
      run_.append(entry.bytes.data(), entry.bytes.size());
    }
    ++sequence;
  }
  end_run();
  return s;
}

void WalTrimmer::Write(Slice record, std::string* out) {
  BatchHeader header;
  if (DecodeBatchHeader(record, &header).ok()) {
    const auto first = std::exchange(first_to_write_, std::nullopt);
    if (first && *first != header.sequence) Write(EmptyRecord(*first), out);
    usage_.Add(header, record);
  }
  written_sequence_ = std::max(written_sequence_, usage_.next_sequence());
  writer_.AddRecord(record, out);
}

void WalTrimmer::Finish(std::string* out) {
  if (next_sequence_ == written_sequence_) return;
  Write(EmptyRecord(next_sequence_), out);
}

std::string EmptyWal(uint64_t first_sequence, uint64_t next_sequence) {
  std::string out;
  LogRecordWriter writer;
  if (first_sequence != 0) writer.AddRecord(EmptyRecord(first_sequence), &out);
  if (next_sequence != first_sequence) writer.AddRecord(EmptyRecord(next_sequence), &out);
  return out;
}

}  // namespace slipstream
