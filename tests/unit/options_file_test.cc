#include "lib/core/options_file.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "rocksdb/comparator.h"
#include "rocksdb/env.h"
#include "rocksdb/merge_operator.h"
#include "rocksdb/utilities/options_util.h"
#include "tests/unit/scratch_database.h"

namespace slipstream {
namespace {

using testing::RequireOk;
using testing::ScratchDirectory;

class ReverseUnderAName : public rocksdb::Comparator {
 public:
  explicit ReverseUnderAName(const char* name) : name_(name) {}
  const char* Name() const override { return name_; }
  int Compare(const rocksdb::Slice& a, const rocksdb::Slice& b) const override {
    return b.compare(a);
  }
  void FindShortestSeparator(std::string*, const rocksdb::Slice&) const override {}
  void FindShortSuccessor(std::string*) const override {}

 private:
  const char* const name_;
};

class Operator : public rocksdb::MergeOperator {
 public:
  bool FullMergeV2(const MergeOperationInput&, MergeOperationOutput*) const override {
    return false;
  }
  const char* Name() const override { return "an operator: of its own"; }
};

std::string NewestOptionsFile(const std::string& directory) {
  std::string name, content;
  RequireOk(rocksdb::GetLatestOptionsFileName(directory, rocksdb::Env::Default(), &name));
  REQUIRE(IsOptionsFileName(directory + "/" + name));
  RequireOk(rocksdb::ReadFileToString(rocksdb::Env::Default(), directory + "/" + name, &content));
  return content;
}

// Pins the form in which RocksDB writes the file. (It writes none with a # in a name of an object:
// what it would read back is another.)
TEST_CASE("options_file: every column family is read with the names that RocksDB wrote", "[unit]") {
  const ReverseUnderAName comparator("slipstream.testing: reverse");
  ScratchDirectory directory;
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* opened = nullptr;
  RequireOk(rocksdb::DB::Open(options, directory / "db", &opened));
  const std::unique_ptr<rocksdb::DB> db(opened);
  rocksdb::ColumnFamilyOptions special;
  special.comparator = &comparator;
  special.merge_operator = std::make_shared<Operator>();
  const std::string strange = "a name: with # signs \\ and a \n line";
  rocksdb::ColumnFamilyHandle* handle = nullptr;
  RequireOk(db->CreateColumnFamily(special, strange, &handle));
  std::vector<ColumnFamilyInfo> families = ParseOptionsFile(NewestOptionsFile(directory / "db"));
  REQUIRE(families.size() == 2);
  REQUIRE(families[0] ==
          ColumnFamilyInfo{"default", rocksdb::BytewiseComparator()->Name(), "", {}});
  REQUIRE(families[1] == ColumnFamilyInfo{strange, comparator.Name(), Operator().Name(), {}});

  RequireOk(db->DropColumnFamily(handle));
  RequireOk(db->DestroyColumnFamilyHandle(handle));
  families = ParseOptionsFile(NewestOptionsFile(directory / "db"));
  REQUIRE(families.size() == 1);
}

TEST_CASE("options_file: operators of RocksDB are read by their ids", "[unit]") {
  ScratchDirectory directory;
  for (const char* name : {"PutOperator", "UInt64AddOperator", "StringAppendOperator", "max"}) {
    rocksdb::Options options;
    options.create_if_missing = true;
    RequireOk(rocksdb::MergeOperator::CreateFromString(rocksdb::ConfigOptions(), name,
                                                       &options.merge_operator));
    rocksdb::DB* opened = nullptr;
    RequireOk(rocksdb::DB::Open(options, directory / name, &opened));
    const std::unique_ptr<rocksdb::DB> db(opened);
    const auto families = ParseOptionsFile(NewestOptionsFile(directory / name));
    REQUIRE(families.size() == 1);
    INFO(families[0].merge_operator);
    REQUIRE((families[0].merge_operator == options.merge_operator->GetId() ||
             families[0].merge_operator == options.merge_operator->Name()));
  }
}

TEST_CASE("options_file: what is not understood is left out", "[unit]") {
  REQUIRE(ParseOptionsFile("").empty());
  REQUIRE(ParseOptionsFile("no line at all").empty());
  REQUIRE(ParseOptionsFile("comparator=c\nmerge_operator=m\n").empty());
  REQUIRE(ParseOptionsFile("[CFOptions \"cut").empty());
  REQUIRE(ParseOptionsFile("[CFOptions \"x\"]\n  merge_operator=m\n").empty());
  REQUIRE(ParseOptionsFile("[CFOptions \"x\"]\n[TableOptions/BlockBasedTable \"x\"]\n"
                           "  comparator=c\n")
              .empty());
  REQUIRE(ParseOptionsFile("[CFOptions \"\"]\r\n\tcomparator=c\r\n  merge_operator={id=m;x=1;}") ==
          std::vector<ColumnFamilyInfo>{{"", "c", "m", {}}});
}

TEST_CASE("options_file: only names of OPTIONS files are taken for one", "[unit]") {
  REQUIRE(IsOptionsFileName("/db/OPTIONS-000007"));
  REQUIRE(IsOptionsFileName("OPTIONS-123456789"));
  for (const char* name : {"OPTIONS-", "OPTIONS-000007.dbtmp", "OPTIONS", "/OPTIONS-1/CURRENT"}) {
    REQUIRE_FALSE(IsOptionsFileName(name));
  }
}

}  // namespace
}  // namespace slipstream
