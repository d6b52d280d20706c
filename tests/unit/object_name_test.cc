#include "lib/core/object_name.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/core/quoted_text.h"

namespace slipstream {
namespace {

TEST_CASE("object_name: names are built as documented", "[unit]") {
  REQUIRE(ObjectNameOf("db", {FrameFile::kTable, 123, 7, 0}) == "db/sst/000123-00000007.sst");
  REQUIRE(ObjectNameOf("db", {FrameFile::kBlob, 123, 7, 99}) == "db/sst/000123-00000007.blob");
  REQUIRE(EpochName("db", 7) == "db/epoch/00000007");
  REQUIRE(ObjectPrefix("db") == "db/sst/");
  REQUIRE(EpochPrefix("db") == "db/epoch/");
}

TEST_CASE("object_name: built names come back", "[unit]") {
  const std::vector<uint64_t> numbers = {0,       1,        999999,    1000000,
                                         1234567, 99999999, 100000000, UINT64_MAX};
  for (const uint64_t number : numbers) {
    for (const uint64_t epoch : numbers) {
      for (const FrameFile file : {FrameFile::kTable, FrameFile::kBlob}) {
        ObjectInfo got{FrameFile::kUnspecified, 0, 0, 42};
        REQUIRE(ParseObjectName("a.b", ObjectNameOf("a.b", {file, number, epoch, 1}), &got));
        REQUIRE((got.file == file && got.number == number && got.epoch == epoch));
        REQUIRE(got.size == 42);
      }
    }
    uint64_t epoch = 0;
    REQUIRE(ParseEpochName("a.b", EpochName("a.b", number), &epoch));
    REQUIRE(epoch == number);
  }
}

TEST_CASE("object_name: names of epochs sort as the epochs do", "[unit]") {
  std::vector<std::string> names;
  for (const uint64_t epoch : {1, 2, 9, 10, 99, 100, 12345, 99999999}) {
    names.push_back(EpochName("db", epoch));
  }
  REQUIRE(std::is_sorted(names.begin(), names.end()));
}

TEST_CASE("object_name: every other object name is refused and changes nothing", "[unit]") {
  for (const std::string name : {"",
                                 "db",
                                 "db/sst/",
                                 "db/sst/000123-00000007",
                                 "db/sst/000123-00000007.ldb",
                                 "db/sst/000123-00000007.sst.tmp",
                                 "db/sst/000123.sst",
                                 "db/sst/123-00000007.sst",
                                 "db/sst/0000123-00000007.sst",
                                 "db/sst/000123-7.sst",
                                 "db/sst/000123-000000007.sst",
                                 "db/sst/000123-00000007-1.sst",
                                 "db/sst/+00123-00000007.sst",
                                 "db/sst/-00000007.sst",
                                 "db/sst/000123-.sst",
                                 "db/sst/x/000123-00000007.sst",
                                 "db/epoch/00000007",
                                 "other/sst/000123-00000007.sst",
                                 "db2/sst/000123-00000007.sst",
                                 "/db/sst/000123-00000007.sst",
                                 "db/sst/18446744073709551616-00000007.sst",
                                 "db/sst/000123-99999999999999999999.sst",
                                 "db/sst/000123_00000007.sst"}) {
    INFO("name: " << name);
    ObjectInfo got{FrameFile::kWal, 5, 6, 7};
    REQUIRE_FALSE(ParseObjectName("db", name, &got));
    REQUIRE((got.file == FrameFile::kWal && got.number == 5 && got.epoch == 6 && got.size == 7));
  }
}

TEST_CASE("object_name: every other epoch name is refused and changes nothing", "[unit]") {
  for (const std::string name :
       {"", "db/epoch/", "db/epoch/7", "db/epoch/000000007", "db/epoch/0000000a",
        "db/epoch/00000007/", "db/epoch/00000007.tmp", "db/epoch/99999999999999999999",
        "db/sst/00000007", "d/epoch/00000007", "other/epoch/00000007", "00000007"}) {
    INFO("name: " << name);
    uint64_t epoch = 5;
    REQUIRE_FALSE(ParseEpochName("db", name, &epoch));
    REQUIRE(epoch == 5);
  }
}

TEST_CASE("object_name: openings and lists of deletions are parsed as they are built", "[unit]") {
  uint64_t epoch = 0;
  REQUIRE(OpeningName("db", 7) == "db/epoch/00000007.open");
  REQUIRE(ParseOpeningName("db", OpeningName("db", 7), &epoch));
  REQUIRE(epoch == 7);
  REQUIRE_FALSE(ParseOpeningName("db", EpochName("db", 8), &epoch));
  REQUIRE_FALSE(ParseEpochName("db", OpeningName("db", 8), &epoch));
  REQUIRE_FALSE(ParseOpeningName("other", OpeningName("db", 8), &epoch));
  REQUIRE(OpeningName("db", 7).starts_with(EpochPrefix("db")));
  REQUIRE(epoch == 7);
  REQUIRE(ReclaimName("db", 123456789) == "db/reclaim/123456789");
  REQUIRE(ParseReclaimName("db", ReclaimName("db", 123456789), &epoch));
  REQUIRE(epoch == 123456789);
  REQUIRE_FALSE(ParseReclaimName("db", "db/reclaim/9", &epoch));
  REQUIRE_FALSE(ParseReclaimName("db", EpochName("db", 8), &epoch));
  REQUIRE(epoch == 123456789);
}

TEST_CASE("object_name: database names of the allowed characters are accepted", "[unit]") {
  for (const std::string& name : {std::string("a"), std::string("orders"), std::string("A-z_0.9"),
                                  std::string("-"), std::string("a.."), std::string(100, 'x')}) {
    INFO("name: " << name);
    REQUIRE(ValidateDatabaseName(name).ok());
  }
}

TEST_CASE("object_name: other database names are refused with the name", "[unit]") {
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string(".hidden"),
        std::string("a/b"), std::string("a b"), std::string("a\n"), std::string("é"),
        std::string("a\0b", 3), std::string("a:b"), std::string("../a")}) {
    INFO("name: " << name);
    const rocksdb::Status s = ValidateDatabaseName(name);
    REQUIRE(s.IsInvalidArgument());
    REQUIRE(s.ToString().find(Quoted(name)) != std::string::npos);
  }
  REQUIRE(ValidateDatabaseName(std::string(101, 'x')).IsInvalidArgument());
  REQUIRE(ValidateDatabaseName(std::string(1 << 20, 'x')).ToString().size() < 600);
}

}  // namespace
}  // namespace slipstream
