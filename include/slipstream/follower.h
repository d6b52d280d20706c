// Follower: a process that reads a database which a leader writes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/status.h"
#include "slipstream/observe/source.h"
#include "slipstream/observe/task_registry.h"
#include "slipstream/position.h"
#include "slipstream/shared_storage.h"

namespace grpc {
class ChannelCredentials;
}  // namespace grpc

namespace slipstream {

// A new epoch of the leader did not contain everything that this follower had shown.
struct HistoryReset {
  Position shown;    // how far this follower had read in the old epoch
  Position resumed;  // where the new epoch began: sequences above resumed.sequence were taken back
};

// A column family that reads show, or show no longer, since the leader created or dropped it. One
// that is dropped and created again under its name has another id.
struct ColumnFamilyChange {
  std::string name;
  uint32_t id = 0;
  bool dropped = false;
};

struct FollowerOptions {
  // Name of the database, as the leader's LeaderOptions::database. Required.
  std::string database;

  // host:port of the leader. Required.
  std::string leader_address;

  // Default: nullptr = no encryption.
  std::shared_ptr<grpc::ChannelCredentials> credentials;

  // The storage that holds the database's SST files; the same objects as the leader's. Required.
  std::shared_ptr<SharedStorage> storage;

  // Shown in the leader's list of followers. At most 1000 bytes. Default: empty.
  std::string name;

  // "host:port" where this process can be observed over HTTP, as those who look at the leader reach
  // it: FollowerInfo has it there. At most 300 bytes. Default: empty = nowhere.
  std::string observe_endpoint;

  // source() says that the follower is ready while reads are no older than this, in milliseconds.
  // A follower that has caught up is as old as the last heartbeat (LeaderOptions::heartbeat_ms).
  // Default: 5000. Range: 1 to 86400000.
  uint64_t max_ready_staleness_ms = 5000;

  // How long Open may take, in milliseconds, including the wait for a leader that is not up yet.
  // Default: 60000. Range: 1 and more.
  uint64_t open_timeout_ms = 60000;

  // A stream that carried nothing, not even a heartbeat, for this long, in milliseconds, is given
  // up and opened anew. Default: 5000. Range: 100 to 86400000.
  uint64_t stream_timeout_ms = 5000;

  // Received bytes that wait to be applied; at the limit the follower stops reading from the
  // stream, and the leader serves it from its files later. Default: 64 MiB. Range: 1 MiB and more.
  uint64_t receive_queue_bytes = 64ull << 20;

  // A new generation is built when the memtables hold this many bytes (of WAL) that the leader has
  // flushed since, and it can be afforded: what it has to replay (all that the leader has not
  // flushed) is at most a quarter of what was applied since the last one, or the last one took at
  // most a hundredth of the time since, or a tenth if it is no more than 1 MiB.
  // Default: 32 MiB. Range: 64 KiB and more.
  uint64_t rebuild_flushed_bytes = 32ull << 20;

  // A new generation is also built this long after the leader flushed or compacted, in
  // milliseconds, so that removed files can leave the storage; later if it could not be afforded
  // before. Default: 5000. Range: 1 and more.
  uint64_t rebuild_interval_ms = 5000;

  // Confirmations are sent to the leader at most this often, in microseconds, while it waits for
  // them (Leader::WaitForFollowers); otherwise every 20 milliseconds, or this if it is more, as
  // long as there is something new to confirm.
  // Default: 1000. Range: 0 to 1000000; 0 = after every apply.
  uint64_t ack_interval_us = 1000;

  // Options for column families that the database has, or will have, and the host did not name at
  // Open; see Follower::GetColumnFamily. The leader's comparator must be this one. Without a merge
  // operator here, reads of merged keys fail with Corruption, and no others; with another than the
  // leader's, the follower stops as with another comparator: FollowerStats::status names it, reads
  // go on showing what there was, and the follower goes on once the leader has dropped the column
  // family.
  rocksdb::ColumnFamilyOptions other_column_families;

  // Called after reads began to show a column family that the leader has created, or ceased to show
  // one that it has dropped; drops come first. Not called for those that Open found. Runs on a
  // thread of the follower and must return soon; of the follower it may call db() and
  // GetColumnFamily, and nothing else. May run before Open has returned. Default: none.
  std::function<void(const std::vector<ColumnFamilyChange>&)> on_column_families_changed;

  // Called when a new epoch took back what had been shown. Runs on a thread of the follower and
  // must return soon; it must not call into the follower. Default: none.
  std::function<void(const HistoryReset&)> on_history_reset;

  // Where the follower's own work is shown: its stream, images and generations, the applier, waits.
  // To cancel the task of the stream ends that stream; the follower opens another. Waits are in it
  // once they have lasted 20 milliseconds, and end with Incomplete when they are cancelled.
  // Lifetime: outlives the follower. Default: nullptr = nowhere.
  observe::TaskRegistry* task_registry = nullptr;

  // With a task_registry: each read of db() is in the process list while it runs, as is each
  // iterator until it is deleted, as a task of kind "read"; and what took as many microseconds as
  // this, or more, stays there as any other finished task. It costs about as much as to begin and
  // end a task: bench_tasks.
  // Default: 0 = reads are no tasks.
  uint64_t slow_read_us = 0;

  // Returns InvalidArgument naming the field, its value and what was expected.
  [[nodiscard]] rocksdb::Status Validate() const;
};

struct FollowerStats {
  std::string id;
  bool connected = false;
  Position applied;   // what reads show
  Position received;  // what has arrived
  Position leader;    // what the leader last said it had
  uint64_t lag_sequences = 0;
  uint64_t lag_bytes = 0;
  // Age of the oldest thing that the leader is known to have and reads do not show, in
  // microseconds by this machine's clock since its arrival; 0 when there is none.
  uint64_t lag_us = 0;
  // Reads show everything that the leader had this many microseconds ago, or something newer:
  // grows while the leader cannot be reached.
  uint64_t staleness_us = 0;

  uint64_t live_generations = 0;  // open instances; more than 1 while readers hold older ones
  uint64_t rebuilds = 0;          // generations built after the first one
  uint64_t rebuilds_for_barriers = 0;
  uint64_t rebuild_us = 0;  // wall time spent in them, total
  uint64_t last_rebuild_us = 0;
  uint64_t resyncs = 0;  // images taken after the first one
  uint64_t reconnects = 0;
  uint64_t history_resets = 0;
  uint64_t sequence_gaps = 0;  // holes in the leader's WAL: writes that went round it
  // Times that what was received, or what was built from it, contradicted itself. Each was followed
  // by a fresh image; more than 0 means a fault of the leader's disk, of the storage or of this
  // library.
  uint64_t corruptions = 0;
  uint64_t records_applied = 0;  // WAL records
  uint64_t keys_applied = 0;     // sequence numbers
  uint64_t writes = 0;           // RocksDB writes they were gathered into
  uint64_t bytes_applied = 0;
  // Known from the leader's WAL and not shown, because they are not committed.
  uint64_t prepared_transactions = 0;

  uint64_t image_bytes = 0;          // log files kept in memory
  uint64_t memtable_bytes = 0;       // of the current generation
  uint64_t receive_queue_bytes = 0;  // waiting to be applied
  // Index and filter blocks of SST files, which all generations share: in use, or kept for the next
  // one. 0 if the host has them in its block cache.
  uint64_t table_metadata_bytes = 0;

  // OK while all is well; else why the follower does not make progress at present.
  rocksdb::Status status;
};

// Threads: all methods may be called from any thread. None may be called from a callback.
class Follower {
 public:
  // Connects to the leader, takes an image of the database, and returns once reads are possible.
  //
  // column_families: as for rocksdb::DB::Open; "default" must be among them. Their comparators and
  // merge operators must be the leader's; what only matters to writers (triggers, buffers,
  // compaction, listeners) is ignored. So is db_options.env, but for what GetEnv() returns.
  // The block cache in the table options is shared by all generations. So are index and filter
  // blocks, which take nothing of it unless the host has set cache_index_and_filter_blocks. A
  // memtable_factory that is RocksDB's default means the replay memtable
  // (slipstream/replay_memtable.h); another one is used.
  //
  // Returns OK
  //         InvalidArgument  options that do not fit each other or the leader's database
  //         NotFound         the leader does not serve `database`
  //         TimedOut         no leader, or no image, within open_timeout_ms; the message says which
  //         IOError, Corruption  the image could not be opened
  // On failure `*follower` is null and `*handles` empty.
  // Lifetime: handles stay valid until the follower is destroyed. They may be deleted, or passed to
  // DestroyColumnFamilyHandle, before; which does nothing to the data.
  [[nodiscard]] static rocksdb::Status Open(
      const FollowerOptions& options, const rocksdb::DBOptions& db_options,
      const std::vector<rocksdb::ColumnFamilyDescriptor>& column_families,
      std::vector<rocksdb::ColumnFamilyHandle*>* handles, std::unique_ptr<Follower>* follower);

  // The same with the default column family alone.
  [[nodiscard]] static rocksdb::Status Open(const FollowerOptions& options,
                                            const rocksdb::Options& db_options,
                                            std::unique_ptr<Follower>* follower);

  // All iterators, snapshots and pinned values must be gone before.
  virtual ~Follower() = default;

  // The database to read from, where a host used a rocksdb::DB. Writes, and everything that
  // changes or copies files, return NotSupported. GetRootDB() is the same object: utilities that
  // look there for RocksDB's own, and do not check that they found it, must not be given this one
  // (TransactionDB::WrapDB, DeleteFilesInRange, GetAllKeyVersions, MultiGetFromBatchAndDB of a
  // WriteBatchWithIndex, and its GetFromBatchAndDB if it holds merge operands, with RocksDB 9.10
  // always).
  // Lifetime: as the follower. A snapshot or an iterator keeps the generation it was made on in
  // memory for as long as it lives.
  virtual rocksdb::DB* db() = 0;

  // What reads show now: every read that starts later shows at least this.
  virtual Position position() const = 0;

  // Blocks until reads include everything up to `position`.
  // timeout_us: microseconds; 0 = check once without blocking.
  // Returns OK        reached; later reads see it.
  //         TimedOut  not reached yet; safe to retry.
  //         Aborted   a newer epoch began and did not, or is not known to, contain `position`.
  //         InvalidArgument  an empty position.
  //         ShutdownInProgress  Close was called.
  //         Incomplete  its task was cancelled; FollowerOptions::task_registry.
  [[nodiscard]] virtual rocksdb::Status WaitFor(const Position& position, uint64_t timeout_us) = 0;

  // Blocks until reads show everything the leader had `max_staleness_us` ago, or newer.
  // Returns OK, TimedOut (for example the leader cannot be reached), ShutdownInProgress, Incomplete
  // as WaitFor.
  [[nodiscard]] virtual rocksdb::Status WaitForFreshness(uint64_t max_staleness_us,
                                                         uint64_t timeout_us) = 0;

  // A handle for a column family by name, also for one that was not named at Open or that the
  // leader created since. Returns nullptr if reads do not show one of that name.
  // Once the leader has dropped the column family, reads through any handle of it return
  // ColumnFamilyDropped, but for those at a snapshot that was taken before; iterators that were
  // made before go on. One that is created again under the same name has a new handle. Lifetime:
  // belongs to the follower, and stays valid until that is destroyed. Not to be deleted;
  // DestroyColumnFamilyHandle may be called, which does nothing.
  virtual rocksdb::ColumnFamilyHandle* GetColumnFamily(const std::string& name) = 0;

  virtual FollowerStats stats() const = 0;

  // Metrics, health and the state of the replication, for whoever shows them. It is ready while
  // reads are fresh: FollowerOptions::max_ready_staleness_ms.
  // Lifetime: may be kept for longer than the follower. Calls are safe after Close and after the
  // destruction, and tell just that; Close waits for those that are under way.
  virtual std::shared_ptr<const observe::Source> source() const = 0;

  // Ends the stream and stops all threads. Reads go on working on what there is until the follower
  // is destroyed, but for files that leave the storage once its lease has run: IOError. Idempotent.
  // Returns the last error, if the follower had failed.
  virtual rocksdb::Status Close() = 0;
};

}  // namespace slipstream
