// SST and blob files as a follower knows them from the stream, and open ones, shared between
// generations.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/core/messages.h"
#include "slipstream/position.h"
#include "slipstream/shared_storage.h"

namespace slipstream {

// File number -> object, of one epoch. Removed ones stay until no generation was cut before their
// removal.
// Threads: any.
class ObjectMap {
 public:
  void Add(const ObjectInfo& object);
  void Remove(uint64_t number, const Position& at);
  // Forgets what was removed before `oldest_cut`.
  void Prune(const Position& oldest_cut);
  std::optional<ObjectInfo> Find(uint64_t number) const;

 private:
  mutable absl::Mutex mutex_;
  std::unordered_map<uint64_t, ObjectInfo> objects_ ABSL_GUARDED_BY(mutex_);
  std::multimap<Position, uint64_t> removed_ ABSL_GUARDED_BY(mutex_);
};

// Opens each object once for all generations that use it at the same time.
// Threads: any; Open blocks on the storage without a lock.
class ObjectPool {
 public:
  ObjectPool(std::shared_ptr<SharedStorage> storage, std::string database)
      : storage_(std::move(storage)), database_(std::move(database)) {}

  [[nodiscard]] rocksdb::Status Open(const ObjectInfo& object,
                                     std::shared_ptr<const ObjectReader>* reader);

 private:
  const std::shared_ptr<SharedStorage> storage_;
  const std::string database_;
  absl::Mutex mutex_;
  std::unordered_map<std::string, std::weak_ptr<const ObjectReader>> open_ ABSL_GUARDED_BY(mutex_);
  size_t sweep_at_ ABSL_GUARDED_BY(mutex_) = 64;
};

}  // namespace slipstream
