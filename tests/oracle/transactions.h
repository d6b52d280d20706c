// Transactions in two phases, in seeds whose leader is a TransactionDB: what is written now and
// then as a transaction, and what is prepared and held, over flushes, phases and restarts of the
// leader, until it is committed or rolled back.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rocksdb/utilities/transaction_db.h"
#include "tests/oracle/model.h"
#include "tests/oracle/random.h"
#include "tests/oracle/verdict.h"
#include "tests/oracle/workload.h"

namespace slipstream::oracle {

// What one writer does. It takes no locks of RocksDB: its keys are its own.
// Threads: the writer's.
class Transactions {
 public:
  Transactions(size_t writer, Model* model, Random* random, Verdict* verdict)
      : writer_(writer), model_(model), random_(random), verdict_(verdict) {}

  // Writes the batch, by a transaction if its entries are such as may be in one: committed in one
  // phase or in two, perhaps after one with the same content that was rolled back.
  // base: the column families that it has to be in for that.
  [[nodiscard]] rocksdb::Status Write(rocksdb::TransactionDB* db, const std::vector<Target>& base,
                                      const rocksdb::WriteOptions& options, Batch* batch);

  // Whether to prepare something now that is held.
  bool WantsToHold() { return held_.size() < kMaxHeld && random_->OneIn(15); }
  // Prepares the batch, which is in `base` alone, and holds it.
  [[nodiscard]] rocksdb::Status Hold(rocksdb::TransactionDB* db, const std::vector<Target>& base,
                                     const Batch& batch);
  // Ends some of those that are held. The model knows when this returns.
  [[nodiscard]] rocksdb::Status EndSome(rocksdb::TransactionDB* db);

 private:
  static constexpr size_t kMaxHeld = 8;

  // A transaction with the batch's entries.
  [[nodiscard]] rocksdb::Status Begin(rocksdb::TransactionDB* db, const std::vector<Target>& base,
                                      const rocksdb::WriteOptions& options, const Batch& batch,
                                      std::unique_ptr<rocksdb::Transaction>* out);
  [[nodiscard]] rocksdb::Status PrepareNamed(rocksdb::Transaction* transaction,
                                             const std::string& name);
  [[nodiscard]] rocksdb::Status End(rocksdb::TransactionDB* db, const std::string& name,
                                    const std::vector<Change>& changes);
  std::string AnyName();

  const size_t writer_;
  Model* const model_;
  Random* const random_;
  Verdict* const verdict_;
  // By name: what each will change.
  std::map<std::string, std::vector<Change>> held_;
};

}  // namespace slipstream::oracle
