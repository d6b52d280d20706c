#include "lib/leader/incarnation_keeper.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "lib/host/thread_name.h"
#include "rocksdb/env.h"

namespace slipstream {
namespace {

using rocksdb::Status;

// Between two looks at a RocksDB that has not recovered.
constexpr absl::Duration kFirstLook = absl::Milliseconds(5);
constexpr absl::Duration kLastLook = absl::Milliseconds(250);
// RocksDB has dealt with a failed write by then: see MayFlush.
constexpr std::chrono::seconds kQuiet(1);

}  // namespace

IncarnationKeeper::IncarnationKeeper(IncarnationParts parts, std::shared_ptr<ReplicationLog> first)
    : parts_(std::move(parts)), first_(std::move(first)) {}

IncarnationKeeper::~IncarnationKeeper() { Stop(); }

void IncarnationKeeper::Start(rocksdb::DB* db, Welcome welcome) {
  db_ = db;
  welcome_ = welcome;
  Incarnation first = Begin(first_, std::move(welcome));
  {
    absl::MutexLock lock(&mutex_);
    current_ = std::move(first);
  }
  thread_ = std::thread([this] {
    NameThisThread("ss-incarnate");
    Run();
  });
}

IncarnationKeeper::Incarnation IncarnationKeeper::Begin(std::shared_ptr<ReplicationLog> log,
                                                        Welcome welcome) {
  Incarnation incarnation;
  incarnation.log = log;
  incarnation.position = std::make_shared<PositionSource>(log);
  incarnation.position->SetDatabase(db_);
  incarnation.kept_sequence =
      std::make_shared<std::atomic<uint64_t>>(db_->GetLatestSequenceNumber());
  auto context = std::make_shared<SessionContext>();
  context->log = log;
  context->followers = parts_.followers;
  context->position = incarnation.position;
  context->heartbeat_us = parts_.heartbeat_us;
  context->silence_us = std::max<uint64_t>(4 * context->heartbeat_us, 5000000);
  context->tasks = parts_.tasks;
  context->database = parts_.database;
  context->max_batch_delay_us = parts_.max_batch_delay_us;
  context->log_has_all_writes = !db_->GetDBOptions().manual_wal_flush;
  parts_.followers->SetReachable(Position{log->epoch(), UINT64_MAX, 0}, Status::OK());
  incarnation.sessions = std::make_shared<SessionSet>(std::move(context), parts_.database,
                                                      std::move(welcome), parts_.deleted_through);
  log->SetWaker(parts_.waker);
  // In the thread that failed to write: the write that failed has no sequence number yet, and the
  // ones before it have.
  log->SetBreakHandler(
      [position = incarnation.position, kept = incarnation.kept_sequence, signal = parts_.signal] {
        if (const Position at = position->Now(); at.epoch != 0) kept->store(at.sequence);
        signal->Wake();
      });
  return incarnation;
}

void IncarnationKeeper::End(const Status& why) {
  stopping_ = true;
  parts_.signal->Wake();
  if (thread_.joinable()) thread_.join();
  const Incarnation last = current();
  if (last.sessions != nullptr) last.sessions->Stop(why);
}

void IncarnationKeeper::Stop() {
  End(Status::Aborted("the leader is closing"));
  const Incarnation last = current();
  if (last.sessions == nullptr) return;
  last.log->SetBreakHandler(nullptr);  // it holds the log
  last.position->SetDatabase(nullptr);
}

IncarnationKeeper::Incarnation IncarnationKeeper::current() const {
  absl::MutexLock lock(&mutex_);
  return current_;
}

std::shared_ptr<LeaderSession> IncarnationKeeper::Accept(const Hello& hello,
                                                         const std::string& peer,
                                                         std::shared_ptr<LeaderStream> stream,
                                                         Status* status) {
  return current().sessions->Accept(hello, peer, std::move(stream), status);
}

StreamWait IncarnationKeeper::Advance(uint64_t now_us) {
  std::shared_ptr<SessionSet> sessions;
  {
    absl::MutexLock lock(&mutex_);
    sessions = current_.sessions;
  }
  return sessions->Advance(now_us);
}

Position IncarnationKeeper::position() const {
  const Incarnation incarnation = current();
  return incarnation.position == nullptr ? Position() : incarnation.position->Now();
}

uint64_t IncarnationKeeper::epoch() const {
  const Incarnation incarnation = current();
  return incarnation.log == nullptr ? first_->epoch() : incarnation.log->epoch();
}

void IncarnationKeeper::AskFollowers() const {
  if (const Incarnation incarnation = current(); incarnation.log != nullptr) {
    incarnation.log->Wake();
  }
}

void IncarnationKeeper::Fill(LeaderStats* stats) const {
  const Incarnation incarnation = current();
  const ReplicationLog& log = incarnation.log == nullptr ? *first_ : *incarnation.log;
  if (incarnation.position != nullptr) stats->position = incarnation.position->Now();
  stats->replication_log_bytes = log.memory_bytes();
  stats->live_objects = log.object_count();
  stats->replication = log.status();
  stats->log_appends = log.appends();
  stats->log_bytes = log.end();
  absl::MutexLock lock(&mutex_);
  stats->log_appends += past_appends_;
  stats->log_bytes += past_bytes_;
  stats->incarnations = incarnations_;
  stats->last_break = last_break_;
  if (!stats->replication.ok() && !last_attempt_.ok() && !last_attempt_.IsIncomplete()) {
    stats->replication = Status::IOError(stats->replication.ToString(),
                                         "going on failed: " + last_attempt_.ToString());
  }
}

void IncarnationKeeper::Run() {
  uint64_t seen = 0;
  absl::Duration wait = absl::InfiniteDuration();
  while (!stopping_) {
    const Incarnation incarnation = current();
    const Status broken = incarnation.log->status();
    if (broken.ok()) {
      wait = absl::InfiniteDuration();
    } else {
      Status s = TryNext(incarnation);
      absl::MutexLock lock(&mutex_);
      last_attempt_ = s;
      if (s.ok()) continue;
      wait = wait == absl::InfiniteDuration() ? kFirstLook : std::min(wait * 2, kLastLook);
    }
    parts_.signal->Wait(&seen, wait);
  }
}

Status IncarnationKeeper::OldestNeededWal(uint64_t* number) const {
  if (db_->GetIntProperty(rocksdb::DB::Properties::kMinLogNumberToKeep, number)) {
    return Status::OK();
  }
  return Status::NotSupported("the database does not tell which WALs it needs");
}

bool IncarnationKeeper::MayFlush() const {
  // A failed WAL must not be switched before RocksDB has noted its failure, or the writer of that
  // file, which is not used after an error, fails an assertion. RocksDB notes it in the thread that
  // wrote, a moment after this class hears of it; a flush is refused from then on, until it has
  // recovered.
  const auto [recovered, at] = parts_.signal->last();
  return recovered || std::chrono::steady_clock::now() - at >= kQuiet;
}

Status IncarnationKeeper::TryNext(const Incarnation& broken) {
  const Status why = broken.log->status();
  bool first_look;
  {
    absl::MutexLock lock(&mutex_);
    first_look = std::exchange(last_break_, why) != why || last_attempt_.ok();
  }
  if (first_look) {
    rocksdb::Warn(parts_.logger, "slipstream: replication has stopped in epoch %s: %s",
                  std::to_string(broken.log->epoch()).c_str(), why.ToString().c_str());
    parts_.followers->SetReachable(
        Position{broken.log->epoch(), broken.log->end(), broken.kept_sequence->load()}, why);
  }

  uint64_t oldest_wal = 0;
  Status s = OldestNeededWal(&oldest_wal);
  if (s.ok() && !broken.log->CanSucceed(oldest_wal)) {
    if (!MayFlush()) return Status::Incomplete("RocksDB has not recovered");
    // Flushes all column families, also those that no handle is known of.
    std::vector<std::string> files;
    uint64_t manifest_size = 0;
    s = db_->GetLiveFiles(files, &manifest_size, /*flush_memtable=*/true);
    if (s.ok()) s = OldestNeededWal(&oldest_wal);
    if (s.ok() && !broken.log->CanSucceed(oldest_wal)) {
      // The memtables are empty: the next write makes the next flush change the WAL.
      s = Status::Incomplete("the file that failed is still in use");
    }
  }
  if (s.ok() && claimed_ == 0) s = parts_.claim->ClaimNext(broken.log->epoch(), &claimed_);
  if (s.ok() && !recorded_) {
    s = parts_.catalog->AddEpoch({claimed_, broken.kept_sequence->load()});
    recorded_ = s.ok();
  }
  // What was written before the break must not wait in RocksDB's buffer when the next log begins.
  if (s.ok() && db_->GetDBOptions().manual_wal_flush) s = db_->FlushWAL(/*sync=*/false);
  if (!s.ok()) return s;
  std::shared_ptr<ReplicationLog> log = broken.log->Succeed(claimed_, oldest_wal);
  if (log == nullptr) return Status::Incomplete("another file has failed");
  claimed_ = 0;
  recorded_ = false;

  Welcome welcome = welcome_;
  welcome.epoch = log->epoch();
  welcome.epochs = parts_.catalog->epochs();
  // In this order: the host may be writing.
  welcome.recovered_sequence = db_->GetLatestSequenceNumber();
  if (const uint64_t first = log->first_sequence(); first != 0) {
    welcome.recovered_sequence = first - 1;
  }
  Incarnation next = Begin(log, std::move(welcome));
  {
    absl::MutexLock lock(&mutex_);
    current_ = std::move(next);
    ++incarnations_;
    past_appends_ += broken.log->appends();
    past_bytes_ += broken.log->end();
  }
  rocksdb::Warn(parts_.logger, "slipstream: the stream goes on in epoch %s",
                std::to_string(log->epoch()).c_str());
  broken.sessions->Stop(Status::Aborted(
      "the stream goes on in epoch " + std::to_string(log->epoch()) + " after: " + why.ToString()));
  broken.position->SetDatabase(nullptr);
  return s;
}

}  // namespace slipstream
