// Writes of every kind, from a seed.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/status.h"

namespace slipstream::testing {

// Writes to the column families of TestColumnFamilies: puts, deletes, range deletes (empty ones
// too), merges, entities, and batches over all column families, after each of which the key "pair"
// has the same value in "default" and in "reverse".
// Threads: one at a time.
class MixedLoad {
 public:
  // families: in the order of TestColumnFamilies. All are borrowed.
  MixedLoad(rocksdb::DB* db, const std::vector<rocksdb::ColumnFamilyHandle*>& families,
            size_t value_bytes, uint64_t seed);

  [[nodiscard]] rocksdb::Status Write(uint64_t n);
  [[nodiscard]] rocksdb::Status WriteOne();

 private:
  std::string Key();
  std::string Value();
  [[nodiscard]] rocksdb::Status WriteBatchOverAll();

  rocksdb::DB* const db_;
  const std::vector<rocksdb::ColumnFamilyHandle*> families_;
  const size_t value_bytes_;
  std::mt19937_64 random_;
};

}  // namespace slipstream::testing
