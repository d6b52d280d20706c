// The writers: what they write, in batches that keep invariants which readers can check.
//
// Keys are <class><writer>/<number>; a key is only ever written by its writer, so that what it
// should hold does not depend on timing.
//
//   k  plain values and appended lists      e  entities and plain values
//   s  written once, then single-deleted    c  counters, only ever increased
//   p  pairs: p<w>/<i>a and p<w>/<i>b, in neighbouring column families, always hold the same
//   b  accounts, one family after the other; those of a writer always add up to kTotal
//   m  m<w>: the number of the writer's last operation; in the default column family, and where the
//      WAL is in memory in every one that the operation changed
//   i  written by ingestion alone
//   t, f, x  in the special column families timed, fifo and filtered
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/write_batch.h"
#include "tests/oracle/cluster.h"
#include "tests/oracle/journal.h"
#include "tests/oracle/model.h"
#include "tests/oracle/random.h"
#include "tests/oracle/seed_options.h"
#include "tests/oracle/verdict.h"

namespace slipstream::oracle {

enum class OperationKind : uint8_t {
  kPut,
  kDelete,
  kSingle,
  kCounter,
  kAppend,
  kDeleteRange,
  kEmptyRange,
  kEntity,
  kPair,
  kTransfer,
  kNothing,
  kSmallBatch,
  kLargeBatch,
  kTimed,  // this and what follows: in seeds that have the special column family
  kFifo,
  kFiltered,
  kCount_,
};

inline constexpr size_t kAccounts = 7;
inline constexpr int64_t kTotal = 7000;

std::string WriterPrefix(char key_class, size_t writer);
std::string NumberedKey(char key_class, size_t writer, uint64_t number);

// A column family that a writer may write to.
struct Target {
  std::string name;
  rocksdb::ColumnFamilyHandle* handle = nullptr;
};

// A write batch together with what it means.
class Batch {
 public:
  void Put(const Target& target, const std::string& key, const std::string& value);
  void PutEntity(const Target& target, const std::string& key,
                 const std::vector<std::pair<std::string, std::string>>& columns);
  void Delete(const Target& target, const std::string& key);
  void SingleDelete(const Target& target, const std::string& key);
  void DeleteRange(const Target& target, const std::string& begin, const std::string& end);
  void Merge(const Target& target, const std::string& key, const std::string& operand);
  // With a timestamp.
  void PutAt(const Target& target, const std::string& key, uint64_t number,
             const std::string& value);
  void DeleteAt(const Target& target, const std::string& key, uint64_t number);
  bool Has(const std::string& family, const std::string& key) const;
  void Blob(const std::string& data) { batch_.PutLogData(data); }

  rocksdb::WriteBatch* mutable_batch() { return &batch_; }
  const rocksdb::WriteBatch& get() const { return batch_; }
  const std::vector<Change>& changes() const { return changes_; }

 private:
  rocksdb::WriteBatch batch_;
  std::vector<Change> changes_;
};

class Transactions;

// Threads: one at a time.
class Writer {
 public:
  // journal: notes what each operation changed.
  Writer(size_t id, const SeedOptions& seed, Cluster* cluster, Model* model, Journal* journal,
         Verdict* verdict);
  ~Writer();

  // Writes the accounts for the first time. targets: as for Run.
  void OpenAccounts(const std::vector<Target>& targets);

  // The special column families, until the next call.
  void SetSpecials(std::vector<Target> specials) { specials_ = std::move(specials); }
  // Writes `operations` batches. The first SeedOptions::families of the targets are the base ones.
  void Run(uint64_t operations, const std::vector<Target>& targets);

  // The model has gone back to what the database has after it lost something.
  void Resume();

 private:
  void AddOne(OperationKind kind, const std::vector<Target>& targets, Batch* batch);
  void AddSpecial(OperationKind kind, Batch* batch);
  void AddSingle(const std::vector<Target>& targets, Batch* batch);
  void AddAppend(const Target& target, Batch* batch);
  void AddEntity(const Target& target, Batch* batch);
  void AddPair(const std::vector<Target>& targets, Batch* batch);
  void AddTransfer(const std::vector<Target>& targets, Batch* batch);
  std::string Value();
  rocksdb::Status Commit(const std::vector<Target>& targets, Batch* batch);
  // Says in the batch how many its writer has written: in the first family, and in each that it
  // changes if these may come back to different moments.
  void Mark(const std::vector<Target>& targets, Batch* batch) const;
  // Prepares what is committed later, or ends some of it.
  rocksdb::Status DealWithHeld(const std::vector<Target>& targets);
  std::vector<Target> Base(const std::vector<Target>& targets) const;
  rocksdb::Status CommitAlone(const std::vector<Target>& targets, const Change& change,
                              const rocksdb::WriteOptions& options);
  void ReadOwnWrite(const Change& change);

  const size_t id_;
  const SeedOptions& seed_;
  Cluster* const cluster_;
  Model* const model_;
  Journal* const journal_;
  Verdict* const verdict_;
  Random random_;
  std::unique_ptr<Transactions> transactions_;  // null in seeds without
  uint64_t written_ = 0;
  std::vector<Target> specials_;
  uint64_t next_single_ = 0;
  uint64_t next_fifo_ = 0;
  std::vector<std::pair<size_t, std::string>> singles_;  // base family, key
  std::vector<int64_t> accounts_;
};

}  // namespace slipstream::oracle
