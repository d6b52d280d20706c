#include "lib/core/file_name.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <string>

namespace slipstream {
namespace {

TEST_CASE("file_name: the names that RocksDB writes are recognised", "[unit]") {
  REQUIRE(ParseFileName("000123.log") == FileName{FileKind::kWal, 123});
  REQUIRE(ParseFileName("MANIFEST-000005") == FileName{FileKind::kManifest, 5});
  REQUIRE(ParseFileName("CURRENT") == FileName{FileKind::kCurrent, 0});
  REQUIRE(ParseFileName("000123.sst") == FileName{FileKind::kTable, 123});
  REQUIRE(ParseFileName("000123.ldb") == FileName{FileKind::kTable, 123});
  REQUIRE(ParseFileName("000123.blob") == FileName{FileKind::kBlob, 123});
  REQUIRE(ParseFileName("1234567.sst") == FileName{FileKind::kTable, 1234567});
}

TEST_CASE("file_name: only the part behind the last slash counts", "[unit]") {
  REQUIRE(ParseFileName("/data/db/000123.log") == FileName{FileKind::kWal, 123});
  REQUIRE(ParseFileName("000007.sst/MANIFEST-000005") == FileName{FileKind::kManifest, 5});
  REQUIRE(ParseFileName("./CURRENT") == FileName{FileKind::kCurrent, 0});
  REQUIRE(ParseFileName("000123.log/") == FileName{});
  REQUIRE(ParseFileName("CURRENT/LOG") == FileName{});
}

TEST_CASE("file_name: every other name is of no kind", "[unit]") {
  for (const char* name : {"",
                           "/",
                           "000005.dbtmp",
                           "000123.sst.trash",
                           "LOG",
                           "LOG.old.1700000000",
                           "OPTIONS-000007",
                           "OPTIONS-000007.dbtmp",
                           "IDENTITY",
                           "LOCK",
                           "CURRENT.dbtmp",
                           "current",
                           "MANIFEST-",
                           "MANIFEST",
                           "MANIFEST-5",
                           "MANIFEST-000005.dbtmp",
                           "MANIFEST-0x0005",
                           ".log",
                           ".sst",
                           "123.log",
                           "0000123.log",
                           "+00123.log",
                           "-00123.log",
                           " 00123.log",
                           "000123.log ",
                           "000123.LOG",
                           "000123log",
                           "00012a.sst",
                           "000123.sst1",
                           "0001 3.blob",
                           "18446744073709551616.log",
                           "99999999999999999999.sst",
                           "MANIFEST-18446744073709551616"}) {
    INFO("name: " << name);
    REQUIRE(ParseFileName(name) == FileName{});
  }
}

TEST_CASE("file_name: built names are padded as RocksDB's and come back", "[unit]") {
  REQUIRE(WalName(123) == "000123.log");
  REQUIRE(ManifestName(5) == "MANIFEST-000005");
  REQUIRE(TableName(0) == "000000.sst");
  REQUIRE(BlobName(1234567) == "1234567.blob");
  for (const uint64_t n : {uint64_t{0}, uint64_t{1}, uint64_t{999999}, uint64_t{1000000},
                           UINT64_MAX - 1, UINT64_MAX}) {
    REQUIRE(ParseFileName(WalName(n)) == FileName{FileKind::kWal, n});
    REQUIRE(ParseFileName(ManifestName(n)) == FileName{FileKind::kManifest, n});
    REQUIRE(ParseFileName(TableName(n)) == FileName{FileKind::kTable, n});
    REQUIRE(ParseFileName(BlobName(n)) == FileName{FileKind::kBlob, n});
  }
}

}  // namespace
}  // namespace slipstream
