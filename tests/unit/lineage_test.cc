#include "lib/leader/lineage.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "lib/core/object_name.h"
#include "tests/unit/memory_storage.h"

namespace slipstream {
namespace {

using rocksdb::Status;
using testing::MemoryStorage;

constexpr char kHere[] = "here:/db";

Lineage At(const std::shared_ptr<MemoryStorage>& storage, const std::string& place = kHere) {
  return Lineage("db", storage, "/db", place);
}

Lineage::DirectoryState Opened(const std::string& identity, const std::vector<uint64_t>& epochs) {
  Lineage::DirectoryState state;
  state.has_database = true;
  state.identity = identity;
  for (const uint64_t epoch : epochs) state.openings.push_back({epoch, 0});
  return state;
}

void RequireNames(const Status& s, const std::vector<std::string>& names) {
  INFO(s.ToString());
  for (const std::string& name : names) REQUIRE(s.ToString().find(name) != std::string::npos);
}

ObjectInfo Table(uint64_t number, uint64_t epoch) {
  return {FrameFile::kTable, number, epoch, 100};
}

TEST_CASE("lineage: the first opening and those of the same directory are accepted", "[unit]") {
  auto storage = std::make_shared<MemoryStorage>();
  Lineage first = At(storage);
  REQUIRE(first.CheckDirectory({}).ok());
  REQUIRE(first.Record(1, "id-a").ok());
  REQUIRE(first.Record(1, "id-a").ok());  // seemed to have failed
  Lineage second = At(storage);
  REQUIRE(second.CheckDirectory(Opened("id-a", {1})).ok());
  // Epoch 2 was claimed and its opening failed, or was an older release's.
  REQUIRE(second.Record(3, "id-a").ok());
  REQUIRE(At(storage).CheckDirectory(Opened("id-a", {1, 3})).ok());
  // What the directory says of itself may be lost; the opened database is compared then.
  Lineage third = At(storage);
  REQUIRE(third.CheckDirectory(Opened("", {1, 3})).ok());
  RequireNames(third.Record(4, "id-b"), {"id-a", "id-b"});
}

TEST_CASE("lineage: another database under the same name is refused", "[unit]") {
  auto storage = std::make_shared<MemoryStorage>();
  REQUIRE(At(storage).Record(9, "id-a").ok());
  const Status other = At(storage).CheckDirectory(Opened("id-b", {9}));
  REQUIRE(other.IsInvalidArgument());
  RequireNames(other, {"/db", "id-a", "id-b", kHere, "epoch 9"});
  const Status none = At(storage).CheckDirectory({});
  REQUIRE(none.IsInvalidArgument());
  RequireNames(none, {"/db", "no database", "id-a", kHere});
}

TEST_CASE("lineage: a copy that was left behind is refused", "[unit]") {
  auto storage = std::make_shared<MemoryStorage>();
  REQUIRE(At(storage).Record(9, "id-a").ok());
  REQUIRE(At(storage, "there:/copy").Record(10, "id-a").ok());
  const Status s = At(storage).CheckDirectory(Opened("id-a", {8, 9}));
  REQUIRE(s.IsInvalidArgument());
  RequireNames(s, {"left behind", "there:/copy", "epoch 10", OpeningName("db", 10)});
  // The message tells how to go back to it all the same.
  REQUIRE(storage->Delete(OpeningName("db", 10)).ok());
  REQUIRE(At(storage).CheckDirectory(Opened("id-a", {8, 9})).ok());
}

TEST_CASE("lineage: an object that an older leader announced to delete is not built on", "[unit]") {
  auto storage = std::make_shared<MemoryStorage>();
  REQUIRE(At(storage).Record(1, "id").ok());
  REQUIRE(storage
              ->Put(ReclaimName("db", 1), EncodeDeletions({ObjectNameOf("db", Table(5, 1)),
                                                           ObjectNameOf("db", Table(6, 1))}))
              .ok());
  Lineage copy = At(storage, "there:/copy");
  REQUIRE(copy.CheckDirectory(Opened("id", {1})).ok());
  bool needed = false;
  REQUIRE(copy.NeedsObjectCheck(2, &needed).ok());
  REQUIRE(needed);
  for (uint64_t number : {4, 5, 6}) {
    REQUIRE(storage->Put(ObjectNameOf("db", Table(number, 1)), "x").ok());
  }
  REQUIRE(copy.CheckObjects({Table(4, 1)}).ok());
  const Status s = copy.CheckObjects({Table(4, 1), Table(6, 1)});
  REQUIRE(s.IsAborted());
  RequireNames(s, {"epoch 1", ObjectNameOf("db", Table(6, 1)), "/db"});
  // The older leader may be running still: what it announced stays.
  REQUIRE(storage->Has(ReclaimName("db", 1)));
  // Its own directory finds it dead.
  Lineage same = At(storage);
  REQUIRE(same.CheckDirectory(Opened("id", {1})).ok());
  REQUIRE(same.NeedsObjectCheck(2, &needed).ok());
  REQUIRE(needed);
  REQUIRE(same.CheckObjects({Table(4, 1)}).ok());
  REQUIRE_FALSE(storage->Has(ReclaimName("db", 1)));
  REQUIRE(same.NeedsObjectCheck(2, &needed).ok());
  REQUIRE_FALSE(needed);
}

TEST_CASE("lineage: a copy whose objects are gone is refused", "[unit]") {
  auto storage = std::make_shared<MemoryStorage>();
  REQUIRE(At(storage).Record(1, "id").ok());
  REQUIRE(storage->Put(ObjectNameOf("db", Table(5, 1)), "x").ok());
  Lineage copy = At(storage, "there:/copy");
  REQUIRE(copy.CheckDirectory(Opened("id", {1})).ok());
  bool needed = false;
  REQUIRE(copy.NeedsObjectCheck(2, &needed).ok());
  REQUIRE(needed);
  REQUIRE(copy.CheckObjects({Table(5, 1)}).ok());
  const Status s = copy.CheckObjects({Table(5, 1), Table(6, 1)});
  REQUIRE(s.IsCorruption());
  RequireNames(s, {ObjectNameOf("db", Table(6, 1)), "memory", "/db"});
}

TEST_CASE("lineage: what is damaged is an error", "[unit]") {
  auto storage = std::make_shared<MemoryStorage>();
  const std::string content =
      GENERATE("", "slipstream open 2\nid\nplace\n", "slipstream open 1\nid");
  REQUIRE(storage->Put(OpeningName("db", 1), content).ok());
  REQUIRE(At(storage).CheckDirectory(Opened("id", {1})).IsCorruption());
  std::vector<std::string> deletes;
  REQUIRE(DecodeDeletions("", &deletes).IsCorruption());
  REQUIRE(DecodeDeletions("slipstream reclaim 2\na\n", &deletes).IsCorruption());
  REQUIRE(DecodeDeletions(EncodeDeletions({"a", "b"}), &deletes).ok());
  REQUIRE(deletes == std::vector<std::string>{"a", "b"});
}

}  // namespace
}  // namespace slipstream
