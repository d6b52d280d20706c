#include "lib/core/column_family_info.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace slipstream {
namespace {

TEST_CASE("column_family_info: what is encoded is decoded", "[unit]") {
  const std::vector<ColumnFamilyInfo> infos = {
      {},
      {"default", "leveldb.BytewiseComparator", "", 0},
      {std::string("a\0b\xff", 4), "c", "adding", 8},
      {std::string(70000, 'n'), "c", std::string(300, 'm'), UINT32_MAX},
      {"unknown size", "c", "m", std::nullopt},
  };
  for (const ColumnFamilyInfo& info : infos) {
    ColumnFamilyInfo decoded = {"as before", "x", "y", 3};
    REQUIRE(DecodeColumnFamilyInfo(EncodeColumnFamilyInfo(info), &decoded).ok());
    REQUIRE(decoded == info);
  }
}

TEST_CASE("column_family_info: a part of one, and more than one, is refused", "[unit]") {
  const std::string bytes = EncodeColumnFamilyInfo({"name", "comparator", "operator", 300});
  ColumnFamilyInfo decoded;
  for (size_t size = 0; size < bytes.size(); ++size) {
    REQUIRE(DecodeColumnFamilyInfo(rocksdb::Slice(bytes.data(), size), &decoded).IsCorruption());
  }
  REQUIRE(DecodeColumnFamilyInfo(bytes + "x", &decoded).IsCorruption());
}

}  // namespace
}  // namespace slipstream
