#include "lib/follower/object_map.h"

#include <algorithm>

#include "lib/core/object_name.h"

namespace slipstream {

void ObjectMap::Add(const ObjectInfo& object) {
  absl::MutexLock lock(&mutex_);
  objects_[object.number] = object;
}

void ObjectMap::Remove(uint64_t number, const Position& at) {
  absl::MutexLock lock(&mutex_);
  removed_.emplace(at, number);
}

void ObjectMap::Prune(const Position& oldest_cut) {
  absl::MutexLock lock(&mutex_);
  const auto end = removed_.upper_bound(oldest_cut);
  for (auto it = removed_.begin(); it != end; ++it) objects_.erase(it->second);
  removed_.erase(removed_.begin(), end);
}

std::optional<ObjectInfo> ObjectMap::Find(uint64_t number) const {
  absl::MutexLock lock(&mutex_);
  auto it = objects_.find(number);
  if (it == objects_.end()) return std::nullopt;
  return it->second;
}

rocksdb::Status ObjectPool::Open(const ObjectInfo& object,
                                 std::shared_ptr<const ObjectReader>* reader) {
  const std::string name = ObjectNameOf(database_, object);
  reader->reset();
  {
    absl::MutexLock lock(&mutex_);
    if (auto it = open_.find(name); it != open_.end()) *reader = it->second.lock();
    if (*reader != nullptr) return rocksdb::Status::OK();
  }
  std::unique_ptr<ObjectReader> opened;
  rocksdb::Status s = storage_->NewReader(name, &opened);
  if (!s.ok()) return s;
  if (opened->size() != object.size) {
    return rocksdb::Status::Corruption(name + " on " + storage_->Describe() + " has " +
                                       std::to_string(opened->size()) + " bytes, expected " +
                                       std::to_string(object.size));
  }
  *reader = std::move(opened);
  absl::MutexLock lock(&mutex_);
  open_[name] = *reader;
  if (open_.size() >= sweep_at_) {
    std::erase_if(open_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max<size_t>(64, 2 * open_.size());
  }
  return s;
}

}  // namespace slipstream
