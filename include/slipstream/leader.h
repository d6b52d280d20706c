// Leader: the one process that writes a database.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/status.h"
#include "slipstream/position.h"
#include "slipstream/replication_server.h"
#include "slipstream/shared_storage.h"

namespace slipstream {

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
  // Default: 200. Range: 0 to 100000. Source: design measurements, bench/replication.
  uint64_t max_batch_delay_us = 200;

  // An idle stream carries a heartbeat this often, in milliseconds.
  // Default: 250. Range: 10 to 10000.
  uint64_t heartbeat_ms = 250;

  // A follower that has been gone this long, in milliseconds, no longer keeps files alive; when it
  // returns it takes a fresh image. After an open, nothing is removed from the storage for as long.
  // Default: 10000. Range: 100 and more.
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
  bool connected = false;
  bool serving = false;        // false until it has its first generation
  Position received;           // last confirmed
  Position applied;            // last confirmed
  Position pin;                // cut of its oldest generation: files removed later are kept for it
  uint64_t lag_bytes = 0;      // of the replication log, not yet applied
  uint64_t lag_sequences = 0;  // not yet applied
  uint64_t lag_us = 0;  // age of the oldest message sent and not confirmed as applied; 0 if none
  uint64_t live_generations = 0;
  uint64_t images_sent = 0;  // whole or partial images, instead of a plain continuation
  uint64_t bytes_sent = 0;
};

struct LeaderStats {
  Position position;
  uint64_t replication_log_bytes = 0;  // held in memory now
  uint64_t log_appends = 0;            // appends to WAL, MANIFEST and CURRENT since the open
  uint64_t log_bytes = 0;              // bytes of them
  uint64_t live_objects = 0;           // SST and blob files of the database
  uint64_t pinned_objects = 0;         // removed by RocksDB, kept on the storage for followers
  uint64_t pinned_bytes = 0;
  uint64_t deleted_objects = 0;  // removed from the storage since the open
  // Why replication has stopped, if it has: a log file could not be written. It goes on by itself
  // once RocksDB has recovered (by itself, or by DB::Resume), and then this is OK again.
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
// Threads: all methods may be called from any thread once Open or Serve has returned. None may be
// called from a RocksDB or Slipstream callback.
class Leader {
 public:
  // Opens the database in the local directory `path`, like rocksdb::DB::Open. An existing ordinary
  // database is taken over: its SST files are copied to the storage first, then removed locally.
  //
  // Returns what rocksdb::DB::Open may return, and
  //   InvalidArgument  an option that cannot be replicated (the message names it), or LeaderOptions
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
  // followers could never see (WriteOptions::disableWAL); after Serve the host's own.
  // nullptr before, and after Close.
  virtual rocksdb::DB* db() = 0;

  // A point that covers every write that returned before the call. Pass it to
  // Follower::WaitFor for read-your-writes. Does not block.
  virtual Position position() const = 0;

  // Blocks until `count` followers have confirmed `position` at `level`.
  // timeout_us: microseconds; 0 = check once.
  // Returns OK; TimedOut, with how many had; Aborted if `position` is of another epoch, if
  // replication has stopped before it (LeaderStats::replication), or if the leader is closing. The
  // write itself stays as it is: only its confirmation is waited for.
  [[nodiscard]] virtual rocksdb::Status WaitForFollowers(const Position& position, size_t count,
                                                         AckLevel level, uint64_t timeout_us) = 0;

  // All followers that are connected or whose lease runs. Blocks briefly.
  virtual std::vector<FollowerInfo> followers() const = 0;
  virtual LeaderStats stats() const = 0;

  // The port followers connect to; 0 if the host built the server.
  virtual int port() const = 0;

  // Stops serving, ends all streams, and closes the database if Open opened it. Idempotent.
  // Returns what rocksdb::DB::Close returns.
  virtual rocksdb::Status Close() = 0;
};

}  // namespace slipstream
