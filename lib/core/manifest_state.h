// The state that the edits of one manifest file add up to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/core/version_edit.h"
#include "rocksdb/status.h"

namespace slipstream {

// A manifest file begins with edits that describe the whole database, so one object folds one file
// from its start; the next manifest file needs a new object.
//
// Edits of an atomic group take effect together, when the last one of the group has been applied. A
// manifest that ends inside a group stands for the state before the group, as it does for RocksDB.
//
// Blob files are not tracked: a manifest does not say when one becomes obsolete.
//
// Threads: thread-compatible. One thread at a time may call Apply; const functions may overlap.
class ManifestState {
 public:
  struct ColumnFamily {
    uint32_t id = 0;
    std::string name;
    // Name of the comparator; empty until an edit has named it.
    std::string comparator;
    // WALs with smaller numbers hold nothing that this column family still needs.
    uint64_t log_number = 0;
    // How many table files are live.
    uint64_t table_files = 0;
    // Empty when it was never set.
    std::string full_history_ts_low;
  };

  // file_name: appears in error messages, and is used for nothing else.
  explicit ManifestState(std::string file_name);

  // Applies the next edit of the file, or remembers it when its atomic group is not complete.
  //
  // Returns OK
  //         Corruption  the edit was not understood, contradicts the state (a column family or a
  //                     file that is not there, or is there already; a last sequence that goes
  //                     back), or breaks an atomic group.
  // An error is sticky: every later call returns it again, and the state is no longer reliable.
  [[nodiscard]] rocksdb::Status Apply(const VersionEditSummary& edit);

  // The live column families by id. The default one, id 0, is always there.
  [[nodiscard]] const std::map<uint32_t, ColumnFamily>& column_families() const {
    return column_families_;
  }

  // Those that this file adds and drops, as they were when they were dropped.
  [[nodiscard]] const std::vector<ColumnFamily>& dropped_column_families() const {
    return dropped_column_families_;
  }

  // The live table files: file number to the id of the column family that owns it. Files of a
  // dropped column family are not live, although handles on the leader can still read them.
  [[nodiscard]] const std::unordered_map<uint64_t, uint32_t>& table_files() const {
    return table_files_;
  }

  // The sequence number that the manifest has reached; it is behind the database's while there are
  // unflushed writes. 0 before the first edit that names it, as are the other counters.
  [[nodiscard]] uint64_t last_sequence() const { return last_sequence_; }
  [[nodiscard]] uint64_t next_file_number() const { return next_file_number_; }
  [[nodiscard]] uint64_t min_log_number_to_keep() const { return min_log_number_to_keep_; }
  [[nodiscard]] uint32_t max_column_family() const { return max_column_family_; }

  // Empty unless the database writes its id to the manifest (write_dbid_to_manifest).
  [[nodiscard]] const std::string& db_id() const { return db_id_; }

  // Edits that took effect, and edits that wait for the rest of their atomic group.
  [[nodiscard]] uint64_t applied_edits() const { return applied_edits_; }
  [[nodiscard]] size_t pending_edits() const { return group_.size(); }

 private:
  rocksdb::Status ApplyOrHold(const VersionEditSummary& edit);
  rocksdb::Status ApplyNow(const VersionEditSummary& edit);
  rocksdb::Status AddColumnFamily(const VersionEditSummary& edit);
  rocksdb::Status DropColumnFamily(uint32_t id);
  rocksdb::Status ApplyFiles(const VersionEditSummary& edit, ColumnFamily* family);
  rocksdb::Status ApplyCounters(const VersionEditSummary& edit);
  rocksdb::Status Contradiction(const std::string& found, const std::string& expected) const;

  const std::string file_name_;
  std::map<uint32_t, ColumnFamily> column_families_;
  std::vector<ColumnFamily> dropped_column_families_;
  std::unordered_map<uint64_t, uint32_t> table_files_;
  uint64_t last_sequence_ = 0;
  uint64_t next_file_number_ = 0;
  uint64_t min_log_number_to_keep_ = 0;
  uint32_t max_column_family_ = 0;
  std::string db_id_;
  uint64_t applied_edits_ = 0;

  // The edits of the atomic group that is not complete yet.
  std::vector<VersionEditSummary> group_;
  rocksdb::Status error_;
};

}  // namespace slipstream
