#include "lib/core/manifest_state.h"

#include <algorithm>
#include <utility>

namespace slipstream {

using rocksdb::Status;

ManifestState::ManifestState(std::string file_name) : file_name_(std::move(file_name)) {
  // No edit adds the default column family; RocksDB takes it for granted too.
  column_families_[0].name = "default";
}

Status ManifestState::Apply(const VersionEditSummary& edit) {
  if (error_.ok()) error_ = ApplyOrHold(edit);
  return error_;
}

Status ManifestState::ApplyOrHold(const VersionEditSummary& edit) {
  if (!edit.understood) return Contradiction(edit.message, "an edit that can be decoded");
  if (!edit.remaining_entries.has_value()) {
    if (!group_.empty()) {
      return Contradiction("an edit outside of the atomic group",
                           std::to_string(*group_.back().remaining_entries) + " more edits of it");
    }
    return ApplyNow(edit);
  }
  // The entries count down to 0, so a lost or doubled edit of the group shows.
  if (!group_.empty() &&
      *group_.back().remaining_entries != *edit.remaining_entries + uint64_t{1}) {
    return Contradiction(
        "an edit with " + std::to_string(*edit.remaining_entries) + " remaining entries",
        "one less than " + std::to_string(*group_.back().remaining_entries));
  }
  if (*edit.remaining_entries > 0) {
    group_.push_back(edit);
    return Status::OK();
  }
  std::vector<VersionEditSummary> group;
  group.swap(group_);
  for (const VersionEditSummary& held : group) {
    Status s = ApplyNow(held);
    if (!s.ok()) return s;
  }
  return ApplyNow(edit);
}

Status ManifestState::ApplyNow(const VersionEditSummary& edit) {
  Status s;
  if (edit.column_family_add) s = AddColumnFamily(edit);
  if (s.ok() && edit.column_family_drop) {
    s = DropColumnFamily(edit.column_family);
  } else if (s.ok()) {
    const auto family = column_families_.find(edit.column_family);
    if (family == column_families_.end()) {
      return Contradiction("an edit of column family " + std::to_string(edit.column_family),
                           "one that was added before");
    }
    s = ApplyFiles(edit, &family->second);
  }
  if (s.ok()) s = ApplyCounters(edit);
  if (s.ok()) ++applied_edits_;
  return s;
}

Status ManifestState::AddColumnFamily(const VersionEditSummary& edit) {
  const auto [it, added] = column_families_.try_emplace(edit.column_family);
  if (!added) {
    return Contradiction("column family " + std::to_string(edit.column_family) + " \"" +
                             edit.column_family_name + "\" added while \"" + it->second.name +
                             "\" has its id",
                         "a new id");
  }
  it->second.id = edit.column_family;
  it->second.name = edit.column_family_name;
  return Status::OK();
}

Status ManifestState::DropColumnFamily(uint32_t id) {
  const auto family = column_families_.find(id);
  if (id == 0 || family == column_families_.end()) {
    return Contradiction("column family " + std::to_string(id) + " dropped",
                         "one that was added before");
  }
  dropped_column_families_.push_back(std::move(family->second));
  column_families_.erase(family);
  std::erase_if(table_files_, [id](const auto& file) { return file.second == id; });
  return Status::OK();
}

// Deletions come first: a file that changes its level is deleted and added by one edit.
Status ManifestState::ApplyFiles(const VersionEditSummary& edit, ColumnFamily* family) {
  for (const uint64_t number : edit.deleted_files) {
    const auto file = table_files_.find(number);
    if (file == table_files_.end() || file->second != family->id) {
      return Contradiction("table file " + std::to_string(number) + " deleted",
                           "a live file of column family \"" + family->name + "\"");
    }
    table_files_.erase(file);
    --family->table_files;
  }
  for (const uint64_t number : edit.added_files) {
    if (!table_files_.emplace(number, family->id).second) {
      return Contradiction("table file " + std::to_string(number) + " added while it is live",
                           "a new file number");
    }
    ++family->table_files;
  }
  if (edit.comparator.has_value()) family->comparator = *edit.comparator;
  // RocksDB ignores a log number that goes back.
  if (edit.log_number.has_value()) {
    family->log_number = std::max(family->log_number, *edit.log_number);
  }
  if (!edit.full_history_ts_low.empty()) family->full_history_ts_low = edit.full_history_ts_low;
  return Status::OK();
}

Status ManifestState::ApplyCounters(const VersionEditSummary& edit) {
  if (edit.last_sequence.has_value()) {
    // RocksDB asserts this; an engine that is built with assertions aborts its process on it.
    if (*edit.last_sequence < last_sequence_) {
      return Contradiction("last sequence " + std::to_string(*edit.last_sequence),
                           "at least " + std::to_string(last_sequence_));
    }
    last_sequence_ = *edit.last_sequence;
  }
  if (edit.next_file_number.has_value()) next_file_number_ = *edit.next_file_number;
  if (edit.max_column_family.has_value()) max_column_family_ = *edit.max_column_family;
  if (edit.db_id.has_value()) db_id_ = *edit.db_id;
  if (edit.min_log_number_to_keep.has_value()) {
    min_log_number_to_keep_ = std::max(min_log_number_to_keep_, *edit.min_log_number_to_keep);
  }
  return Status::OK();
}

Status ManifestState::Contradiction(const std::string& found, const std::string& expected) const {
  return Status::Corruption(
      "manifest " + file_name_,
      "edit " + std::to_string(applied_edits_) + ": found " + found + ", expected " + expected);
}

}  // namespace slipstream
