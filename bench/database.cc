#include "bench/database.h"

#include <time.h>

#include "bench/cpu_time.h"
#include "slipstream/replay_memtable.h"

namespace slipstream::bench {

using rocksdb::Status;

namespace {
// A follower that a benchmark stops for a while is to be found where it was.
constexpr uint64_t kLeaseMs = 600'000;
}  // namespace

Status Database::Open(const DatabaseSettings& settings) {
  settings_ = settings;
  Status s = settings.kind == Kind::kLeader     ? OpenLeader()
             : settings.kind == Kind::kFollower ? OpenFollower()
                                                : OpenPlain();
  if (!s.ok()) return s;
  families_.push_back(db_->DefaultColumnFamily());
  if (settings.data.column_families == 1) return s;
  if (follower_ == nullptr) return CreateFamilies();
  for (uint64_t n = 1; n < settings.data.column_families; ++n) {
    families_.push_back(follower_->GetColumnFamily(ColumnFamilyName(n)));
    if (families_.back() == nullptr) return Status::NotFound(ColumnFamilyName(n));
  }
  return s;
}

Status Database::CreateFamilies() {
  std::vector<std::string> names;
  for (uint64_t n = 1; n < settings_.data.column_families; ++n) {
    names.push_back(ColumnFamilyName(n));
  }
  Status s = db_->CreateColumnFamilies(DatabaseOptions(settings_.shape), names, &created_);
  families_.insert(families_.end(), created_.begin(), created_.end());
  return s;
}

Status Database::OpenLeader() {
  LeaderOptions options;
  options.database = kDatabaseName;
  options.max_batch_delay_us = settings_.max_batch_delay_us;
  options.replication_log_bytes = settings_.replication_log_bytes;
  options.replay_memtable = settings_.shape.replay_memtable;
  options.follower_lease_ms = kLeaseMs;
  Status s = NewDirectoryStorage(settings_.storage, &options.storage);
  if (s.ok()) {
    s = Leader::Open(options, DatabaseOptions(settings_.shape), settings_.directory, &leader_);
  }
  if (s.ok()) db_ = leader_->db();
  return s;
}

Status Database::OpenFollower() {
  FollowerOptions options;
  options.database = kDatabaseName;
  options.leader_address = "127.0.0.1:" + std::to_string(settings_.port);
  options.name = settings_.name;
  options.stream_timeout_ms = settings_.stream_timeout_ms;
  options.rebuild_interval_ms = settings_.rebuild_interval_ms;
  options.other_column_families = DatabaseOptions(settings_.shape);
  Status s = NewDirectoryStorage(settings_.storage, &options.storage);
  if (s.ok()) s = Follower::Open(options, DatabaseOptions(settings_.shape), &follower_);
  if (s.ok()) db_ = follower_->db();
  return s;
}

Status Database::OpenPlain() {
  rocksdb::Options options = DatabaseOptions(settings_.shape);
  if (settings_.keep_wal) options.WAL_ttl_seconds = 3600;
  Status s;
  if (settings_.shape.replay_memtable) {
    options.allow_concurrent_memtable_write = false;
    s = UseReplayMemTable(&options);
  }
  rocksdb::DB* db = nullptr;
  if (settings_.kind == Kind::kSecondary) {
    s = rocksdb::DB::OpenAsSecondary(options, settings_.directory, settings_.own_directory, &db);
  } else if (s.ok()) {
    const bool replica = settings_.kind == Kind::kReplica;
    s = rocksdb::DB::Open(options, replica ? settings_.own_directory : settings_.directory, &db);
  }
  plain_.reset(db);
  db_ = db;
  return s;
}

Status Database::WaitUntilVisible(const std::string& position, uint64_t sequence,
                                  uint64_t timeout_us) const {
  if (follower_ != nullptr) {
    Position target;
    Status s = Position::Parse(position, &target);
    return s.ok() ? follower_->WaitFor(target, timeout_us) : s;
  }
  const uint64_t deadline_ns = NowNs() + timeout_us * 1000;
  while (db_->GetLatestSequenceNumber() < sequence) {
    if (NowNs() > deadline_ns) {
      return Status::TimedOut("sequence number " + std::to_string(db_->GetLatestSequenceNumber()),
                              "expected " + std::to_string(sequence));
    }
    SleepUs(1000);
  }
  return Status::OK();
}

Status Database::Close() {
  if (db_ == nullptr) return Status::OK();
  db_ = nullptr;
  families_.clear();
  for (rocksdb::ColumnFamilyHandle* handle : created_) delete handle;
  created_.clear();
  Status s;
  if (leader_ != nullptr) s = leader_->Close();
  if (follower_ != nullptr) s = follower_->Close();
  if (plain_ != nullptr && settings_.kind != Kind::kSecondary) s = plain_->Close();
  leader_.reset();
  follower_.reset();
  plain_.reset();
  return s;
}

}  // namespace slipstream::bench
