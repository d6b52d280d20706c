// The incarnations of an open leader's stream. One is an epoch: a replication log and the streams
// that carry it. When its log has broken and RocksDB has recovered, the next one begins.
//
//             a log file cannot be written       RocksDB has recovered, the broken
//   serving -----------------------------> broken ----------------------------> serving
//      ^      the reason is kept, nothing         file is needed no more; next     |
//      |      is streamed any more                epoch claimed and recorded       |
//      +---------------------------------------------------------------------------+
//
// A broken file is needed no more once everything in it was flushed and a newer WAL or MANIFEST is
// in its place: then what the directory holds is what RocksDB keeps, and no byte of the broken file
// takes part in it. RocksDB's own recovery does both; where it has no reason to, a flush is asked
// for here.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/core/transport.h"
#include "lib/leader/epoch_claim.h"
#include "lib/leader/follower_table.h"
#include "lib/leader/object_catalog.h"
#include "lib/leader/position_source.h"
#include "lib/leader/recovery_signal.h"
#include "lib/leader/replication_log.h"
#include "lib/leader/session_set.h"
#include "rocksdb/db.h"
#include "slipstream/leader.h"

namespace slipstream {

struct IncarnationParts {
  std::string database;
  uint64_t heartbeat_us = 0;
  uint64_t max_batch_delay_us = 0;
  std::shared_ptr<ObjectCatalog> catalog;
  std::shared_ptr<FollowerTable> followers;
  std::shared_ptr<EpochClaim> claim;
  // Was added to the database's listeners.
  std::shared_ptr<RecoverySignal> signal;
  // Files removed up to there may be gone from the storage.
  std::function<Position()> deleted_through;
  // Of the transport that the streams come from.
  std::shared_ptr<StreamWaker> waker;
  std::shared_ptr<rocksdb::Logger> logger;
  observe::TaskRegistry* tasks = nullptr;  // borrowed; may be null
};

// Threads: Accept and Advance from the transport; the rest from the leader. Starts the thread
// "ss-incarnate", which sleeps until a log breaks, then looks at RocksDB until the next incarnation
// could begin; it may block on a flush and on the storage.
class IncarnationKeeper : public LeaderEndpoint {
 public:
  IncarnationKeeper(IncarnationParts parts, std::shared_ptr<ReplicationLog> first);
  ~IncarnationKeeper() override;

  // welcome: what every follower is told, as of the first incarnation.
  void Start(rocksdb::DB* db, Welcome welcome);
  // Ends all streams with `why`, for good, and joins the thread. Not together with Stop.
  void End(const rocksdb::Status& why);
  // The same, and lets go of the database.
  void Stop();

  std::shared_ptr<LeaderSession> Accept(const Hello& hello, const std::string& peer,
                                        std::shared_ptr<LeaderStream> stream,
                                        rocksdb::Status* status) override;
  StreamWait Advance(uint64_t now_us) override;

  // Where the leader stands; empty before Start and after Stop.
  Position position() const;
  uint64_t epoch() const;
  // Somebody began to wait for confirmations: the streams look whether they have to ask for them.
  void AskFollowers() const;
  // Sets what the incarnations know.
  void Fill(LeaderStats* stats) const;

 private:
  struct Incarnation {
    std::shared_ptr<ReplicationLog> log;
    std::shared_ptr<PositionSource> position;
    std::shared_ptr<SessionSet> sessions;
    // RocksDB's last sequence number when the log broke: what was written behind it may be taken
    // back.
    std::shared_ptr<std::atomic<uint64_t>> kept_sequence;
  };

  Incarnation current() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Serves `log` from here on.
  Incarnation Begin(std::shared_ptr<ReplicationLog> log, Welcome welcome);
  void Run();
  // One attempt to begin the next incarnation. OK if it has begun; Incomplete if it is not time.
  rocksdb::Status TryNext(const Incarnation& broken);
  // Whether a flush can help, and does no harm: see the comment inside.
  bool MayFlush() const;
  rocksdb::Status OldestNeededWal(uint64_t* number) const;

  const IncarnationParts parts_;
  const std::shared_ptr<ReplicationLog> first_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};

  // Set by Start.
  rocksdb::DB* db_ = nullptr;
  Welcome welcome_;

  // Of the thread: the next epoch, once it is claimed, and whether the catalogue knows of it.
  uint64_t claimed_ = 0;
  bool recorded_ = false;

  mutable absl::Mutex mutex_;
  Incarnation current_ ABSL_GUARDED_BY(mutex_);
  uint64_t incarnations_ ABSL_GUARDED_BY(mutex_) = 1;
  rocksdb::Status last_break_ ABSL_GUARDED_BY(mutex_);
  rocksdb::Status last_attempt_ ABSL_GUARDED_BY(mutex_);
  // Of the logs before the present one.
  uint64_t past_appends_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t past_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace slipstream
