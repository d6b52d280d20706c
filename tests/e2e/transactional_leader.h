// A leader whose database is a TransactionDB that the host opened itself, with the column families
// of TestColumnFamilies.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rocksdb/utilities/transaction.h"
#include "rocksdb/utilities/transaction_db.h"
#include "tests/e2e/local_cluster.h"

namespace slipstream::testing {

class TransactionalLeader {
 public:
  // port: 0 = any.
  explicit TransactionalLeader(const LocalCluster& cluster, int port = 0,
                               const rocksdb::DBOptions& options = LocalCluster::db_options());
  ~TransactionalLeader() { Close(); }

  // A clean end, which flushes nothing: what is prepared stays so.
  void Close();

  // A transaction that puts `value` under `key` in all column families but "sums", where it adds 1.
  std::unique_ptr<rocksdb::Transaction> Begin(const std::string& name, const std::string& key,
                                              const std::string& value);
  // The same, prepared.
  std::unique_ptr<rocksdb::Transaction> Prepare(const std::string& name, const std::string& key,
                                                const std::string& value);
  // One that was recovered as prepared.
  std::unique_ptr<rocksdb::Transaction> Recovered(const std::string& name);

  void Put(const std::string& key, const std::string& value);
  void Flush(int family);
  void FlushAll();
  ContentDigest Digest();
  // Waits until the follower has everything, and requires that it shows the same by the same
  // sequence number. REQUIRES: nobody writes.
  void RequireEqual(const LocalFollower& follower);

  rocksdb::TransactionDB* db() { return db_; }
  Leader* leader() { return leader_.get(); }
  rocksdb::ColumnFamilyHandle* family(int i) { return families_[static_cast<size_t>(i)]; }
  std::vector<rocksdb::ColumnFamilyHandle*>* families() { return &families_; }

 private:
  std::unique_ptr<Leader> leader_;  // outlives db_
  rocksdb::TransactionDB* db_ = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;
};

}  // namespace slipstream::testing
