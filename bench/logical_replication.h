// Logical replication, as systems above RocksDB do it: the batches of the WAL, read with
// DB::GetUpdatesSince in the writing process, go over TCP to a full second RocksDB in another.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "rocksdb/db.h"
#include "rocksdb/status.h"

namespace slipstream::bench {

// The writing side: serves one replica.
// Threads: Open once; the rest is its own thread.
class LogicalSource {
 public:
  LogicalSource() = default;
  LogicalSource(const LogicalSource&) = delete;
  LogicalSource& operator=(const LogicalSource&) = delete;
  ~LogicalSource();

  // db: keeps its WAL (WAL_ttl_seconds); outlives this object.
  // Returns IOError.
  [[nodiscard]] rocksdb::Status Open(rocksdb::DB* db);
  int port() const { return port_; }

 private:
  void Run();
  void Serve(int fd);

  rocksdb::DB* db_ = nullptr;
  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
};

// The side of the replica: writes each batch as it comes.
// Threads: Open and status from one; the rest is its own thread.
class LogicalReplica {
 public:
  LogicalReplica() = default;
  LogicalReplica(const LogicalReplica&) = delete;
  LogicalReplica& operator=(const LogicalReplica&) = delete;
  ~LogicalReplica();

  // Starts behind what db holds. db: outlives this object.
  // Returns IOError.
  [[nodiscard]] rocksdb::Status Open(rocksdb::DB* db, int port);

 private:
  void Run();
  bool Apply(const std::string& data, size_t* used);

  rocksdb::DB* db_ = nullptr;
  int fd_ = -1;
  std::thread thread_;
};

}  // namespace slipstream::bench
