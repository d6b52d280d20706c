// The Env that a leader's database is opened with: the leader's file system, the host's threads and
// clock.
#pragma once

#include <memory>

#include "rocksdb/env.h"
#include "rocksdb/file_system.h"

namespace slipstream {

// host: must outlive the result.
std::unique_ptr<rocksdb::Env> NewLeaderEnv(rocksdb::Env* host,
                                           const std::shared_ptr<rocksdb::FileSystem>& fs);

}  // namespace slipstream
