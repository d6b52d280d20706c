// The object of the task log that is being written: what is on the storage of it, and what is not
// yet.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "lib/observe/history/task_log_name.h"
#include "rocksdb/status.h"
#include "slipstream/shared_storage.h"

namespace slipstream::observe {

// An object is put under its name as a whole, each time with more lines at its end: the first time
// if the name is free, then in place of what is there. Readers so find whole lines, and only ever
// more of them.
//
// Threads: one at a time; calls the storage.
class TaskLogObjectWriter {
 public:
  TaskLogObjectWriter(std::shared_ptr<SharedStorage> storage, std::string prefix,
                      std::string instance)
      : storage_(std::move(storage)), prefix_(std::move(prefix)), instance_(std::move(instance)) {}

  // Adds a line; wall_us names the object if it is its first.
  void Add(const std::string& line, uint64_t wall_us);
  // Puts what was added since. OK if there is nothing.
  rocksdb::Status Store();
  // The next line begins another object. REQUIRES: Store has returned OK since the last Add.
  void Finish();

  size_t size() const { return content_.size(); }
  uint64_t unstored_lines() const { return lines_ - stored_lines_; }
  uint64_t unstored_bytes() const { return content_.size() - stored_bytes_; }
  uint64_t objects() const { return object_.number; }

 private:
  const std::shared_ptr<SharedStorage> storage_;
  const std::string prefix_;
  const std::string instance_;

  TaskLogObject object_;  // of number 0 before the first
  std::string content_;
  uint64_t lines_ = 0;
  uint64_t stored_lines_ = 0;
  size_t stored_bytes_ = 0;
  // A put was tried under this name: what is there is ours, even if the answer was an error.
  bool claimed_ = false;
};

}  // namespace slipstream::observe
