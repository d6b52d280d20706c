#include "lib/observe/history/task_log_object.h"

#include <utility>

namespace slipstream::observe {

using rocksdb::Status;

void TaskLogObjectWriter::Add(const std::string& line, uint64_t wall_us) {
  if (content_.empty()) object_ = {wall_us, instance_, object_.number + 1};
  content_ += line;
  content_ += '\n';
  ++lines_;
}

Status TaskLogObjectWriter::Store() {
  if (unstored_lines() == 0) return Status::OK();
  Status s;
  if (claimed_) {
    s = storage_->Put(TaskLogName(prefix_, object_), content_);
  } else {
    s = storage_->PutIfAbsent(TaskLogName(prefix_, object_), content_);
    // Somebody else's, whose instance is the same by chance: it stays, and ours gets another name.
    while (s.IsBusy()) {
      ++object_.number;
      s = storage_->PutIfAbsent(TaskLogName(prefix_, object_), content_);
    }
    claimed_ = true;
  }
  if (!s.ok()) return s;
  stored_lines_ = lines_;
  stored_bytes_ = content_.size();
  return s;
}

void TaskLogObjectWriter::Finish() {
  content_.clear();
  lines_ = 0;
  stored_lines_ = 0;
  stored_bytes_ = 0;
  claimed_ = false;
}

}  // namespace slipstream::observe
