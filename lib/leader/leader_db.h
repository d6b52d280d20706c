// The handle that Leader::Open gives to its host: the database itself, less the writes that
// followers could never see.
#pragma once

#include <memory>

#include "rocksdb/db.h"

namespace slipstream {

// Takes over `db`. Writes with WriteOptions::disableWAL return InvalidArgument; ingested files keep
// their global sequence number in the manifest instead of being rewritten in place.
// replay_memtable: column families that are created get the replay memtable; InvalidArgument for
// one with another memtable. Threads: as rocksdb::DB.
std::unique_ptr<rocksdb::DB> NewLeaderDB(rocksdb::DB* db, bool replay_memtable);

}  // namespace slipstream
