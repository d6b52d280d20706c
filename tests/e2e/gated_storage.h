// A storage that lets nobody open an object while its gate is closed, and counts who passes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "slipstream/shared_storage.h"

namespace slipstream::testing {

class GatedStorage : public SharedStorage {
 public:
  explicit GatedStorage(std::shared_ptr<SharedStorage> base) : base_(std::move(base)) {}

  void SetOpen(bool open) {
    std::lock_guard<std::mutex> lock(mutex_);
    open_ = open;
    changed_.notify_all();
  }
  // How many are waiting at the gate.
  int waiting() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return waiting_;
  }
  // How many objects have been opened so far.
  uint64_t opened() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return opened_;
  }
  // How many listings were asked for so far.
  uint64_t listed() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return listed_;
  }

  rocksdb::Status NewReader(const std::string& name, std::unique_ptr<ObjectReader>* out) override {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      ++waiting_;
      changed_.wait(lock, [this] { return open_; });
      --waiting_;
      ++opened_;
    }
    return base_->NewReader(name, out);
  }
  rocksdb::Status NewWriter(const std::string& name, std::unique_ptr<ObjectWriter>* out) override {
    return base_->NewWriter(name, out);
  }
  rocksdb::Status PutIfAbsent(const std::string& name, const rocksdb::Slice& data) override {
    return base_->PutIfAbsent(name, data);
  }
  rocksdb::Status Put(const std::string& name, const rocksdb::Slice& data) override {
    return base_->Put(name, data);
  }
  rocksdb::Status Size(const std::string& name, uint64_t* size) override {
    return base_->Size(name, size);
  }
  rocksdb::Status List(const std::string& prefix, std::vector<std::string>* names) override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      ++listed_;
    }
    return base_->List(prefix, names);
  }
  rocksdb::Status Delete(const std::string& name) override { return base_->Delete(name); }
  std::string Describe() const override { return base_->Describe(); }

 private:
  const std::shared_ptr<SharedStorage> base_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
  int waiting_ = 0;
  uint64_t opened_ = 0;
  uint64_t listed_ = 0;
};

}  // namespace slipstream::testing
