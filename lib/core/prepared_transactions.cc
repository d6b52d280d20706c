#include "lib/core/prepared_transactions.h"

#include <utility>

#include "lib/core/batch_entry.h"
#include "lib/core/batch_gatherer.h"
#include "lib/core/coding.h"
#include "lib/core/crc32c.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

constexpr size_t kCountOffset = 8;  // in a batch's header

Status Contradiction(uint64_t wal, const std::string& found, const std::string& expected) {
  return Status::Corruption("WAL " + std::to_string(wal) + ": found " + found + ", expected " +
                            expected);
}

Status Refuse(uint64_t wal, const std::string& what, const std::string& instead) {
  return Status::NotSupported("WAL " + std::to_string(wal) + " holds a transaction of " + what +
                              ", which cannot be replicated; " + instead);
}

std::string Quoted(Slice name) { return "\"" + name.ToString() + "\""; }

}  // namespace

// One pass over a record.
struct PreparedTransactions::Reading {
  explicit Reading(Slice record)
      : rest(record.data() + kBatchHeaderSize, record.size() - kBatchHeaderSize) {}

  // Takes the next entry and keeps account of the section that it may be in.
  Status Next(uint64_t wal);

  Slice rest;
  BatchEntry entry;
  uint32_t count = 0;  // of data, in sections and outside
  bool in_section = false;
  // Of the section that `entry` is in or ends.
  const char* section_begin = nullptr;
  uint32_t section_count = 0;

  // When `entry` ends a section.
  Slice section() const {
    return Slice(section_begin, static_cast<size_t>(entry.bytes.data() - section_begin));
  }
};

Status PreparedTransactions::Reading::Next(uint64_t wal) {
  Status s = TakeBatchEntry(&rest, &entry);
  if (!s.ok()) return s;
  switch (entry.kind) {
    case BatchEntryKind::kData:
      ++count;
      if (in_section) ++section_count;
      return s;
    case BatchEntryKind::kComment:
      return s;
    case BatchEntryKind::kBeginPersistedPrepare:
      return Refuse(wal, "the write policy WRITE_PREPARED", "open with WRITE_COMMITTED");
    case BatchEntryKind::kBeginUnprepare:
      return Refuse(wal, "the write policy WRITE_UNPREPARED", "open with WRITE_COMMITTED");
    case BatchEntryKind::kBeginPrepare:
      if (in_section) {
        return Contradiction(wal, "a prepared section inside another one", "the end of the first");
      }
      in_section = true;
      section_begin = rest.data();
      section_count = 0;
      return s;
    case BatchEntryKind::kEndPrepare:
      if (!in_section) {
        return Contradiction(wal,
                             "the end of a prepared section, of transaction " + Quoted(entry.name),
                             "its beginning before it");
      }
      in_section = false;
      return s;
    case BatchEntryKind::kCommit:
    case BatchEntryKind::kCommitWithTimestamp:
    case BatchEntryKind::kRollback:
      if (in_section) {
        return Contradiction(
            wal, "the end of transaction " + Quoted(entry.name) + " inside a prepared section",
            "the end of the section");
      }
      return s;
  }
  return s;
}

Status PreparedTransactions::Apply(Slice record, uint64_t wal, Unknown unknown, std::string* buffer,
                                   Slice* rewritten) {
  if (error_.ok()) error_ = ApplyNow(record, wal, unknown, buffer, rewritten);
  return error_;
}

Status PreparedTransactions::ApplyNow(Slice record, uint64_t wal, Unknown unknown,
                                      std::string* buffer, Slice* rewritten) {
  BatchHeader header;
  Status s = DecodeBatchHeader(record, &header);
  if (!s.ok()) return s;
  Reading reading(record);
  // What stands outside of sections is taken over in pieces; `kept` is where the next one begins.
  const char* kept = record.data();
  bool changed = false;
  uint32_t count = 0;
  const auto keep_up_to = [&](const char* end) {
    if (!changed) buffer->clear();
    changed = true;
    buffer->append(kept, static_cast<size_t>(end - kept));
  };
  while (!reading.rest.empty()) {
    s = reading.Next(wal);
    if (!s.ok()) return s;
    const BatchEntry& entry = reading.entry;
    const char* const begin = entry.bytes.data();
    switch (entry.kind) {
      case BatchEntryKind::kData:
        if (!reading.in_section) ++count;
        break;
      case BatchEntryKind::kBeginPrepare:
        keep_up_to(begin);
        break;
      case BatchEntryKind::kEndPrepare:
        Prepare(entry.name, {wal, reading.section_count, reading.section().ToString()});
        kept = reading.rest.data();
        break;
      case BatchEntryKind::kCommitWithTimestamp:
        return Refuse(wal, "a commit timestamp (Transaction::SetCommitTimestamp)",
                      "use column families without user-defined timestamps");
      case BatchEntryKind::kCommit:
      case BatchEntryKind::kRollback: {
        const bool commit = entry.kind == BatchEntryKind::kCommit;
        Prepared ended;
        if (!End(entry.name, &ended) && unknown == Unknown::kRefused) {
          return Contradiction(wal,
                               std::string(commit ? "the commit" : "the rollback") +
                                   " of transaction " + Quoted(entry.name),
                               "one that is prepared");
        }
        keep_up_to(begin);
        kept = reading.rest.data();
        if (commit) {
          buffer->append(ended.entries);
          count += ended.count;
        }
        break;
      }
      default:
        break;
    }
  }
  if (reading.in_section) {
    return Contradiction(wal, "a prepared section without an end", "its end in the same record");
  }
  if (reading.count != header.count) {
    return Contradiction(wal, std::to_string(reading.count) + " entries in a record",
                         std::to_string(header.count) + " as its header says");
  }
  *rewritten = record;
  if (changed) {
    keep_up_to(record.data() + record.size());
    EncodeFixed32(buffer->data() + kCountOffset, count);
    *rewritten = Slice(*buffer);
  }
  return s;
}

Status PreparedTransactions::TakeOver(Slice record, uint64_t wal,
                                      std::set<RecoveredTransaction>* wanted) {
  BatchHeader header;
  Status s = DecodeBatchHeader(record, &header);
  if (!s.ok()) return s;
  Reading reading(record);
  while (!reading.rest.empty()) {
    s = reading.Next(wal);
    if (!s.ok()) return s;
    if (reading.entry.kind != BatchEntryKind::kEndPrepare) continue;
    const Slice section = reading.section();
    const RecoveredTransaction found{reading.entry.name.ToString(), wal,
                                     Crc32c(section.data(), section.size())};
    if (wanted->erase(found) == 0) continue;
    Prepare(reading.entry.name, {wal, reading.section_count, section.ToString()});
  }
  return s;
}

void PreparedTransactions::Prepare(Slice name, Prepared prepared) {
  Prepared before;
  End(name, &before);
  bytes_ += prepared.entries.size();
  prepared_.emplace(name.ToString(), std::move(prepared));
}

bool PreparedTransactions::End(Slice name, Prepared* ended) {
  const auto it = prepared_.find(std::string_view(name.data(), name.size()));
  if (it == prepared_.end()) return false;
  bytes_ -= it->second.entries.size();
  *ended = std::move(it->second);
  prepared_.erase(it);
  return true;
}

template <typename Matches>
void PreparedTransactions::ForgetIf(Matches matches) {
  for (auto it = prepared_.begin(); it != prepared_.end();) {
    if (!matches(it->second)) {
      ++it;
      continue;
    }
    bytes_ -= it->second.entries.size();
    it = prepared_.erase(it);
  }
}

void PreparedTransactions::Forget(uint64_t wal) {
  ForgetIf([wal](const Prepared& p) { return p.wal == wal; });
}

void PreparedTransactions::ForgetBefore(uint64_t wal) {
  ForgetIf([wal](const Prepared& p) { return p.wal < wal; });
}

std::vector<RecoveredTransaction> PreparedTransactions::List() const {
  std::vector<RecoveredTransaction> list;
  list.reserve(prepared_.size());
  for (const auto& [name, prepared] : prepared_) {
    list.push_back({name, prepared.wal, Crc32c(prepared.entries.data(), prepared.entries.size())});
  }
  return list;
}

}  // namespace slipstream
