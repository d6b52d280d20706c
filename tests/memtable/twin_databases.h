// Two databases in memory that get the same operations, one with RocksDB's skip list and one with
// the replay memtable. Everything that can be read from them must be the same.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/iterator.h"
#include "rocksdb/options.h"
#include "rocksdb/write_batch.h"
#include "tests/memtable/key_shapes.h"

namespace slipstream::testing {

// Prints and aborts on the first difference.
class TwinDatabases {
 public:
  // All choices, also of options, follow from the seed.
  explicit TwinDatabases(uint64_t seed);
  ~TwinDatabases();

  void Run(int operations);

 private:
  static constexpr int kSides = 2;
  enum class Order { kBytewise, kReverse, kCustom };

  struct View {
    const rocksdb::Snapshot* snapshot[kSides] = {};
  };
  // An iterator on each side, kept while writes go on.
  struct Walk {
    std::unique_ptr<rocksdb::Iterator> iterator[kSides];
    View view;
  };

  void Open();
  void Require(bool ok, const std::string& what) const;
  void RequireSame(const rocksdb::Status& a, const rocksdb::Status& b, const std::string& what);

  std::string Key();
  std::string Value();
  const rocksdb::Comparator* comparator() const;

  void Step();
  void Write();
  void AddOperation(rocksdb::WriteBatch* batch);
  void CompareGet();
  void CompareMultiGet();
  void StartWalk();
  void StepWalk(Walk* walk);
  void CompareAt(const Walk& walk, const std::string& what);
  void ChangeSnapshots();
  void Flush();
  void Reopen();
  // Every version of every key.
  void CompareAll();
  void CompareCounts();
  void Close();

  const uint64_t seed_;
  Random random_;
  std::string description_;
  std::vector<std::string> keys_;
  rocksdb::Options options_[kSides];
  std::unique_ptr<rocksdb::Env> env_[kSides];
  std::unique_ptr<rocksdb::DB> db_[kSides];
  std::vector<View> views_;
  std::vector<Walk> walks_;
};

}  // namespace slipstream::testing
