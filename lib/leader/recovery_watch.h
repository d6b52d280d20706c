// Sees what RocksDB recovers from its WALs, record by record, and so knows which transactions are
// prepared when a database has been opened.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lib/core/messages.h"
#include "lib/core/prepared_transactions.h"
#include "rocksdb/wal_filter.h"

namespace slipstream {

// What a WAL holds is not what is recovered from it: RocksDB stops at damage, or skips it, by rules
// of its own. It shows a WAL filter exactly the records that it applies.
//
// Threads: the filter's methods are called by the thread that opens the database; Result after it.
// Lifetime: as long as the database that was opened with it.
class RecoveryWatch : public rocksdb::WalFilter {
 public:
  // What is prepared and not committed.
  // Returns NotSupported or Corruption if a record holds what PreparedTransactions refuses.
  [[nodiscard]] rocksdb::Status Result(std::vector<RecoveredTransaction>* out) const;

  const char* Name() const override { return "SlipstreamRecoveryWatch"; }
  // Written to the OPTIONS file, from which others have to be able to load the filter: none.
  std::string GetId() const override { return "nullptr"; }
  void ColumnFamilyLogNumberMap(const std::map<uint32_t, uint64_t>& log_numbers,
                                const std::map<std::string, uint32_t>& ids) override;
  WalProcessingOption LogRecordFound(unsigned long long log_number, const std::string& file_name,
                                     const rocksdb::WriteBatch& batch,
                                     rocksdb::WriteBatch* new_batch, bool* changed) override;

 private:
  PreparedTransactions prepared_;
  rocksdb::Status status_;
};

}  // namespace slipstream
