#include "tests/oracle/merge_operator.h"

#include <cstring>

namespace slipstream::oracle {
namespace {

using rocksdb::Slice;

class OracleMergeOperator : public rocksdb::AssociativeMergeOperator {
 public:
  bool Merge(const Slice& key, const Slice* existing, const Slice& value, std::string* result,
             rocksdb::Logger*) const override {
    if (existing == nullptr) {
      result->assign(value.data(), value.size());
      return true;
    }
    if (!key.starts_with("c")) {
      result->assign(existing->data(), existing->size());
      result->push_back(',');
      result->append(value.data(), value.size());
      return true;
    }
    uint64_t a = 0, b = 0;
    if (!DecodeCount(*existing, &a) || !DecodeCount(value, &b)) return false;
    *result = EncodeCount(a + b);
    return true;
  }
  const char* Name() const override { return "SlipstreamOracleMergeOperator"; }
};

}  // namespace

std::shared_ptr<rocksdb::MergeOperator> NewOracleMergeOperator() {
  return std::make_shared<OracleMergeOperator>();
}

std::string EncodeCount(uint64_t count) {
  return std::string(reinterpret_cast<const char*>(&count), sizeof(count));
}

bool DecodeCount(const Slice& value, uint64_t* count) {
  if (value.size() != sizeof(*count)) return false;
  memcpy(count, value.data(), sizeof(*count));
  return true;
}

}  // namespace slipstream::oracle
