#include "lib/follower/option_match.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "rocksdb/comparator.h"
#include "tests/unit/follower_facade.h"

namespace slipstream {
namespace {

using rocksdb::Status;

// As the ordinary one, but with timestamps.
class Timed : public rocksdb::Comparator {
 public:
  Timed() : Comparator(8) {}
  const char* Name() const override { return rocksdb::BytewiseComparator()->Name(); }
  int Compare(const rocksdb::Slice& a, const rocksdb::Slice& b) const override {
    return a.compare(b);
  }
  void FindShortestSeparator(std::string*, const rocksdb::Slice&) const override {}
  void FindShortSuccessor(std::string*) const override {}
};

const char* const kBytewise = "leveldb.BytewiseComparator";

void RequireNamed(const Status& s, const std::vector<std::string>& words) {
  INFO(s.ToString());
  REQUIRE(s.IsInvalidArgument());
  for (const std::string& word : words) REQUIRE(s.ToString().find(word) != std::string::npos);
}

TEST_CASE("option_match: what fits is taken", "[unit]") {
  HostColumnFamilies ours;
  ours.named = {{"default", {}}, {"appending", {}}};
  ours.named[1].options.merge_operator = std::make_shared<testing::Append>();
  REQUIRE(CheckColumnFamily(ours, {"default", kBytewise, "", 0}).ok());
  REQUIRE(CheckColumnFamily(ours, {"default", kBytewise, "", {}}).ok());
  REQUIRE(CheckColumnFamily(ours, {"appending", kBytewise, "Append", 0}).ok());
  // Of one that nobody named, the merge operator may be missing on either side.
  REQUIRE(CheckColumnFamily(ours, {"other", kBytewise, "Append", 0}).ok());
  ours.others.merge_operator = std::make_shared<testing::Append>();
  REQUIRE(CheckColumnFamily(ours, {"other", kBytewise, "", 0}).ok());
  REQUIRE(CheckColumnFamily(ours, {"other", kBytewise, "Append", 0}).ok());
}

TEST_CASE("option_match: what does not fit is named with both sides", "[unit]") {
  HostColumnFamilies ours;
  ours.named = {{"default", {}}};
  ours.others.merge_operator = std::make_shared<testing::Append>();
  for (const char* name : {"default", "other"}) {
    RequireNamed(CheckColumnFamily(ours, {name, "backwards", "", 0}),
                 {name, "backwards", kBytewise});
    RequireNamed(CheckColumnFamily(ours, {name, kBytewise, "", 8}),
                 {name, kBytewise, "0 bytes", "8 bytes"});
    RequireNamed(CheckColumnFamily(ours, {name, kBytewise, "Add", 0}), {name, "\"Add\""});
  }
  const Timed timed;
  ours.named[0].options.comparator = &timed;
  RequireNamed(CheckColumnFamily(ours, {"default", kBytewise, "", 0}), {"8 bytes", "0 bytes"});
  REQUIRE(CheckColumnFamily(ours, {"default", kBytewise, "", {}}).ok());
}

}  // namespace
}  // namespace slipstream
