#include "tests/e2e/transactional_leader.h"

#include <utility>

#include "catch2/catch.hpp"

namespace slipstream::testing {

using rocksdb::Transaction;
using rocksdb::WriteOptions;

TransactionalLeader::TransactionalLeader(const LocalCluster& cluster, int port,
                                         const rocksdb::DBOptions& options) {
  LeaderOptions leader_options = cluster.leader_options();
  leader_options.server_options.listen_address = "127.0.0.1:" + std::to_string(port);
  RequireOk(Leader::Create(leader_options, cluster.leader_path(), &leader_));
  rocksdb::DBOptions db_options = options;
  db_options.avoid_flush_during_shutdown = true;
  RequireOk(leader_->Prepare(&db_options, TestColumnFamilies()));
  RequireOk(rocksdb::TransactionDB::Open(db_options, rocksdb::TransactionDBOptions(),
                                         cluster.leader_path(), TestColumnFamilies(), &families_,
                                         &db_));
  RequireOk(leader_->Serve(db_, families_));
}

void TransactionalLeader::Close() {
  for (rocksdb::ColumnFamilyHandle* family : families_) delete family;
  families_.clear();
  if (leader_ != nullptr) RequireOk(leader_->Close());
  delete std::exchange(db_, nullptr);
  leader_.reset();
}

std::unique_ptr<Transaction> TransactionalLeader::Begin(const std::string& name,
                                                        const std::string& key,
                                                        const std::string& value) {
  std::unique_ptr<Transaction> transaction(db_->BeginTransaction(WriteOptions()));
  RequireOk(transaction->SetName(name));
  RequireOk(transaction->Put(family(0), key, value));
  RequireOk(transaction->Put(family(1), key, value));
  RequireOk(transaction->Merge(family(2), key, "1"));
  return transaction;
}

std::unique_ptr<Transaction> TransactionalLeader::Prepare(const std::string& name,
                                                          const std::string& key,
                                                          const std::string& value) {
  std::unique_ptr<Transaction> transaction = Begin(name, key, value);
  RequireOk(transaction->Prepare());
  return transaction;
}

std::unique_ptr<Transaction> TransactionalLeader::Recovered(const std::string& name) {
  std::unique_ptr<Transaction> transaction(db_->GetTransactionByName(name));
  INFO("transaction " << name);
  REQUIRE(transaction != nullptr);
  return transaction;
}

void TransactionalLeader::Put(const std::string& key, const std::string& value) {
  RequireOk(db_->Put(WriteOptions(), family(0), key, value));
}

void TransactionalLeader::Flush(int i) {
  RequireOk(db_->Flush(rocksdb::FlushOptions(), family(i)));
}

void TransactionalLeader::FlushAll() { RequireOk(db_->Flush(rocksdb::FlushOptions(), families_)); }

ContentDigest TransactionalLeader::Digest() {
  ContentDigest digest;
  RequireOk(DigestOf(db_, families_, nullptr, &digest));
  return digest;
}

void TransactionalLeader::RequireEqual(const LocalFollower& follower) {
  const rocksdb::Status s = follower.follower->WaitFor(leader_->position(), kPatienceUs);
  INFO("the follower says " << follower.follower->stats().status.ToString());
  RequireOk(s);
  REQUIRE(follower.Digest() == Digest());
  REQUIRE(follower.db()->GetLatestSequenceNumber() == db_->GetLatestSequenceNumber());
}

}  // namespace slipstream::testing
