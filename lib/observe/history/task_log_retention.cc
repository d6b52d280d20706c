#include "lib/observe/history/task_log_retention.h"

#include <algorithm>
#include <vector>

#include "lib/observe/history/task_log_name.h"

namespace slipstream::observe {

using rocksdb::Status;

Status TaskLogRetention::Size(const std::string& name, bool may_grow, uint64_t* size) {
  const auto known = sizes_.find(name);
  if (known != sizes_.end()) {
    *size = known->second;
    return Status::OK();
  }
  Status s = storage_->Size(name, size);
  if (s.IsNotFound()) {  // somebody else has deleted it
    *size = 0;
    return Status::OK();
  }
  if (s.ok() && !may_grow) sizes_[name] = *size;
  return s;
}

Status TaskLogRetention::Prune(uint64_t wall_now_us, const std::function<bool()>& stop) {
  std::vector<std::string> names;
  Status s = storage_->List(TaskLogPrefix(prefix_), &names);
  if (!s.ok()) return s;
  // They sort by time: the newest first from here on.
  std::reverse(names.begin(), names.end());
  uint64_t bytes = 0;
  bool newest = true;
  for (const std::string& name : names) {
    TaskLogObject object;
    if (!ParseTaskLogName(prefix_, name, &object)) continue;
    if (stop()) return Status::OK();
    const uint64_t age_us = wall_now_us > object.began_us ? wall_now_us - object.began_us : 0;
    const bool may_grow = age_us <= limits_.object_span_us;
    bool over = limits_.keep_us != 0 && age_us > limits_.keep_us + limits_.object_span_us;
    if (!over && limits_.keep_bytes != 0) {
      uint64_t size = 0;
      s = Size(name, may_grow, &size);
      if (!s.ok()) return s;
      bytes += size;
      over = bytes > limits_.keep_bytes && !newest;
    }
    newest = false;
    if (!over) continue;
    s = storage_->Delete(name);
    if (!s.ok()) return s;
    sizes_.erase(name);
    ++deleted_;
  }
  return s;
}

}  // namespace slipstream::observe
