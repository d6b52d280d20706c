#include "lib/follower/follower_iterator.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "lib/core/rocksdb_release.h"
#include "rocksdb/snapshot.h"
#include "tests/unit/follower_facade.h"

namespace slipstream {
namespace {

using rocksdb::ColumnFamilyHandle;
using rocksdb::DB;
using rocksdb::ReadOptions;
using rocksdb::Slice;
using rocksdb::Status;
using testing::FollowerFacade;
using IteratorPtr = std::unique_ptr<rocksdb::Iterator>;

TEST_CASE("follower_iterator: an iterator stays on its generation until it is refreshed",
          "[unit]") {
  FollowerFacade f;
  f.Publish("1", true);
  IteratorPtr it(f.db->NewIterator({}, f.other.get()));
  it->SeekToFirst();
  REQUIRE(it->Valid());
  f.Publish("2");
  REQUIRE(f.generations.CloseUnused() == 0);
  REQUIRE(it->key() == "a");
  REQUIRE(it->value() == "other 1");
  REQUIRE(it->columns() == rocksdb::WideColumns{{"", "other 1"}});
  it->Next();
  REQUIRE(it->key() == "b");
  it->SeekToLast();
  REQUIRE(it->key() == "c");
  it->Prev();
  REQUIRE(it->key() == "b");
  it->Seek("bb");
  REQUIRE(it->key() == "c");
  it->SeekForPrev("bb");
  REQUIRE(it->key() == "b");
  REQUIRE(it->value() == "other 1");
  std::string property;
  REQUIRE(it->GetProperty("rocksdb.iterator.is-key-pinned", &property).ok());
  it->Seek("d");
  REQUIRE_FALSE(it->Valid());
  REQUIRE(it->status().ok());

  REQUIRE(it->Refresh().ok());
  REQUIRE(f.generations.CloseUnused() == 1);
  it->Seek("a");
  REQUIRE(it->value() == "other 2");

  // Within a generation too, as an applier writes to the current one.
  const Generation* current = f.generations.current();
  REQUIRE(current->db()->Put({}, current->handle(1), "a", "other 3").ok());
  REQUIRE(it->value() == "other 2");
  REQUIRE(it->Refresh().ok());
  it->Seek("a");
  REQUIRE(it->value() == "other 3");
}

TEST_CASE("follower_iterator: an iterator keeps its bounds when it is refreshed", "[unit]") {
  FollowerFacade f;
  f.Publish("1");
  const Slice upper("b");
  ReadOptions read;
  read.iterate_upper_bound = &upper;
  read.read_tier = rocksdb::kPersistedTier;
  IteratorPtr it(f.db->NewIterator(read));
  f.Publish("2");
  REQUIRE(it->Refresh().ok());
  it->SeekToLast();
  REQUIRE(it->key() == "a");
  REQUIRE(it->value() == "2");
}

TEST_CASE("follower_iterator: a refresh that fails leaves the iterator where it was", "[unit]") {
  FollowerFacade f;
  f.Publish("1");
  rocksdb::ManagedSnapshot snapshot(f.db.get());
  ReadOptions read;
  read.snapshot = snapshot.snapshot();
#if !SLIPSTREAM_ROCKSDB_9  // where it goes on from the snapshot to what is current
  IteratorPtr of_snapshot(f.db->NewIterator(read));
  of_snapshot->Seek("a");
  REQUIRE(of_snapshot->Refresh().IsNotSupported());
  REQUIRE(of_snapshot->value() == "1");
#endif
  IteratorPtr of_dropped(f.db->NewIterator({}, f.other.get()));
  of_dropped->Seek("a");
  f.Publish([](DB*, ColumnFamilyHandle*, ColumnFamilyHandle*) {}, /*with_other=*/false);
  const Status dropped = of_dropped->Refresh();
  REQUIRE(dropped.IsColumnFamilyDropped());
  REQUIRE(dropped.ToString().find("'other'") != std::string::npos);
  REQUIRE(of_dropped->value() == "other 1");
}

#if SLIPSTREAM_ROCKSDB_9
TEST_CASE("follower_iterator: a refresh goes to a snapshot and back", "[unit]") {
  FollowerFacade f;
  f.Publish("1");
  const auto snapshot = std::make_unique<rocksdb::ManagedSnapshot>(f.db.get());
  const Generation* first = f.generations.current();
  REQUIRE(first->db()->Put({}, first->handle(0), "a", "after").ok());
  IteratorPtr it(f.db->NewIterator({}));
  it->Seek("a");
  REQUIRE(it->value() == "after");
  // Within the generation, then from another one.
  for (const char* next : {"2", "3"}) {
    REQUIRE(it->Refresh(snapshot->snapshot()).ok());
    it->Seek("a");
    REQUIRE(it->value() == "1");
    f.Publish(next);
    REQUIRE(it->Refresh().ok());
    it->Seek("a");
    REQUIRE(it->value() == next);
  }
  FollowerFacade stranger;
  stranger.Publish("x");
  rocksdb::ManagedSnapshot foreign(stranger.db.get());
  REQUIRE(it->Refresh(foreign.snapshot()).IsInvalidArgument());
  REQUIRE(it->value() == "3");
}
#endif

TEST_CASE("follower_iterator: NewIterators gives iterators of one generation", "[unit]") {
  FollowerFacade f;
  f.Publish("1");
  std::vector<rocksdb::Iterator*> made;
  REQUIRE(f.db->NewIterators({}, {f.plain.get(), f.other.get()}, &made).ok());
  REQUIRE(made.size() == 2);
  IteratorPtr plain(made[0]);
  IteratorPtr other(made[1]);
  f.Publish("2");
  plain->Seek("a");
  other->Seek("a");
  REQUIRE(plain->value() == "1");
  REQUIRE(other->value() == "other 1");
  plain.reset();
  REQUIRE(f.generations.CloseUnused() == 0);
  REQUIRE(other->Refresh().ok());
  REQUIRE(f.generations.CloseUnused() == 1);
  other->Seek("a");
  REQUIRE(other->value() == "other 2");

  REQUIRE(f.db->NewIterators({}, {f.plain.get(), nullptr}, &made).IsInvalidArgument());
  REQUIRE(made.empty());
}

TEST_CASE("follower_iterator: tailing iterators are refused", "[unit]") {
  FollowerFacade f;
  f.Publish("1");
  ReadOptions read;
  read.tailing = true;
  IteratorPtr it(f.db->NewIterator(read));
  it->SeekToFirst();
  REQUIRE_FALSE(it->Valid());
  REQUIRE(it->status().IsNotSupported());
  std::vector<rocksdb::Iterator*> made;
  REQUIRE(f.db->NewIterators(read, {f.plain.get()}, &made).IsNotSupported());
  REQUIRE(made.empty());
}

}  // namespace
}  // namespace slipstream
