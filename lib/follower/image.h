// The image: what a follower has received of the leader's log files, as a directory in memory.
// Generations are opened from cuts of it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lib/core/log_record_reader.h"
#include "lib/core/manifest_state.h"
#include "lib/core/messages.h"
#include "lib/core/prepared_transactions.h"
#include "lib/core/wal_usage.h"
#include "lib/follower/image_file.h"
#include "lib/follower/object_map.h"
#include "lib/follower/rewritten_log.h"
#include "slipstream/position.h"

namespace slipstream {

// The image at one position; never changes.
struct ImageCut {
  struct File {
    LogFileId id;
    std::shared_ptr<const ImageFile> data;
    uint64_t size = 0;
    // A WAL most of which a recovery passes over: to be trimmed before it is opened.
    bool trim = false;
    // Of one that is to be trimmed.
    uint64_t first_sequence = 0;
    uint64_t next_sequence = 0;
    uint64_t needed_bytes = 0;
  };

  Position position;  // .sequence is the last one that the log files explain
  std::string db_identity;
  uint32_t wal_recovery_mode = 0;
  uint64_t current_manifest = 0;
  std::vector<File> files;
  ManifestColumnFamilies column_families;
  std::shared_ptr<const ObjectMap> objects;
  uint64_t wal_bytes = 0;  // that are inserted by who opens it
};

// What is left of a WAL of a cut.
struct TrimmedWal {
  LogFileId id;
  std::shared_ptr<const ImageFile> original;  // as in the cut
  std::shared_ptr<ImageFile> data;
  WalUsage usage;
};

// Trims the WALs of `*cut` that are to be trimmed. One that cannot be is left as it is.
std::vector<TrimmedWal> TrimWals(ImageCut* cut);

// Threads: thread-compatible; used by the applier alone.
class Image {
 public:
  // What a frame meant beyond its bytes.
  struct Effect {
    bool manifest_moved = false;
    bool barrier = false;
  };
  // Takes a complete WAL record.
  using RecordSink = LogRecordReader::Sink;

  Image(const ImageBegin& begin, const Welcome& welcome);

  // An image that holds the same log files as `held`, shared with it, to be completed by `begin`.
  // `held` must not be appended to any more. Returns null if `begin` does not fit.
  static std::unique_ptr<Image> Completing(std::unique_ptr<Image> held, const ImageBegin& begin);

  // Applies one frame of the replication log or of an image transfer. WAL records of this epoch
  // that it completes go to `sink`, without transactions in two phases: what is prepared is left
  // out, and stands where it is committed.
  // Returns Corruption, naming file and offset, if the frame does not fit what is there.
  [[nodiscard]] rocksdb::Status Apply(const Frame& frame, const RecordSink& sink, Effect* effect);

  // For each frame of a transfer, before Apply: only what its beginning announced may come, and no
  // more of it.
  // Returns Corruption, naming the file.
  [[nodiscard]] rocksdb::Status CheckAnnounced(const Frame& frame) const;
  // The transfer is over: everything that was announced must be there.
  // Returns Corruption naming what is not.
  [[nodiscard]] rocksdb::Status Complete();

  ImageCut Cut() const;
  // Keeps what is left of a WAL in its place, if it is still what was trimmed.
  void Adopt(TrimmedWal trimmed);

  uint64_t epoch() const { return position_.epoch; }
  uint64_t offset() const { return position_.offset; }
  void set_offset(uint64_t offset) { position_.offset = offset; }
  // The last sequence number that the log files explain.
  uint64_t last_sequence() const;
  // Ends of the log files, for the leader.
  std::vector<LogFileSize> Sizes() const;
  // Of WALs, what a recovery from this image would insert into memtables. Costs something only
  // after the manifest has changed.
  uint64_t NeededWalBytes();
  // Of memory, prepared transactions included.
  uint64_t bytes() const { return bytes_ + prepared_.bytes(); }
  const PreparedTransactions& prepared() const { return prepared_; }
  const std::shared_ptr<ObjectMap>& objects() const { return objects_; }

 private:
  struct LogFile {
    uint64_t size = 0;  // as received
    std::shared_ptr<ImageFile> data;
    std::unique_ptr<LogRecordReader> reader;
    // A WAL of this epoch.
    WalUsage usage;
    // A WAL whose data is what a trim has left, and that cannot be appended to any more.
    bool trimmed = false;
    // What generations read in its place, if that is not the same.
    RewrittenLog rewritten;
    // A WAL that came with a transfer although RocksDB needs it no more.
    bool unneeded = false;
    // A WAL that the leader recovered from: unreadable from here on, as RocksDB found it.
    bool damaged = false;
    // MANIFEST: what it says, and where its last complete group of edits ends.
    std::unique_ptr<ManifestState> manifest;
    uint64_t complete_size = 0;
    uint64_t rewritten_complete_size = 0;
  };

  void Announce(const std::vector<LogFileSize>& files);
  rocksdb::Status Append(const Frame& frame, const RecordSink& sink, Effect* effect);
  rocksdb::Status ReadWal(LogFile* file, const Frame& frame, const RecordSink& sink);
  void ReadRecoveredWal(LogFile* file, const Frame& frame);
  // Replaces `*record`, the next one of the file, by what generations and the applier may see.
  rocksdb::Status Rewrite(LogFile* file, uint64_t wal, rocksdb::Slice* record);
  rocksdb::Status CheckTransactions() const;
  rocksdb::Status ReadManifest(LogFile* file, const Frame& frame, Effect* effect);
  // A record of the manifest, which ends at `end`, was read as `edit`.
  rocksdb::Status RewriteManifest(LogFile* file, const VersionEditSummary& edit,
                                  rocksdb::Slice record, uint64_t end);
  uint64_t NeededBytesOf(const LogFileId& id, const LogFile& file) const;
  static ImageCut::File CutManifest(const LogFileId& id, const LogFile& file);
  ImageCut::File CutWal(const LogFileId& id, const LogFile& file, uint64_t newest_wal) const;
  LogFile* NewFile(const LogFileId& id);
  void Remove(const LogFileId& id);
  const LogFile* CurrentManifest() const;
  // RocksDB recovers from WALs of this number and above. 0 before a manifest has said so.
  uint64_t OldestNeededWal() const;

  Position position_;
  std::string db_identity_;
  uint32_t wal_recovery_mode_ = 0;
  bool complete_ = false;  // no transfer is under way
  uint64_t current_manifest_ = 0;
  std::map<LogFileId, LogFile> files_;
  std::shared_ptr<ObjectMap> objects_;
  std::map<LogFileId, uint64_t> announced_;  // of a transfer: what is to come
  // Whether WALs may hold transactions in two phases. If not, none of what concerns them is used.
  const bool two_phase_commit_;
  // WALs up to this number are what the leader recovered from. Only RocksDB knows what it makes of
  // them: it may stop at damage, or recover a lower sequence number than their records say.
  const uint64_t newest_recovered_wal_;
  // Of the last record behind them, or as recovered, or as the leader said at the image's cut.
  uint64_t last_wal_sequence_;
  uint64_t newest_record_ = 0;  // the same, of records alone
  PreparedTransactions prepared_;
  // What the leader recovered as prepared, as far as it was not found in the WALs yet.
  std::set<RecoveredTransaction> missing_;
  std::string rewritten_record_;
  uint64_t needed_wal_bytes_ = 0;
  bool needed_wal_bytes_known_ = true;
  uint64_t bytes_ = 0;
};

}  // namespace slipstream
