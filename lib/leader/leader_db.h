// The handle that Leader::Open gives to its host: the database itself, less what followers could
// never see, or would see wrongly.
#pragma once

#include <memory>
#include <string>

#include "lib/leader/barrier_gate.h"
#include "lib/leader/fence.h"
#include "rocksdb/db.h"

namespace slipstream {

struct LeaderDBParts {
  std::string path;  // the database's directory
  std::shared_ptr<const Fence> fence;
  std::shared_ptr<BarrierGate> gate;  // null unless manual_wal_flush
  bool replay_memtable = false;       // for column families that are created
};

// Takes over `db`. Writes with WriteOptions::disableWAL return InvalidArgument, as do column
// families with options that cannot be replicated, or with another memtable than `replay_memtable`;
// once the leader is fenced all writes return Aborted. Ingested files keep their global sequence
// number in the manifest instead of being rewritten in place. Under manual_wal_flush, changes that
// only the manifest shows flush the WAL first, and writes wait for them. Threads: as rocksdb::DB.
std::unique_ptr<rocksdb::DB> NewLeaderDB(rocksdb::DB* db, LeaderDBParts parts);

}  // namespace slipstream
