// A block cache that is two: the host's, and one for index and filter blocks.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/rocksdb_release.h"
#include "rocksdb/cache.h"
#if SLIPSTREAM_ROCKSDB_9
#include "rocksdb/advanced_cache.h"
#endif

namespace slipstream {

// Blocks of high priority go to a cache of their own. With
// cache_index_and_filter_blocks_with_high_priority that is all but data blocks and properties.
// Everything that is asked about the cache as a whole is answered by the host's.
//
// Handles of the second cache have the lowest bit set. Threads: any, like all caches.
class RoutedCacheParts {
 public:
  using Cache = rocksdb::Cache;

  explicit RoutedCacheParts(std::shared_ptr<Cache> host) : host_(std::move(host)), own_(NewOwn()) {}

  // What is not in use is kept up to this size.
  void SetOwnCapacity(size_t bytes) { own_->SetCapacity(bytes); }
  size_t own_capacity() const { return own_->GetCapacity(); }
  size_t own_usage() const { return own_->GetUsage(); }
  size_t own_pinned_usage() const { return own_->GetPinnedUsage(); }

 protected:
  static std::shared_ptr<Cache> NewOwn() {
    rocksdb::LRUCacheOptions options;
    options.capacity = 0;
    options.num_shard_bits = 0;  // looked at when tables are opened and closed
    options.strict_capacity_limit = false;
    options.metadata_charge_policy = rocksdb::kFullChargeCacheMetadata;
    return rocksdb::NewLRUCache(options);
  }

  static Cache::Handle* Mark(Cache::Handle* handle) {
    if (handle == nullptr) return nullptr;
    return reinterpret_cast<Cache::Handle*>(reinterpret_cast<uintptr_t>(handle) | 1);
  }
  // The handle as the cache that it is of knows it, and that cache.
  std::pair<Cache*, Cache::Handle*> Of(Cache::Handle* handle) const {
    const auto bits = reinterpret_cast<uintptr_t>(handle);
    if ((bits & 1) == 0) return {host_.get(), handle};
    return {own_.get(), reinterpret_cast<Cache::Handle*>(bits & ~uintptr_t{1})};
  }
  static bool IsOwn(Cache::Priority priority) { return priority == Cache::Priority::HIGH; }

  const std::shared_ptr<Cache> host_;
  const std::shared_ptr<Cache> own_;  // goes first: its blocks may be of the host's allocator
};

// With 9.10 what is asked about the cache as a whole goes to the host's by itself.
#if SLIPSTREAM_ROCKSDB_9
using RoutedCacheBase = rocksdb::CacheWrapper;
#else
using RoutedCacheBase = rocksdb::Cache;
#endif

class RoutedCache : public RoutedCacheParts, public RoutedCacheBase {
 public:
  using Cache = rocksdb::Cache;
  using Handle = Cache::Handle;
  using Priority = Cache::Priority;

#if SLIPSTREAM_ROCKSDB_9
  explicit RoutedCache(std::shared_ptr<Cache> host)
      : RoutedCacheParts(host), RoutedCacheBase(host) {}
#else
  explicit RoutedCache(std::shared_ptr<Cache> host)
      // Tables allocate the blocks of both with the host's allocator, if it has one.
      : RoutedCacheParts(host),
        RoutedCacheBase(std::shared_ptr<rocksdb::MemoryAllocator>(host, host->memory_allocator())) {
  }
#endif

  const char* Name() const override { return host_->Name(); }

  bool Ref(Handle* handle) override {
    const auto [cache, h] = Of(handle);
    return cache->Ref(h);
  }
  bool Release(Handle* handle, bool erase_if_last_ref) override {
    const auto [cache, h] = Of(handle);
    return cache->Release(h, erase_if_last_ref);
  }
  bool Release(Handle* handle, bool useful, bool erase_if_last_ref) override {
    const auto [cache, h] = Of(handle);
    return cache->Release(h, useful, erase_if_last_ref);
  }
  void Erase(const rocksdb::Slice& key) override {
    host_->Erase(key);
    own_->Erase(key);
  }
  size_t GetUsage() const override { return host_->GetUsage(); }
  size_t GetUsage(Handle* handle) const override {
    const auto [cache, h] = Of(handle);
    return cache->GetUsage(h);
  }
  size_t GetCharge(Handle* handle) const override {
    const auto [cache, h] = Of(handle);
    return cache->GetCharge(h);
  }

#if SLIPSTREAM_ROCKSDB_9
  rocksdb::Status Insert(const rocksdb::Slice& key, Cache::ObjectPtr value,
                         const Cache::CacheItemHelper* helper, size_t charge, Handle** handle,
                         Priority priority, const rocksdb::Slice& compressed_value,
                         rocksdb::CompressionType type) override {
    return Inserted(
        priority, handle,
        To(priority)->Insert(key, value, helper, charge, handle, priority, compressed_value, type));
  }
  Handle* Lookup(const rocksdb::Slice& key, const Cache::CacheItemHelper* helper,
                 Cache::CreateContext* context, Priority priority,
                 rocksdb::Statistics* stats) override {
    Handle* handle = To(priority)->Lookup(key, helper, context, priority, stats);
    return IsOwn(priority) ? Mark(handle) : handle;
  }
  Cache::ObjectPtr Value(Handle* handle) override {
    const auto [cache, h] = Of(handle);
    return cache->Value(h);
  }
  const Cache::CacheItemHelper* GetCacheItemHelper(Handle* handle) const override {
    const auto [cache, h] = Of(handle);
    return cache->GetCacheItemHelper(h);
  }
  void ApplyToHandle(Cache*, Handle* handle,
                     const std::function<void(const rocksdb::Slice&, Cache::ObjectPtr, size_t,
                                              const Cache::CacheItemHelper*)>& callback) override {
    const auto [cache, h] = Of(handle);
    cache->ApplyToHandle(cache, h, callback);
  }
#else
  rocksdb::Status Insert(const rocksdb::Slice& key, void* value, size_t charge, DeleterFn deleter,
                         Handle** handle, Priority priority) override {
    return Inserted(priority, handle,
                    To(priority)->Insert(key, value, charge, deleter, handle, priority));
  }
  rocksdb::Status Insert(const rocksdb::Slice& key, void* value, const CacheItemHelper* helper,
                         size_t charge, Handle** handle, Priority priority) override {
    return Inserted(priority, handle,
                    To(priority)->Insert(key, value, helper, charge, handle, priority));
  }
  // Of tables with lowest_used_cache_tier = kVolatileTier, which do not say what they look for.
  Handle* Lookup(const rocksdb::Slice& key, rocksdb::Statistics* stats) override {
    Handle* handle = host_->Lookup(key, stats);
    return handle != nullptr ? handle : Mark(own_->Lookup(key, stats));
  }
  Handle* Lookup(const rocksdb::Slice& key, const CacheItemHelper* helper,
                 const CreateCallback& create, Priority priority, bool wait,
                 rocksdb::Statistics* stats) override {
    Handle* handle = To(priority)->Lookup(key, helper, create, priority, wait, stats);
    return IsOwn(priority) ? Mark(handle) : handle;
  }
  void* Value(Handle* handle) override {
    const auto [cache, h] = Of(handle);
    return cache->Value(h);
  }
  DeleterFn GetDeleter(Handle* handle) const override {
    const auto [cache, h] = Of(handle);
    return cache->GetDeleter(h);
  }
  bool IsReady(Handle* handle) override {
    const auto [cache, h] = Of(handle);
    return cache->IsReady(h);
  }
  void Wait(Handle* handle) override {
    const auto [cache, h] = Of(handle);
    cache->Wait(h);
  }
  // The second cache has nothing that would have to be waited for.
  void WaitAll(std::vector<Handle*>& handles) override {
    std::vector<Handle*> hosts;
    for (Handle* handle : handles) {
      if (handle != nullptr && Of(handle).first == host_.get()) hosts.push_back(handle);
    }
    host_->WaitAll(hosts);
  }
  uint64_t NewId() override { return host_->NewId(); }
  void SetCapacity(size_t capacity) override { host_->SetCapacity(capacity); }
  void SetStrictCapacityLimit(bool strict) override { host_->SetStrictCapacityLimit(strict); }
  bool HasStrictCapacityLimit() const override { return host_->HasStrictCapacityLimit(); }
  size_t GetCapacity() const override { return host_->GetCapacity(); }
  size_t GetOccupancyCount() const override { return host_->GetOccupancyCount(); }
  size_t GetTableAddressCount() const override { return host_->GetTableAddressCount(); }
  size_t GetPinnedUsage() const override { return host_->GetPinnedUsage(); }
  void ApplyToAllEntries(
      const std::function<void(const rocksdb::Slice&, void*, size_t, DeleterFn)>& callback,
      const ApplyToAllEntriesOptions& options) override {
    host_->ApplyToAllEntries(callback, options);
  }
  void EraseUnRefEntries() override { host_->EraseUnRefEntries(); }
  std::string GetPrintableOptions() const override { return host_->GetPrintableOptions(); }
#endif

 private:
  Cache* To(Priority priority) const { return (IsOwn(priority) ? own_ : host_).get(); }
  static rocksdb::Status Inserted(Priority priority, Handle** handle, rocksdb::Status status) {
    // A block that the cache had already takes the place of that one; its handle is as good.
    if (status.ok() && IsOwn(priority) && handle != nullptr) *handle = Mark(*handle);
    return status;
  }
};

}  // namespace slipstream
