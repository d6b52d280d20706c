#include "lib/leader/recovery_watch.h"

#include "rocksdb/write_batch.h"

namespace slipstream {

rocksdb::Status RecoveryWatch::Result(std::vector<RecoveredTransaction>* out) const {
  *out = prepared_.List();
  return status_;
}

std::string RecoveryWatch::GetId() const { return host_ != nullptr ? host_->GetId() : "nullptr"; }

void RecoveryWatch::ColumnFamilyLogNumberMap(const std::map<uint32_t, uint64_t>& log_numbers,
                                             const std::map<std::string, uint32_t>& ids) {
  // A recovery begins. There may have been one before, of an open that failed.
  prepared_ = PreparedTransactions();
  status_ = rocksdb::Status::OK();
  if (host_ != nullptr) host_->ColumnFamilyLogNumberMap(log_numbers, ids);
}

rocksdb::WalFilter::WalProcessingOption RecoveryWatch::LogRecordFound(
    unsigned long long log_number, const std::string& file_name, const rocksdb::WriteBatch& batch,
    rocksdb::WriteBatch* new_batch, bool* changed) {
  auto decision = WalProcessingOption::kContinueProcessing;
  if (host_ != nullptr) {
    decision = host_->LogRecordFound(log_number, file_name, batch, new_batch, changed);
  }
  if (decision == WalProcessingOption::kContinueProcessing && status_.ok()) {
    const rocksdb::WriteBatch& applied = *changed ? *new_batch : batch;
    std::string buffer;
    rocksdb::Slice ignored;
    status_ = prepared_.Apply(applied.Data(), log_number, PreparedTransactions::Unknown::kLeftOut,
                              &buffer, &ignored);
  }
  return decision;
}

}  // namespace slipstream
