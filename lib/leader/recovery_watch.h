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
  // host: the filter that the host's options name; may be null.
  explicit RecoveryWatch(rocksdb::WalFilter* host) : host_(host) {}

  // What is prepared and not committed.
  // Returns NotSupported or Corruption if a record holds what PreparedTransactions refuses.
  [[nodiscard]] rocksdb::Status Result(std::vector<RecoveredTransaction>* out) const;

  const char* Name() const override { return "SlipstreamRecoveryWatch"; }
  // Written to the OPTIONS file, from which others have to be able to load the host's filter.
  std::string GetId() const override;
  void ColumnFamilyLogNumberMap(const std::map<uint32_t, uint64_t>& log_numbers,
                                const std::map<std::string, uint32_t>& ids) override;
  WalProcessingOption LogRecordFound(unsigned long long log_number, const std::string& file_name,
                                     const rocksdb::WriteBatch& batch,
                                     rocksdb::WriteBatch* new_batch, bool* changed) override;

 private:
  rocksdb::WalFilter* const host_;
  PreparedTransactions prepared_;
  rocksdb::Status status_;
};

}  // namespace slipstream
