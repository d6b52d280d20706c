#include "tests/oracle/transactions.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "rocksdb/utilities/transaction.h"

namespace slipstream::oracle {

using rocksdb::Slice;
using rocksdb::Status;
using rocksdb::Transaction;
using rocksdb::TransactionDB;
using rocksdb::WriteOptions;

namespace {

// Transactions know neither range deletes nor entities, and of column families those alone that
// the database was opened with.
bool FitsTransaction(const Batch& batch, const std::vector<Target>& base) {
  if (batch.get().HasDeleteRange() || batch.get().HasPutEntity()) return false;
  return std::all_of(batch.changes().begin(), batch.changes().end(), [&](const Change& change) {
    return std::any_of(base.begin(), base.end(),
                       [&](const Target& target) { return target.name == change.family; });
  });
}

// Repeats a batch in a transaction. RocksDB has a call for it, RebuildFromWriteBatch, which looks
// column families up without a lock and so must not be used beside writers.
class Repeater : public rocksdb::WriteBatch::Handler {
 public:
  Repeater(const std::vector<Target>& base, Transaction* transaction)
      : base_(base), transaction_(transaction) {}

  Status PutCF(uint32_t family, const Slice& key, const Slice& value) override {
    return transaction_->Put(Find(family), key, value);
  }
  Status DeleteCF(uint32_t family, const Slice& key) override {
    return transaction_->Delete(Find(family), key);
  }
  Status SingleDeleteCF(uint32_t family, const Slice& key) override {
    return transaction_->SingleDelete(Find(family), key);
  }
  Status MergeCF(uint32_t family, const Slice& key, const Slice& value) override {
    return transaction_->Merge(Find(family), key, value);
  }
  void LogData(const Slice& data) override { transaction_->PutLogData(data); }

 private:
  rocksdb::ColumnFamilyHandle* Find(uint32_t id) const {
    return std::find_if(base_.begin(), base_.end(),
                        [&](const Target& target) { return target.handle->GetID() == id; })
        ->handle;
  }

  const std::vector<Target>& base_;
  Transaction* const transaction_;
};

}  // namespace

// Few names, which are used again and again.
std::string Transactions::AnyName() {
  return "writer " + std::to_string(writer_) + " " + std::to_string(random_->Below(2 * kMaxHeld));
}

Status Transactions::Begin(TransactionDB* db, const std::vector<Target>& base,
                           const WriteOptions& options, const Batch& batch,
                           std::unique_ptr<Transaction>* out) {
  rocksdb::TransactionOptions transaction_options;
  transaction_options.skip_concurrency_control = true;
  out->reset(db->BeginTransaction(options, transaction_options));
  Repeater repeater(base, out->get());
  return batch.get().Iterate(&repeater);
}

Status Transactions::PrepareNamed(Transaction* transaction, const std::string& name) {
  Status s = transaction->SetName(name);
  return s.ok() ? transaction->Prepare() : s;
}

Status Transactions::Write(TransactionDB* db, const std::vector<Target>& base,
                           const WriteOptions& options, Batch* batch) {
  const uint64_t way = random_->Below(6);
  if (way < 2 || !FitsTransaction(*batch, base)) {
    return db->GetBaseDB()->Write(options, batch->mutable_batch());
  }
  std::string name = AnyName();
  while (held_.count(name) > 0) name = AnyName();
  std::unique_ptr<Transaction> transaction;
  Status s = Begin(db, base, options, *batch, &transaction);
  if (way == 2) return s.ok() ? transaction->Commit() : s;
  if (way == 3) {
    if (s.ok()) s = PrepareNamed(transaction.get(), name);
    if (s.ok()) s = transaction->Rollback();
    transaction.reset();
    if (s.ok()) s = Begin(db, base, options, *batch, &transaction);
    ++verdict_->totals->rolled_back;
  }
  if (s.ok()) s = PrepareNamed(transaction.get(), name);
  if (s.ok()) s = transaction->Commit();
  ++verdict_->totals->prepared;
  return s;
}

Status Transactions::Hold(TransactionDB* db, const std::vector<Target>& base, const Batch& batch) {
  std::string name = AnyName();
  while (held_.count(name) > 0) name = AnyName();
  std::unique_ptr<Transaction> transaction;
  Status s = Begin(db, base, WriteOptions(), batch, &transaction);
  if (s.ok()) s = PrepareNamed(transaction.get(), name);
  verdict_->Trace("writer " + std::to_string(writer_) + " prepares \"" + name +
                  "\": " + std::to_string(batch.changes().size()) + " changes -> " + s.ToString());
  if (!s.ok()) return s;
  held_[name] = batch.changes();
  ++verdict_->totals->prepared;
  // The database has it by its name, and deletes it at its own end.
  transaction.release();
  return s;
}

Status Transactions::EndSome(TransactionDB* db) {
  Status s;
  while (s.ok() && !held_.empty() && random_->OneIn(20)) {
    auto it = std::next(held_.begin(), static_cast<ptrdiff_t>(random_->Below(held_.size())));
    s = End(db, it->first, it->second);
    held_.erase(it);
  }
  return s;
}

Status Transactions::End(TransactionDB* db, const std::string& name,
                         const std::vector<Change>& changes) {
  const std::unique_ptr<Transaction> transaction(db->GetTransactionByName(name));
  if (transaction == nullptr) {
    return Status::NotFound("the leader has no prepared transaction \"" + name + "\"");
  }
  const bool commit = !random_->OneIn(4);
  const Status s = commit ? transaction->Commit() : transaction->Rollback();
  verdict_->Trace("writer " + std::to_string(writer_) + (commit ? " commits" : " rolls back") +
                  " \"" + name + "\" -> " + s.ToString());
  if (s.ok() && commit) model_->Apply(changes);
  if (!commit) ++verdict_->totals->rolled_back;
  return s;
}

}  // namespace slipstream::oracle
