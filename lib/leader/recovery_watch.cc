#include "lib/leader/recovery_watch.h"

#include "rocksdb/write_batch.h"

namespace slipstream {

rocksdb::Status RecoveryWatch::Result(std::vector<RecoveredTransaction>* out) const {
  *out = prepared_.List();
  return status_;
}

void RecoveryWatch::ColumnFamilyLogNumberMap(const std::map<uint32_t, uint64_t>&,
                                             const std::map<std::string, uint32_t>&) {
  // A recovery begins. There may have been one before, of an open that failed.
  prepared_ = PreparedTransactions();
  status_ = rocksdb::Status::OK();
}

rocksdb::WalFilter::WalProcessingOption RecoveryWatch::LogRecordFound(
    unsigned long long log_number, const std::string&, const rocksdb::WriteBatch& batch,
    rocksdb::WriteBatch*, bool*) {
  if (status_.ok()) {
    std::string buffer;
    rocksdb::Slice ignored;
    status_ = prepared_.Apply(batch.Data(), log_number, PreparedTransactions::Unknown::kLeftOut,
                              &buffer, &ignored);
  }
  return WalProcessingOption::kContinueProcessing;
}

}  // namespace slipstream
