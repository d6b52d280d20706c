#include "tests/faults/fault_storage.h"

#include <algorithm>
#include <utility>

namespace slipstream::testing {

using rocksdb::Slice;
using rocksdb::Status;

namespace {

bool Changes(StorageCall call) {
  return call != StorageCall::kNewReader && call != StorageCall::kRead &&
         call != StorageCall::kSize && call != StorageCall::kList;
}

}  // namespace

std::string ToString(StorageCall call) {
  switch (call) {
    case StorageCall::kNewWriter:
      return "NewWriter";
    case StorageCall::kAppend:
      return "ObjectWriter::Append";
    case StorageCall::kSync:
      return "ObjectWriter::Sync";
    case StorageCall::kCommit:
      return "ObjectWriter::Commit";
    case StorageCall::kPutIfAbsent:
      return "PutIfAbsent";
    case StorageCall::kPut:
      return "Put";
    case StorageCall::kNewReader:
      return "NewReader";
    case StorageCall::kRead:
      return "ObjectReader::Read";
    case StorageCall::kSize:
      return "Size";
    case StorageCall::kList:
      return "List";
    case StorageCall::kDelete:
      return "Delete";
  }
  return "";
}

class FaultStorage::Reader : public ObjectReader {
 public:
  Reader(std::unique_ptr<ObjectReader> reader, FaultStorage* storage)
      : reader_(std::move(reader)), storage_(storage) {}

  Status Read(uint64_t offset, size_t n, Slice* result, char* scratch) const override {
    const std::optional<StorageFault> fault = storage_->Strike(StorageCall::kRead);
    if (fault && fault->harm == StorageHarm::kError) return fault->status;
    Status s = reader_->Read(offset, n, result, scratch);
    if (!s.ok() || !fault || result->empty()) return s;
    switch (fault->harm) {
      case StorageHarm::kShortRead:
        *result = Slice(result->data(), result->size() / 2);
        return s;
      case StorageHarm::kFlippedBit:
        if (result->data() != scratch) std::copy_n(result->data(), result->size(), scratch);
        scratch[result->size() / 2] ^= 1;
        *result = Slice(scratch, result->size());
        return s;
      default:
        return fault->status;
    }
  }
  uint64_t size() const override { return reader_->size(); }

 private:
  const std::unique_ptr<ObjectReader> reader_;
  FaultStorage* const storage_;
};

class FaultStorage::Writer : public ObjectWriter {
 public:
  Writer(std::unique_ptr<ObjectWriter> writer, FaultStorage* storage)
      : writer_(std::move(writer)), storage_(storage) {}

  Status Append(const Slice& data) override {
    return storage_->Run(StorageCall::kAppend, [&] { return writer_->Append(data); });
  }
  Status Sync() override {
    return storage_->Run(StorageCall::kSync, [&] { return writer_->Sync(); });
  }
  Status Commit() override {
    return storage_->Run(StorageCall::kCommit, [&] { return writer_->Commit(); });
  }

 private:
  const std::unique_ptr<ObjectWriter> writer_;
  FaultStorage* const storage_;
};

void FaultStorage::Arm(StorageFault fault) {
  std::lock_guard<std::mutex> lock(mutex_);
  fault_ = std::move(fault);
  calls_ = 0;
}

void FaultStorage::Stop() {
  std::lock_guard<std::mutex> lock(mutex_);
  stopped_ = true;
}

void FaultStorage::Heal() {
  std::lock_guard<std::mutex> lock(mutex_);
  stopped_ = false;
  fault_.reset();
}

void FaultStorage::HealLasting() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (fault_ && fault_->lasting) fault_.reset();
}

uint64_t FaultStorage::calls() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return calls_;
}

uint64_t FaultStorage::failures() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return failures_;
}

std::optional<StorageFault> FaultStorage::Strike(StorageCall call) {
  std::optional<StorageFault> fault;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_ && Changes(call)) return StorageFault();
    if (!fault_ || fault_->call != call) return fault;
    ++calls_;
    const bool strikes = fault_->lasting ? calls_ >= fault_->nth : calls_ == fault_->nth;
    if (!strikes) return fault;
    ++failures_;
    fault = fault_;
  }
  if (fault->before) fault->before();
  return fault;
}

Status FaultStorage::Run(StorageCall call, const std::function<Status()>& action) {
  const std::optional<StorageFault> fault = Strike(call);
  if (!fault) return action();
  if (fault->harm == StorageHarm::kLostAnswer) action().PermitUncheckedError();
  return fault->status;
}

Status FaultStorage::NewReader(const std::string& name, std::unique_ptr<ObjectReader>* out) {
  return Run(StorageCall::kNewReader, [&] {
    std::unique_ptr<ObjectReader> reader;
    Status s = target_->NewReader(name, &reader);
    if (s.ok()) *out = std::make_unique<Reader>(std::move(reader), this);
    return s;
  });
}

Status FaultStorage::NewWriter(const std::string& name, std::unique_ptr<ObjectWriter>* out) {
  return Run(StorageCall::kNewWriter, [&] {
    std::unique_ptr<ObjectWriter> writer;
    Status s = target_->NewWriter(name, &writer);
    if (s.ok()) *out = std::make_unique<Writer>(std::move(writer), this);
    return s;
  });
}

Status FaultStorage::PutIfAbsent(const std::string& name, const Slice& data) {
  return Run(StorageCall::kPutIfAbsent, [&] { return target_->PutIfAbsent(name, data); });
}

Status FaultStorage::Put(const std::string& name, const Slice& data) {
  return Run(StorageCall::kPut, [&] { return target_->Put(name, data); });
}

Status FaultStorage::Size(const std::string& name, uint64_t* size) {
  return Run(StorageCall::kSize, [&] { return target_->Size(name, size); });
}

Status FaultStorage::List(const std::string& prefix, std::vector<std::string>* names) {
  return Run(StorageCall::kList, [&] { return target_->List(prefix, names); });
}

Status FaultStorage::Delete(const std::string& name) {
  return Run(StorageCall::kDelete, [&] { return target_->Delete(name); });
}

}  // namespace slipstream::testing
