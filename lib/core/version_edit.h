// What one record of a RocksDB manifest says, as far as Slipstream needs to know it.
//
// A manifest is a log of version edits: each adds and removes files of one column family, or
// creates or drops one, and carries counters of the whole database. The tags are those of
// RocksDB 7.8.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace slipstream {

struct VersionEditSummary {
  // Only with track_and_verify_wals_in_manifest: a WAL was created, or synced up to a size in
  // bytes.
  struct WalAddition {
    uint64_t number = 0;
    std::optional<uint64_t> synced_bytes;
  };

  // False when the record is malformed or holds a tag that RocksDB 7.8 would refuse too: what was
  // decoded before stands below, the rest of the record is unknown. `message` says why.
  bool understood = false;
  std::string message;
  // Tags that are unknown but marked by their writer as safe to ignore. They can still stand for
  // something that a follower has to show, so they make an edit a barrier.
  uint32_t ignored_tags = 0;

  std::optional<std::string> comparator;
  // WALs with smaller numbers hold nothing that this column family still needs.
  std::optional<uint64_t> log_number;
  std::optional<uint64_t> prev_log_number;
  std::optional<uint64_t> next_file_number;
  std::optional<uint64_t> last_sequence;
  std::optional<uint64_t> min_log_number_to_keep;
  std::optional<uint32_t> max_column_family;
  std::optional<std::string> db_id;

  // The column family that the edit is about; 0 is the default one, and stands also in edits about
  // the whole database.
  uint32_t column_family = 0;
  bool column_family_add = false;
  bool column_family_drop = false;
  // The name, when column_family_add.
  std::string column_family_name;

  // Numbers of table files, in the order of the record. A file that only changes its level is in
  // both lists.
  std::vector<uint64_t> added_files;
  std::vector<uint64_t> deleted_files;
  std::vector<uint64_t> added_blob_files;
  // How many blobs, in all blob files named by the edit, became garbage.
  uint64_t garbage_blob_count = 0;

  std::vector<WalAddition> wal_additions;
  // Each entry says: the WALs with smaller numbers than this are gone.
  std::vector<uint64_t> wal_deletions;

  // Set when the edit belongs to an atomic group: how many edits of the group follow this one.
  std::optional<uint32_t> remaining_entries;

  // Empty when the edit does not set it.
  std::string full_history_ts_low;
  // RocksDB 9.10 says it wherever it names the comparator.
  std::optional<bool> persist_user_defined_timestamps;
};

// Decodes a record of a manifest. `*out` is overwritten.
//
// Returns OK            out->understood is true.
//         Corruption    the record is malformed;
//         NotSupported  it holds a tag that must not be ignored and is not known. In both cases
//                       out->understood is false and out->message says what was found where. The
//                       caller may ignore the status and go by ClassifyEdit, which then returns
//                       kBarrier.
// Threads: pure; any thread.
[[nodiscard]] rocksdb::Status DecodeVersionEdit(rocksdb::Slice record, VersionEditSummary* out);

// Returns the edit `record`, which adds a column family, with another name of that family.
// Threads: pure; any thread.
[[nodiscard]] std::string WithColumnFamilyName(rocksdb::Slice record, rocksdb::Slice name);

// What an edit means to a follower.
enum class EditKind {
  // A memtable became files, or turned out to be empty: the contents of the database are the same
  // as before, because a follower has them from the WAL.
  kFlush,
  // Files were replaced by files with the same contents, or moved to another level.
  kCompaction,
  // Nothing about files or column families.
  kHousekeeping,
  // The contents change and no WAL record says so, or it cannot be ruled out. A follower must
  // rebuild from a manifest that includes this edit before it shows anything later.
  kBarrier,
};

// Returns the kind of an edit as RocksDB 7.8 writes it. Everything that is not plainly one of the
// other kinds is a barrier:
//
//   new files, but neither a log number nor deleted files   ingest, import
//   deleted files, but no new ones                          DeleteFilesInRange, DeleteFile, a FIFO
//                                                           drop; also a compaction that leaves
//                                                           nothing, which looks the same
//   a column family added or dropped
//   full_history_ts_low                                     IncreaseFullHistoryTsLow
//   not understood, or with ignored tags
//
// The edits at the head of a manifest file, in which RocksDB writes down its whole state, also come
// out as some kind, but it has no meaning: there, the change of CURRENT is the event.
//
// Threads: pure; any thread.
[[nodiscard]] EditKind ClassifyEdit(const VersionEditSummary& edit);

// The name of a kind for logs and messages: "flush", "compaction", "housekeeping" or "barrier".
[[nodiscard]] const char* EditKindName(EditKind kind);

}  // namespace slipstream
