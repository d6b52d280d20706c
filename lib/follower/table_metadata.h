// Index and filter blocks of SST files, in memory once for all generations of a follower.
#pragma once

#include <cstddef>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "rocksdb/table.h"

namespace slipstream {

class RoutedCache;

// A table that is opened by two generations has its index and filter blocks read and held twice,
// unless the host has them in its block cache (cache_index_and_filter_blocks). Here they get a
// cache of their own, which takes nothing of the host's block cache: what open tables use is never
// evicted, as without a cache, and the next generation finds what the last one used.
//
// Left as the host made them: factories of other tables, tables without block cache (or, with
// RocksDB 9.10, with one that has a memory allocator), and those
// whose index has two levels: its partitions are in the host's cache, and the first level is small.
// Threads: any. Lifetime: must outlive the generations.
class TableMetadata {
 public:
  TableMetadata();
  ~TableMetadata();

  // The factory to open a generation with in place of the host's; always the same one, and
  // `host` itself where there is nothing to share.
  std::shared_ptr<rocksdb::TableFactory> Sharing(const std::shared_ptr<rocksdb::TableFactory>& host)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // To be called while a generation is replaced, before it is closed: as much as it has in use, and
  // an eighth more, may stay in memory for its successor; and of what was allowed before, 7/8.
  void OnNewGeneration() ABSL_LOCKS_EXCLUDED(mutex_);

  // In use or kept.
  size_t bytes() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  // By the host's; one for each of its block caches.
  std::map<const rocksdb::Cache*, std::shared_ptr<RoutedCache>> caches_ ABSL_GUARDED_BY(mutex_);
  std::map<std::shared_ptr<rocksdb::TableFactory>, std::shared_ptr<rocksdb::TableFactory>>
      factories_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream
