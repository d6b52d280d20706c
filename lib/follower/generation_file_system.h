// The file system that a generation's RocksDB sees: log files from a cut of the image, SST and blob
// files from the shared storage, and in memory whatever RocksDB itself writes.
#pragma once

#include <memory>
#include <string>

#include "lib/follower/image.h"
#include "lib/follower/object_map.h"
#include "rocksdb/env.h"

namespace slipstream {

// An Env over such a file system, with the clock and the threads of Env::Default().
//
// directory: the path under which the database is opened; nothing else exists. Nothing outside this
// process is ever written: deletes of shared files do nothing, and there is no lock file.
// Lifetime: shares all that it uses; must outlive the database.
std::unique_ptr<rocksdb::Env> NewGenerationEnv(const std::string& directory, const ImageCut& cut,
                                               std::shared_ptr<ObjectPool> pool);

// Lets go of the log files of the cut; their names and sizes stay. To be called once the database
// is open: RocksDB reads no log file that it recovered from again, and they may be much larger by
// now. REQUIRES: `env` is one that NewGenerationEnv has made.
void ReleaseLogFiles(rocksdb::Env* env);

}  // namespace slipstream
