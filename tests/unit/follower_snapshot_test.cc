#include "lib/follower/follower_snapshot.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/follower_facade.h"

namespace slipstream {
namespace {

using rocksdb::ColumnFamilyHandle;
using rocksdb::DB;
using rocksdb::PinnableSlice;
using rocksdb::ReadOptions;
using rocksdb::Slice;
using testing::FollowerFacade;
using IteratorPtr = std::unique_ptr<rocksdb::Iterator>;

TEST_CASE("follower_snapshot: reads at a snapshot go to its generation", "[unit]") {
  FollowerFacade f;
  const std::string first(5000, '1');
  f.Publish(first, true);
  ReadOptions read;
  read.snapshot = f.db->GetSnapshot();
  REQUIRE(read.snapshot != nullptr);
  REQUIRE(read.snapshot->GetSequenceNumber() == f.db->GetLatestSequenceNumber());
  const Generation* current = f.generations.current();
  REQUIRE(current->db()->Put({}, current->handle(0), "a", "later").ok());
  REQUIRE(f.Get("a") == "later");
  REQUIRE(f.Get("a", read) == first);

  f.Publish("2");
  REQUIRE(f.generations.CloseUnused() == 0);
  REQUIRE(f.Get("a") == "2");
  REQUIRE(f.Get("a", read) == first);
  PinnableSlice pinned;
  REQUIRE(f.db->Get(read, f.plain.get(), "b", &pinned).ok());
  REQUIRE(pinned.IsPinned());
  std::vector<std::string> texts;
  REQUIRE(f.db->MultiGet(read, {Slice("a"), Slice("b")}, &texts)[1].ok());
  REQUIRE(texts[1] == first);
  IteratorPtr it(f.db->NewIterator(read));
  it->Seek("a");
  REQUIRE(it->value() == first);

  // The snapshot, the value and the iterator hold it each by itself.
  f.db->ReleaseSnapshot(read.snapshot);
  REQUIRE(f.generations.CloseUnused() == 0);
  it->Next();
  REQUIRE(it->value() == first);
  it.reset();
  REQUIRE(f.generations.CloseUnused() == 0);
  REQUIRE(pinned == first);
  pinned.Reset();
  REQUIRE(f.generations.CloseUnused() == 1);
}

TEST_CASE("follower_snapshot: the properties of snapshots count those of all generations",
          "[unit]") {
  using Properties = DB::Properties;
  FollowerFacade f;
  f.Publish("1");
  uint64_t number = 7;
  REQUIRE(f.db->GetIntProperty(Properties::kNumSnapshots, &number));
  REQUIRE(number == 0);
  const rocksdb::Snapshot* first = f.db->GetSnapshot();
  f.Publish([](DB* to, ColumnFamilyHandle* a, ColumnFamilyHandle*) {
    for (int i = 0; i < 100; ++i) REQUIRE(to->Put({}, a, "a", "2").ok());
  });
  const rocksdb::Snapshot* second = f.db->GetSnapshot();
  REQUIRE(second->GetSequenceNumber() > first->GetSequenceNumber());
  std::string text;
  REQUIRE(f.db->GetProperty(Properties::kNumSnapshots, &text));
  REQUIRE(text == "2");
  REQUIRE(f.db->GetIntProperty(Properties::kOldestSnapshotSequence, &number));
  REQUIRE(number == first->GetSequenceNumber());
  REQUIRE(f.db->GetAggregatedIntProperty(Properties::kOldestSnapshotTime, &number));
  REQUIRE(number == static_cast<uint64_t>(first->GetUnixTime()));
  f.db->ReleaseSnapshot(first);
  f.db->ReleaseSnapshot(second);
  f.db->ReleaseSnapshot(nullptr);
  REQUIRE(f.db->GetIntProperty(Properties::kNumSnapshots, &number));
  REQUIRE(number == 0);
}

TEST_CASE("follower_snapshot: snapshots of other databases are refused", "[unit]") {
  FollowerFacade f;
  FollowerFacade another;
  f.Publish("1");
  another.Publish("1");
  DB* inner = f.generations.current()->db();
  ReadOptions of_rocksdb;
  of_rocksdb.snapshot = inner->GetSnapshot();
  ReadOptions of_another;
  of_another.snapshot = another.db->GetSnapshot();
  for (const ReadOptions& read : {of_rocksdb, of_another}) {
    std::string value;
    REQUIRE(f.db->Get(read, "a", &value).IsInvalidArgument());
    IteratorPtr it(f.db->NewIterator(read));
    REQUIRE(it->status().IsInvalidArgument());
    f.db->ReleaseSnapshot(read.snapshot);
  }
  inner->ReleaseSnapshot(of_rocksdb.snapshot);
  another.db->ReleaseSnapshot(of_another.snapshot);
}

}  // namespace
}  // namespace slipstream
