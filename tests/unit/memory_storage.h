// A SharedStorage in memory, for tests that are about something else.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "slipstream/shared_storage.h"

namespace slipstream::testing {

class MemoryStorage : public SharedStorage {
 public:
  rocksdb::Status NewReader(const std::string& name, std::unique_ptr<ObjectReader>* out) override {
    std::lock_guard<std::mutex> lock(mutex_);
    auto it = objects_.find(name);
    if (it == objects_.end()) return rocksdb::Status::NotFound(name);
    *out = std::make_unique<Reader>(it->second);
    ++opens_;
    return rocksdb::Status::OK();
  }

  rocksdb::Status NewWriter(const std::string& name, std::unique_ptr<ObjectWriter>* out) override {
    *out = std::make_unique<Writer>(this, name);
    return rocksdb::Status::OK();
  }

  rocksdb::Status PutIfAbsent(const std::string& name, const rocksdb::Slice& data) override {
    std::lock_guard<std::mutex> lock(mutex_);
    const bool added =
        objects_.emplace(name, std::make_shared<const std::string>(data.ToString())).second;
    return added ? rocksdb::Status::OK() : rocksdb::Status::Busy(name);
  }

  rocksdb::Status Put(const std::string& name, const rocksdb::Slice& data) override {
    std::lock_guard<std::mutex> lock(mutex_);
    objects_[name] = std::make_shared<const std::string>(data.ToString());
    return rocksdb::Status::OK();
  }

  rocksdb::Status Size(const std::string& name, uint64_t* size) override {
    std::lock_guard<std::mutex> lock(mutex_);
    auto it = objects_.find(name);
    if (it == objects_.end()) return rocksdb::Status::NotFound(name);
    *size = it->second->size();
    return rocksdb::Status::OK();
  }

  rocksdb::Status List(const std::string& prefix, std::vector<std::string>* names) override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++lists_;
    names->clear();
    for (const auto& [name, bytes] : objects_) {
      if (name.starts_with(prefix)) names->push_back(name);
    }
    return rocksdb::Status::OK();
  }

  rocksdb::Status Delete(const std::string& name) override {
    std::lock_guard<std::mutex> lock(mutex_);
    objects_.erase(name);
    return rocksdb::Status::OK();
  }

  std::string Describe() const override { return "memory"; }

  // ---- For tests.

  std::vector<std::string> Names() const {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [name, bytes] : objects_) names.push_back(name);
    return names;
  }
  bool Has(const std::string& name) const {
    std::lock_guard<std::mutex> lock(mutex_);
    return objects_.count(name) > 0;
  }
  std::string Get(const std::string& name) const {
    std::lock_guard<std::mutex> lock(mutex_);
    auto it = objects_.find(name);
    return it == objects_.end() ? std::string() : *it->second;
  }
  // Calls of NewReader that found an object, and of List.
  int opens() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return opens_;
  }
  int lists() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return lists_;
  }

 private:
  class Reader : public ObjectReader {
   public:
    explicit Reader(std::shared_ptr<const std::string> bytes) : bytes_(std::move(bytes)) {}
    rocksdb::Status Read(uint64_t offset, size_t n, rocksdb::Slice* result,
                         char* scratch) const override {
      n = offset < bytes_->size() ? std::min<size_t>(n, bytes_->size() - offset) : 0;
      if (n > 0) std::memcpy(scratch, bytes_->data() + offset, n);
      *result = rocksdb::Slice(scratch, n);
      return rocksdb::Status::OK();
    }
    uint64_t size() const override { return bytes_->size(); }

   private:
    const std::shared_ptr<const std::string> bytes_;
  };

  class Writer : public ObjectWriter {
   public:
    Writer(MemoryStorage* storage, std::string name) : storage_(storage), name_(std::move(name)) {}
    rocksdb::Status Append(const rocksdb::Slice& data) override {
      bytes_.append(data.data(), data.size());
      return rocksdb::Status::OK();
    }
    rocksdb::Status Sync() override { return rocksdb::Status::OK(); }
    rocksdb::Status Commit() override { return storage_->PutIfAbsent(name_, bytes_); }

   private:
    MemoryStorage* const storage_;
    const std::string name_;
    std::string bytes_;
  };

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const std::string>> objects_;
  int opens_ = 0;
  int lists_ = 0;
};

}  // namespace slipstream::testing
