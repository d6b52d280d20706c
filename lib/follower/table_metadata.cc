#include "lib/follower/table_metadata.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "lib/core/rocksdb_release.h"
#include "lib/follower/routed_cache.h"

namespace slipstream {

using rocksdb::BlockBasedTableOptions;
using rocksdb::TableFactory;

TableMetadata::TableMetadata() = default;
TableMetadata::~TableMetadata() = default;

std::shared_ptr<TableFactory> TableMetadata::Sharing(const std::shared_ptr<TableFactory>& host) {
  // A factory that wraps this one has another name, and would be left out if it were copied.
  if (host == nullptr || strcmp(host->Name(), TableFactory::kBlockBasedTableName()) != 0) {
    return host;
  }
  const auto* given = host->GetOptions<BlockBasedTableOptions>();
  if (given == nullptr || given->no_block_cache || given->block_cache == nullptr ||
      given->cache_index_and_filter_blocks || given->partition_filters ||
      given->index_type == BlockBasedTableOptions::kTwoLevelIndexSearch) {
    return host;
  }
  // A cache that stands in for another one gives its blocks no allocator there.
  if (SLIPSTREAM_ROCKSDB_9 && given->block_cache->memory_allocator() != nullptr) return host;
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<TableFactory>& factory = factories_[host];
  if (factory != nullptr) return factory;
  std::shared_ptr<RoutedCache>& cache = caches_[given->block_cache.get()];
  if (cache == nullptr) cache = std::make_shared<RoutedCache>(given->block_cache);
  BlockBasedTableOptions options = *given;
  options.block_cache = cache;
  options.cache_index_and_filter_blocks = true;
  options.cache_index_and_filter_blocks_with_high_priority = true;
  options.metadata_cache_options.top_level_index_pinning = rocksdb::PinningTier::kAll;
  options.metadata_cache_options.partition_pinning = rocksdb::PinningTier::kAll;
  options.metadata_cache_options.unpartitioned_pinning = rocksdb::PinningTier::kAll;
  factory.reset(rocksdb::NewBlockBasedTableFactory(options));
  return factory;
}

void TableMetadata::OnNewGeneration() {
  absl::MutexLock lock(&mutex_);
  for (const auto& [host, cache] : caches_) {
    const size_t used = cache->own_pinned_usage();
    const size_t kept = cache->own_capacity() - cache->own_capacity() / 8;
    cache->SetOwnCapacity(std::max(used + used / 8, kept));
  }
}

size_t TableMetadata::bytes() const {
  absl::MutexLock lock(&mutex_);
  size_t bytes = 0;
  for (const auto& [host, cache] : caches_) bytes += cache->own_usage();
  return bytes;
}

}  // namespace slipstream
