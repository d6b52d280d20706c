#include "tests/e2e/mixed_load.h"

#include "rocksdb/wide_columns.h"
#include "rocksdb/write_batch.h"

namespace slipstream::testing {

using rocksdb::Status;
using rocksdb::WriteOptions;

MixedLoad::MixedLoad(rocksdb::DB* db, const std::vector<rocksdb::ColumnFamilyHandle*>& families,
                     size_t value_bytes, uint64_t seed)
    : db_(db), families_(families), value_bytes_(value_bytes), random_(seed) {}

std::string MixedLoad::Key() {
  constexpr uint64_t kKeys = 20000;
  const std::string digits = std::to_string(random_() % kKeys);
  return "key" + std::string(6 - digits.size(), '0') + digits;
}

std::string MixedLoad::Value() {
  std::string value = std::to_string(random_());
  value.resize(value_bytes_, '.');
  return value;
}

Status MixedLoad::WriteBatchOverAll() {
  const std::string value = Value();
  rocksdb::WriteBatch batch;
  Status s = batch.Put(families_[0], "pair", value);
  if (s.ok()) s = batch.Put(families_[1], Key(), Value());
  if (s.ok()) s = batch.Merge(families_[2], Key(), "1");
  if (s.ok()) s = batch.Delete(families_[0], Key());
  if (s.ok()) s = batch.Put(families_[1], "pair", value);
  return s.ok() ? db_->Write(WriteOptions(), &batch) : s;
}

Status MixedLoad::WriteOne() {
  const uint64_t kind = random_() % 1000;
  if (kind < 600) return db_->Put(WriteOptions(), families_[0], Key(), Value());
  if (kind < 700) return db_->Put(WriteOptions(), families_[1], Key(), Value());
  if (kind < 800) return db_->Delete(WriteOptions(), families_[random_() % 3], Key());
  if (kind < 900) return db_->Merge(WriteOptions(), families_[2], Key(), "1");
  if (kind < 980) return WriteBatchOverAll();
  if (kind < 996) {
    const std::string value = Value();
    return db_->PutEntity(WriteOptions(), families_[0], Key(),
                          rocksdb::WideColumns{{"", "entity"}, {"bytes", value}});
  }
  const std::string begin = Key();
  const std::string end = kind == 996 ? begin : begin + "9";
  return db_->DeleteRange(WriteOptions(), families_[0], begin, end);
}

Status MixedLoad::Write(uint64_t n) {
  Status s;
  for (; n > 0 && s.ok(); --n) s = WriteOne();
  return s;
}

}  // namespace slipstream::testing
