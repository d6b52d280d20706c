// The rocksdb::DB that a follower's host reads from: every call goes to the generation that is
// current when it starts, or to that of the snapshot it names.
#pragma once

#include <memory>
#include <string>

#include "lib/follower/column_family_slots.h"
#include "lib/follower/generation.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"

namespace slipstream {

// default_column_family: what DefaultColumnFamily() returns. A handle of another ColumnFamilySlots
//     than its own is refused, as is one of RocksDB itself.
// env: what GetEnv() and the options returned name. The environment of a generation is gone when
//     the generation is, so it is never given to the host. Default: nullptr = Env::Default().
//
// Before the first Publish every read returns TryAgain.
//
// Lifetime: borrows everything it is given; see Follower::db(). Column family handles belong to the
// host, which deletes them or passes them to DestroyColumnFamilyHandle; the default one is left
// alone by that.
// Threads: as rocksdb::DB.
std::unique_ptr<rocksdb::DB> NewFollowerDB(std::string name, GenerationSet* generations,
                                           FollowerColumnFamilyHandle* default_column_family,
                                           rocksdb::Env* env = nullptr);

}  // namespace slipstream
