// Memory for the nodes of a ReplayTree: cut from slabs that come from the memtable's allocator, so
// that RocksDB counts them. Nothing is given back before the memtable is gone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace slipstream {

// Threads: one.
template <class Source>
class NodeMemory {
 public:
  // source: called as source(bytes), returns memory of any alignment.
  explicit NodeMemory(Source source) : source_(std::move(source)) {}

  template <class T, class... Args>
  T* New(Args&&... args) {
    static_assert(std::is_trivially_destructible_v<T>);
    return new (Take(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
  }

 private:
  // A slab is at most this share of all before it: little is taken that may never be used.
  static constexpr size_t kSlabShare = 8;
  static constexpr size_t kMaxSlabBytes = 32 << 10;

  void* Take(size_t bytes, size_t alignment) {
    uintptr_t start = (next_ + alignment - 1) / alignment * alignment;
    if (start + bytes > end_) {
      const size_t slab =
          std::max(bytes + alignment - 1, std::min(taken_ / kSlabShare, kMaxSlabBytes));
      next_ = reinterpret_cast<uintptr_t>(source_(slab));
      end_ = next_ + slab;
      taken_ += slab;
      start = (next_ + alignment - 1) / alignment * alignment;
    }
    next_ = start + bytes;
    return reinterpret_cast<void*>(start);
  }

  Source source_;
  uintptr_t next_ = 0;
  uintptr_t end_ = 0;
  size_t taken_ = 0;
};

}  // namespace slipstream
