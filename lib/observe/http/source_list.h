// The sources that an HTTP server shows.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/host/plain_mutex.h"
#include "slipstream/observe/source.h"

namespace slipstream::observe {

using SourcePtr = std::shared_ptr<const Source>;

// Threads: any. Its lock is never held while a source is called.
class SourceList {
 public:
  void Add(SourcePtr source) {
    PlainLock lock(&mutex_);
    if (source == nullptr) return;
    if (std::find(sources_.begin(), sources_.end(), source) != sources_.end()) return;
    sources_.push_back(std::move(source));
  }
  void Remove(const SourcePtr& source) {
    PlainLock lock(&mutex_);
    sources_.erase(std::remove(sources_.begin(), sources_.end(), source), sources_.end());
  }
  std::vector<SourcePtr> All() const {
    PlainLock lock(&mutex_);
    return sources_;
  }

 private:
  mutable PlainMutex mutex_;
  std::vector<SourcePtr> sources_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream::observe
