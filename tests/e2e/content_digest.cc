#include "tests/e2e/content_digest.h"

#include <memory>

#include "rocksdb/snapshot.h"
#include "rocksdb/wide_columns.h"

namespace slipstream::testing {
namespace {

// FNV-1a over strings with their lengths.
class Hasher {
 public:
  void Add(const rocksdb::Slice& bytes) {
    AddNumber(bytes.size());
    for (size_t i = 0; i < bytes.size(); ++i) AddByte(static_cast<uint8_t>(bytes[i]));
  }
  uint64_t value() const { return value_; }

 private:
  void AddNumber(uint64_t n) {
    for (int i = 0; i < 8; ++i) AddByte(static_cast<uint8_t>(n >> (8 * i)));
  }
  void AddByte(uint8_t byte) {
    value_ ^= byte;
    value_ *= 1099511628211ull;
  }
  uint64_t value_ = 14695981039346656037ull;
};

}  // namespace

rocksdb::Status DigestOf(rocksdb::DB* db, const std::vector<rocksdb::ColumnFamilyHandle*>& families,
                         const rocksdb::Snapshot* snapshot, ContentDigest* out) {
  rocksdb::ManagedSnapshot own(db);
  rocksdb::ReadOptions options;
  options.snapshot = snapshot != nullptr ? snapshot : own.snapshot();
  options.verify_checksums = true;
  Hasher hasher;
  ContentDigest digest;
  digest.sequence = options.snapshot->GetSequenceNumber();
  for (rocksdb::ColumnFamilyHandle* family : families) {
    hasher.Add(family->GetName());
    const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(options, family));
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      ++digest.entries;
      hasher.Add(it->key());
      for (const rocksdb::WideColumn& column : it->columns()) {
        hasher.Add(column.name());
        hasher.Add(column.value());
      }
    }
    if (!it->status().ok()) return it->status();
  }
  digest.hash = hasher.value();
  *out = digest;
  return rocksdb::Status::OK();
}

}  // namespace slipstream::testing
