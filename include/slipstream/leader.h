// Leader: the one process that writes a database.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/status.h"
#include "slipstream/observe/source.h"
#include "slipstream/observe/task_registry.h"
#include "slipstream/position.h"
#include "slipstream/replication_server.h"
#include "slipstream/shared_storage.h"

namespace slipstream {

// Where a leader keeps its WAL.
enum class WalMode : uint8_t {
  kLocalDisk,   // in the local directory, as RocksDB does
  kMemoryOnly,  // nowhere but in memory and on the streams to followers
};

struct LeaderOptions {
  // Name of the database: the first part of its objects' names on the storage, and what followers
  // ask for. Letters, digits, '.', '_' and '-'; 1 to 100 of them. Required.
  std::string database;

  // Where SST and blob files go. Required.
  std::shared_ptr<SharedStorage> storage;

  // The server that followers connect to. Default: nullptr = the leader starts one of its own with
  // `server_options`.
  std::shared_ptr<ReplicationServer> server;
  ReplicationServerOptions server_options;

  // Bytes of recent history kept in memory for followers. What has left memory is read back from
  // the local log files, which costs I/O but loses nothing.
  // Default: 64 MiB. Range: 4 MiB and more.
  uint64_t replication_log_bytes = 64ull << 20;

  // Under steady load, writes are sent to followers at most this long after the previous message,
  // in microseconds, so that many of them share one message. After a pause the first write is sent
  // at once. 0 = never wait: lower lag, more CPU on both sides.
  // Default: 300. Range: 0 to 100000. Source: design measurements, bench/README.md.
  uint64_t max_batch_delay_us = 300;

  // An idle stream carries a heartbeat this often, in milliseconds.
  // Default: 250. Range: 10 to 10000.
  uint64_t heartbeat_ms = 250;

  // kMemoryOnly is for hosts that can write again what is lost, from an upstream log: no WAL file
  // is written, a sync of the WAL does nothing, and after a crash the database holds what was
  // flushed; followers go back to that with the leader. With several column families set
  // DBOptions::atomic_flush, or each stands at its own last flush; and name all of them where Flush
  // is called, which takes no others even then. An orderly close flushes, unless
  // DBOptions::avoid_flush_during_shutdown says otherwise. Memory: what is not flushed yet; bound
  // it with DBOptions::max_total_wal_size. WAL files that are there from kLocalDisk are recovered.
  // Refuses avoid_flush_during_recovery, track_and_verify_wals_in_manifest, WAL_ttl_seconds and
  // WAL_size_limit_MB.
  // Default: kLocalDisk.
  WalMode wal = WalMode::kLocalDisk;

  // A follower that has been gone this long, in milliseconds, no longer keeps files alive; when it
  // returns it takes a fresh image. After an open, nothing is removed from the storage for as long.
  // Default: 10000. Range: 100 to 86400000.
  uint64_t follower_lease_ms = 10000;

  // Use the replay memtable (slipstream/replay_memtable.h has figures) in place of RocksDB's skip
  // list, with DBOptions::allow_concurrent_memtable_write = false: writers then take turns to
  // insert, and each insert costs less. Open sets both, and the memtable of column families that
  // are created through db(). A host that calls Prepare sets the memtable itself, with
  // UseReplayMemTable on the options of each column family, also of those it creates later.
  // Open and Prepare return InvalidArgument if options contradict this: another memtable_factory,
  // or DBOptions::unordered_write.
  // Default: false.
  bool replay_memtable = false;

  // Where the leader's own work is shown: streams to followers, flushes, compactions, uploads,
  // deletions, waits. To cancel the task of a stream ends that stream; its follower opens another.
  // Waits are in it once they have lasted 20 milliseconds, and end with Incomplete when they are
  // cancelled.
  // Lifetime: outlives the leader. Default: nullptr = nowhere.
  observe::TaskRegistry* task_registry = nullptr;

  // Returns InvalidArgument naming the field, its value and what was expected.
  [[nodiscard]] rocksdb::Status Validate() const;
};

// What a follower has confirmed.
enum class AckLevel : uint8_t {
  kReceived,  // it holds the bytes in memory
  kApplied,   // its reads show them
};

// A leader's view of one follower.
struct FollowerInfo {
  std::string id;       // unique to one Follower::Open
  std::string name;     // FollowerOptions::name
  std::string address;  // the peer as gRPC prints it
  // Where it can be observed, as it said: FollowerOptions::observe_endpoint. Nobody checked it.
  std::string observe_endpoint;
  bool connected = false;
  bool serving = false;  // false until it has its first generation
  // What it last confirmed. While nobody waits for it (Leader::WaitForFollowers), a follower
  // confirms about every 20 milliseconds, so that under load the lag below is up to that much
  // larger than it is; FollowerStats on the follower has it exactly.
  Position received;
  Position applied;
  Position pin;                // cut of its oldest generation: files removed later are kept for it
  uint64_t lag_bytes = 0;      // of the replication log, not yet applied
  uint64_t lag_sequences = 0;  // not yet applied
  uint64_t lag_us = 0;  // age of the oldest message sent and not confirmed as applied; 0 if none
  // Since its last confirmation; one comes at least every LeaderOptions::heartbeat_ms, so a larger
  // figure is that of a follower that hangs or cannot be reached. One that answers nothing at all
  // is disconnected after about five seconds, and its lease begins.
  uint64_t silent_us = 0;
  uint64_t live_generations = 0;
  uint64_t images_sent = 0;  // whole or partial images, instead of a plain continuation
  uint64_t bytes_sent = 0;
};

struct LeaderStats {
  Position position;
  uint64_t replication_log_bytes = 0;  // held in memory now
  uint64_t log_appends = 0;            // appends to WAL, MANIFEST and CURRENT since the open
  uint64_t log_bytes = 0;              // bytes of them
  uint64_t memory_wal_bytes = 0;       // of WALs that are kept in memory, under kMemoryOnly
  uint64_t live_objects = 0;           // SST and blob files of the database
  uint64_t pinned_objects = 0;         // removed by RocksDB, kept on the storage for followers
  uint64_t pinned_bytes = 0;
  uint64_t deleted_objects = 0;  // removed from the storage since the open
  // The epoch of the newer leader that has taken over; 0 while this one leads.
  uint64_t fenced_by = 0;
  // Why replication has stopped, if it has: a log file could not be written, or Aborted if a newer
  // leader has taken over, which is for good. It goes on by itself once RocksDB has recovered (by
  // itself, or by DB::Resume), and then this is OK again.
  rocksdb::Status replication;
  // Epochs of this opening: 1, and one more each time replication went on after it had stopped.
  // Followers take a fresh image each time, and go back with the leader where it took writes back.
  uint64_t incarnations = 0;
  rocksdb::Status last_break;  // why it last stopped; OK if it never did
};

// Opens a RocksDB database so that followers can replicate it. Log files stay in the local
// directory, SST and blob files go to the shared storage, and every append to a log file is
// streamed to the followers.
//
// Two leaders at once: the one that opened last, under the newest epoch, takes over. The older one
// finds out within a tenth of its follower_lease_ms, at most a second, and is fenced: it deletes
// nothing from the storage any more, its followers' streams end with Aborted, its handle refuses
// writes with Aborted, and what is left to do with it is Close. What it wrote meanwhile stays in
// its directory and is not replicated.
//
// Threads: all methods may be called from any thread once Open or Serve has returned. None may be
// called from a RocksDB or Slipstream callback.
class Leader {
 public:
  // Opens the database in the local directory `path`, like rocksdb::DB::Open. An existing ordinary
  // database is taken over: its SST files are copied to the storage first, then removed locally.
  //
  // Returns what rocksdb::DB::Open may return, and
  //   InvalidArgument  an option that cannot be replicated (the message names it), or
  //   LeaderOptions;
  //                    or the directory is not the one that was opened last under this name: it
  //                    holds another database, none, or a copy that was left behind
  //   Busy             the directory is open as a leader already
  //   Aborted, Corruption  the directory is a copy, and an older leader may delete, or has deleted,
  //                    an object that it consists of
  //   IOError          the storage, or the listening address
  // On failure `*leader` is null and `*handles` empty.
  // Lifetime: the caller deletes the handles before Close() or the destructor, as with RocksDB.
  [[nodiscard]] static rocksdb::Status Open(
      const LeaderOptions& options, const rocksdb::DBOptions& db_options, const std::string& path,
      const std::vector<rocksdb::ColumnFamilyDescriptor>& column_families,
      std::vector<rocksdb::ColumnFamilyHandle*>* handles, std::unique_ptr<Leader>* leader);

  // The same with the default column family alone.
  [[nodiscard]] static rocksdb::Status Open(const LeaderOptions& options,
                                            const rocksdb::Options& db_options,
                                            const std::string& path,
                                            std::unique_ptr<Leader>* leader);

  // For hosts that open the database themselves (TransactionDB, OptimisticTransactionDB,
  // DBWithTTL):
  //
  //   Leader::Create(options, path, &leader);
  //   leader->Prepare(&db_options);             // sets db_options.env
  //   TransactionDB::Open(db_options, ..., path, ..., &db);
  //   leader->Serve(db, handles);
  //   ...
  //   leader->Close();  delete db;  leader.reset();
  //
  // Lifetime: the host's DB uses the leader's file system until it is closed, so the Leader object
  // must outlive the DB; Close() comes before the DB is closed.
  [[nodiscard]] static rocksdb::Status Create(const LeaderOptions& options, const std::string& path,
                                              std::unique_ptr<Leader>* leader);

  // Claims a new epoch and points `db_options` at the leader's file system. Called once, followed
  // by one open of the database at `path`. With LeaderOptions::replay_memtable it also sets
  // allow_concurrent_memtable_write = false.
  // Returns InvalidArgument for an option that cannot be replicated; Busy if another process is
  // claiming the same database at this moment; IOError.
  // column_families: the ones that will be opened, so that their options can be checked too.
  [[nodiscard]] virtual rocksdb::Status Prepare(
      rocksdb::DBOptions* db_options,
      const std::vector<rocksdb::ColumnFamilyDescriptor>& column_families = {}) = 0;

  // Starts to serve followers. `handles` are the column families that were opened: their comparator
  // and merge operator names are compared with the followers'. Default: the default one alone.
  // Returns InvalidArgument if Prepare was not called before or `db` is another database.
  [[nodiscard]] virtual rocksdb::Status Serve(
      rocksdb::DB* db, const std::vector<rocksdb::ColumnFamilyHandle*>& handles = {}) = 0;

  // Closes the database too if Open opened it.
  virtual ~Leader() = default;

  // The database to write to. After Open a handle that refuses, with InvalidArgument, writes that
  // followers could never see (WriteOptions::disableWAL), and with Aborted all writes once this
  // leader is fenced: reopen then; after Serve the host's own, which RocksDB does not stop.
  // nullptr before, and after Close.
  virtual rocksdb::DB* db() = 0;

  // A point that covers every write that returned before the call; under
  // DBOptions::manual_wal_flush, before the last FlushWAL. Pass it to Follower::WaitFor for
  // read-your-writes. Does not block.
  virtual Position position() const = 0;

  // Blocks until `count` followers have confirmed `position` at `level`.
  // timeout_us: microseconds; 0 = check once.
  // Returns OK; TimedOut, with how many had; Incomplete if its task was cancelled; Aborted if
  // `position` is of another epoch, if replication has stopped before it
  // (LeaderStats::replication), or if the leader is closing. The write itself stays as it is: only
  // its confirmation is waited for.
  [[nodiscard]] virtual rocksdb::Status WaitForFollowers(const Position& position, size_t count,
                                                         AckLevel level, uint64_t timeout_us) = 0;

  // All followers that are connected or whose lease runs. Blocks briefly.
  virtual std::vector<FollowerInfo> followers() const = 0;
  virtual LeaderStats stats() const = 0;

  // Metrics, health and the state of the replication, for whoever shows them. It is ready while
  // replication works and no newer leader has taken over.
  // Lifetime: may be kept for longer than the leader. Calls are safe before Serve, after Close and
  // after the destruction, and tell just that; Close waits for those that are under way.
  virtual std::shared_ptr<const observe::Source> source() const = 0;

  // The port followers connect to; 0 if the host built the server.
  virtual int port() const = 0;

  // Stops serving, ends all streams, and closes the database if Open opened it. Idempotent.
  // Returns what rocksdb::DB::Close returns; under kMemoryOnly also why what was only in memory
  // could not be flushed, which is lost then.
  virtual rocksdb::Status Close() = 0;
};

}  // namespace slipstream
