#include "tests/oracle/vanishing_storage.h"

#include <atomic>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace slipstream::oracle {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

using Gone = std::shared_ptr<std::atomic<bool>>;

class VanishingReader : public ObjectReader {
 public:
  VanishingReader(std::string name, std::unique_ptr<ObjectReader> reader, Gone gone)
      : name_(std::move(name)), reader_(std::move(reader)), gone_(std::move(gone)) {}

  Status Read(uint64_t offset, size_t n, Slice* result, char* scratch) const override {
    if (*gone_) return Status::NotFound(name_ + " was deleted while it was open");
    return reader_->Read(offset, n, result, scratch);
  }
  uint64_t size() const override { return reader_->size(); }

 private:
  const std::string name_;
  const std::unique_ptr<ObjectReader> reader_;
  const Gone gone_;
};

class VanishingStorage : public SharedStorage {
 public:
  explicit VanishingStorage(std::shared_ptr<SharedStorage> storage)
      : storage_(std::move(storage)) {}

  Status NewReader(const std::string& name, std::unique_ptr<ObjectReader>* out) override {
    Gone gone;
    {
      absl::MutexLock lock(&mutex_);
      Gone& known = open_[name];
      if (known == nullptr) known = std::make_shared<std::atomic<bool>>(false);
      gone = known;
    }
    std::unique_ptr<ObjectReader> reader;
    Status s = storage_->NewReader(name, &reader);
    if (s.ok()) *out = std::make_unique<VanishingReader>(name, std::move(reader), std::move(gone));
    return s;
  }
  Status Delete(const std::string& name) override {
    {
      absl::MutexLock lock(&mutex_);
      auto node = open_.extract(name);
      if (!node.empty()) *node.mapped() = true;
    }
    return storage_->Delete(name);
  }

  Status NewWriter(const std::string& name, std::unique_ptr<ObjectWriter>* out) override {
    return storage_->NewWriter(name, out);
  }
  Status PutIfAbsent(const std::string& name, const Slice& data) override {
    return storage_->PutIfAbsent(name, data);
  }
  Status Put(const std::string& name, const Slice& data) override {
    return storage_->Put(name, data);
  }
  Status Size(const std::string& name, uint64_t* size) override {
    return storage_->Size(name, size);
  }
  Status List(const std::string& prefix, std::vector<std::string>* names) override {
    return storage_->List(prefix, names);
  }
  std::string Describe() const override { return storage_->Describe(); }

 private:
  const std::shared_ptr<SharedStorage> storage_;
  absl::Mutex mutex_;
  std::map<std::string, Gone> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<SharedStorage> NewVanishingStorage(std::shared_ptr<SharedStorage> storage) {
  return std::make_shared<VanishingStorage>(std::move(storage));
}

}  // namespace slipstream::oracle
