// The handle that Leader::Open gives to its host: the database itself, less the writes that
// followers could never see.
#pragma once

#include <memory>

#include "rocksdb/db.h"

namespace slipstream {

// Takes over `db`. Writes with WriteOptions::disableWAL return InvalidArgument; ingested files keep
// their global sequence number in the manifest instead of being rewritten in place.
// Threads: as rocksdb::DB.
std::unique_ptr<rocksdb::DB> NewLeaderDB(rocksdb::DB* db);

}  // namespace slipstream
