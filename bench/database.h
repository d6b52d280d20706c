// Database: what a process of a benchmark has opened, of whatever kind.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/load.h"
#include "rocksdb/db.h"
#include "rocksdb/status.h"
#include "slipstream/follower.h"
#include "slipstream/leader.h"

namespace slipstream::bench {

enum class Kind {
  kPlain,      // RocksDB alone
  kLeader,     // a leader
  kFollower,   // a follower of it
  kSecondary,  // DB::OpenAsSecondary of a plain one
  kReplica,    // RocksDB that is written with the plain one's batches
};
NLOHMANN_JSON_SERIALIZE_ENUM(Kind, {{Kind::kPlain, "plain"},
                                    {Kind::kLeader, "leader"},
                                    {Kind::kFollower, "follower"},
                                    {Kind::kSecondary, "secondary"},
                                    {Kind::kReplica, "replica"}})

struct DatabaseSettings {
  Kind kind = Kind::kPlain;
  std::string directory;      // of the writer's database
  std::string own_directory;  // a secondary's info log, a replica's database
  std::string storage;        // shared storage of leader and followers
  std::string name;           // of a follower
  int port = 0;               // of the leader, or of the plain one's logical replication
  Data data;
  Shape shape;
  // The WAL stays after flushes, for logical replication.
  bool keep_wal = false;
  uint64_t max_batch_delay_us = LeaderOptions().max_batch_delay_us;
  uint64_t replication_log_bytes = 64ull << 20;
  uint64_t stream_timeout_ms = 5000;  // FollowerOptions
  uint64_t rebuild_interval_ms = 5000;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DatabaseSettings, kind, directory, own_directory, storage, name,
                                   port, data, shape, keep_wal, max_batch_delay_us,
                                   replication_log_bytes, stream_timeout_ms, rebuild_interval_ms)

// Threads: Open and Close from one; what it gives access to is as thread-safe as it is by itself.
class Database {
 public:
  Database() = default;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database() { Close().PermitUncheckedError(); }

  [[nodiscard]] rocksdb::Status Open(const DatabaseSettings& settings);
  [[nodiscard]] rocksdb::Status Close();

  rocksdb::DB* db() const { return db_; }
  const std::vector<rocksdb::ColumnFamilyHandle*>& families() const { return families_; }
  Leader* leader() const { return leader_.get(); }        // nullptr if it is none
  Follower* follower() const { return follower_.get(); }  // nullptr if it is none
  rocksdb::DB* secondary() const {
    return settings_.kind == Kind::kSecondary ? plain_.get() : nullptr;
  }

  // Waits until reads show what a writer had.
  // position: of a leader. sequence: of any writer.
  // Returns TimedOut.
  [[nodiscard]] rocksdb::Status WaitUntilVisible(const std::string& position, uint64_t sequence,
                                                 uint64_t timeout_us) const;

 private:
  [[nodiscard]] rocksdb::Status OpenLeader();
  [[nodiscard]] rocksdb::Status OpenFollower();
  [[nodiscard]] rocksdb::Status OpenPlain();
  [[nodiscard]] rocksdb::Status CreateFamilies();

  DatabaseSettings settings_;
  std::unique_ptr<Leader> leader_;
  std::unique_ptr<Follower> follower_;
  std::unique_ptr<rocksdb::DB> plain_;
  rocksdb::DB* db_ = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;
  std::vector<rocksdb::ColumnFamilyHandle*> created_;  // ours to delete
};

}  // namespace slipstream::bench
