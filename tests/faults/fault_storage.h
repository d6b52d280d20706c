// A SharedStorage in which chosen calls fail, lose their answer, or return wrong bytes: the n-th of
// a kind once, or all from the n-th on until it is healed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "slipstream/shared_storage.h"

namespace slipstream::testing {

enum class StorageCall {
  kNewWriter,
  kAppend,
  kSync,
  kCommit,
  kPutIfAbsent,
  kPut,
  kNewReader,
  kRead,
  kSize,
  kList,
  kDelete,
};
std::string ToString(StorageCall call);

enum class StorageHarm {
  kError,       // nothing happens; the call returns the fault's status
  kLostAnswer,  // it happens, and the call returns the status all the same
  kShortRead,   // of kRead: half of the bytes
  kFlippedBit,  // of kRead: one bit in the middle is another
};

struct StorageFault {
  StorageCall call = StorageCall::kRead;
  uint64_t nth = 1;      // counted from the arming
  bool lasting = false;  // from then on until Heal
  StorageHarm harm = StorageHarm::kError;
  rocksdb::Status status = rocksdb::Status::IOError("storage fault, as the test wants it");
  // Called before the call is harmed, without a lock; may block.
  std::function<void()> before = nullptr;
};

// Threads: any. Lifetime: what it has opened must not outlive it.
class FaultStorage : public SharedStorage {
 public:
  explicit FaultStorage(std::shared_ptr<SharedStorage> target) : target_(std::move(target)) {}

  void Arm(StorageFault fault);
  // As if this process were gone: every call that changes something fails from here on, until Heal.
  void Stop();
  // Ends a lasting fault, one that has not struck, and Stop.
  void Heal();
  void HealLasting();
  // Calls of the armed kind since it was armed.
  uint64_t calls() const;
  // How often a call was harmed.
  uint64_t failures() const;

  rocksdb::Status NewReader(const std::string& name, std::unique_ptr<ObjectReader>* out) override;
  rocksdb::Status NewWriter(const std::string& name, std::unique_ptr<ObjectWriter>* out) override;
  rocksdb::Status PutIfAbsent(const std::string& name, const rocksdb::Slice& data) override;
  rocksdb::Status Put(const std::string& name, const rocksdb::Slice& data) override;
  rocksdb::Status Size(const std::string& name, uint64_t* size) override;
  rocksdb::Status List(const std::string& prefix, std::vector<std::string>* names) override;
  rocksdb::Status Delete(const std::string& name) override;
  std::string Describe() const override { return "faulty " + target_->Describe(); }

 private:
  class Reader;
  class Writer;

  // The fault, if this call is to be harmed.
  std::optional<StorageFault> Strike(StorageCall call);
  // Runs `action` harmed or not.
  rocksdb::Status Run(StorageCall call, const std::function<rocksdb::Status()>& action);

  const std::shared_ptr<SharedStorage> target_;
  mutable std::mutex mutex_;
  std::optional<StorageFault> fault_;
  bool stopped_ = false;
  uint64_t calls_ = 0;
  uint64_t failures_ = 0;
};

}  // namespace slipstream::testing
