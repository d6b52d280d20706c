// Reads of wide columns over several column families, which RocksDB has since 9.10.
#include "lib/core/rocksdb_release.h"

#if SLIPSTREAM_ROCKSDB_9

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "rocksdb/attribute_groups.h"
#include "rocksdb/iterator.h"
#include "tests/unit/follower_facade.h"

namespace slipstream {
namespace {

using rocksdb::ColumnFamilyHandle;
using rocksdb::DB;
using rocksdb::PinnableAttributeGroup;
using rocksdb::PinnableAttributeGroups;
using rocksdb::PinnableWideColumns;
using rocksdb::ReadOptions;
using rocksdb::Slice;
using rocksdb::Status;
using rocksdb::WideColumns;
using testing::FollowerFacade;

PinnableAttributeGroups GroupsOf(std::initializer_list<ColumnFamilyHandle*> families) {
  PinnableAttributeGroups groups;
  for (ColumnFamilyHandle* family : families) groups.emplace_back(family);
  return groups;
}

// "a" is an entity in one column family and a plain value in the other, "b" is in the other alone.
void PublishEntities(FollowerFacade* f, const std::string& value, bool flushed) {
  f->Publish([&](DB* to, ColumnFamilyHandle* plain, ColumnFamilyHandle* other) {
    REQUIRE(to->PutEntity({}, plain, "a", {{"x", value}, {"y", "0"}}).ok());
    REQUIRE(to->Put({}, other, "a", value).ok());
    REQUIRE(to->Put({}, other, "b", value).ok());
    if (flushed) REQUIRE(to->Flush({}, {plain, other}).ok());
  });
}

TEST_CASE("follower_db: MultiGetEntity gives copies that hold no generation", "[unit]") {
  for (const bool flushed : {false, true}) {
    FollowerFacade f;
    PublishEntities(&f, "1", flushed);
    const std::vector<Slice> keys = {"a", "none"};
    std::vector<PinnableWideColumns> found(2);
    std::vector<Status> statuses(2);
    f.db->MultiGetEntity({}, f.plain.get(), 2, keys.data(), found.data(), statuses.data());
    std::vector<ColumnFamilyHandle*> families = {f.other.get(), f.plain.get()};
    const std::vector<Slice> same = {"a", "a"};
    std::vector<PinnableWideColumns> across(2);
    std::vector<Status> across_statuses(2);
    f.db->MultiGetEntity({}, 2, families.data(), same.data(), across.data(),
                         across_statuses.data());
    PublishEntities(&f, "2", flushed);
    REQUIRE(f.generations.CloseUnused() == 1);
    REQUIRE(statuses[0].ok());
    REQUIRE(statuses[1].IsNotFound());
    REQUIRE(found[0].columns() == WideColumns{{"x", "1"}, {"y", "0"}});
    REQUIRE(across_statuses == std::vector<Status>{Status::OK(), Status::OK()});
    REQUIRE(across[0].columns() == WideColumns{{"", "1"}});
    REQUIRE(across[1].columns() == WideColumns{{"x", "1"}, {"y", "0"}});
  }
}

TEST_CASE("follower_db: attribute groups have the host's handles and one status each", "[unit]") {
  FollowerFacade f;
  PublishEntities(&f, "1", true);
  PinnableAttributeGroups groups = GroupsOf({f.plain.get(), f.other.get()});
  REQUIRE(f.db->GetEntity({}, "b", &groups).ok());
  REQUIRE(groups[0].status().IsNotFound());
  REQUIRE(groups[1].status().ok());
  REQUIRE(groups[1].column_family() == f.other.get());
  REQUIRE(groups[1].columns() == WideColumns{{"", "1"}});

  const std::vector<Slice> keys = {"a", "b"};
  std::vector<PinnableAttributeGroups> many;
  many.push_back(GroupsOf({f.other.get(), f.plain.get()}));
  many.push_back(GroupsOf({f.other.get()}));
  f.db->MultiGetEntity({}, 2, keys.data(), many.data());
  REQUIRE(many[0][1].columns() == WideColumns{{"x", "1"}, {"y", "0"}});
  REQUIRE(many[1][0].columns() == WideColumns{{"", "1"}});

  groups = GroupsOf({f.plain.get(), nullptr});
  REQUIRE(f.db->GetEntity({}, "a", &groups).IsInvalidArgument());
  REQUIRE(groups[0].status().IsInvalidArgument());
  REQUIRE(groups[0].columns().empty());
}

TEST_CASE("follower_db: iterators over several column families stay on one generation", "[unit]") {
  FollowerFacade f;
  PublishEntities(&f, "1", true);
  const std::vector<ColumnFamilyHandle*> families = {f.plain.get(), f.other.get()};
  auto coalesced = f.db->NewCoalescingIterator({}, families);
  auto grouped = f.db->NewAttributeGroupIterator({}, families);
  PublishEntities(&f, "2", true);
  REQUIRE(f.generations.CloseUnused() == 0);

  coalesced->SeekToFirst();
  REQUIRE(coalesced->key() == "a");
  REQUIRE(coalesced->columns() == WideColumns{{"", "1"}, {"x", "1"}, {"y", "0"}});
  coalesced->Next();
  REQUIRE(coalesced->key() == "b");
  REQUIRE(coalesced->value() == "1");
  coalesced->Next();
  REQUIRE_FALSE(coalesced->Valid());
  REQUIRE(coalesced->status().ok());

  grouped->Seek("a");
  REQUIRE(grouped->attribute_groups().size() == 2);
  REQUIRE(grouped->attribute_groups()[0].column_family() == f.plain.get());
  REQUIRE(grouped->attribute_groups()[0].columns() == WideColumns{{"x", "1"}, {"y", "0"}});
  REQUIRE(grouped->attribute_groups()[1].column_family() == f.other.get());
  grouped->Next();
  REQUIRE(grouped->key() == "b");
  REQUIRE(grouped->attribute_groups().size() == 1);
  REQUIRE(grouped->attribute_groups()[0].column_family() == f.other.get());

  coalesced.reset();
  grouped.reset();
  REQUIRE(f.generations.CloseUnused() == 1);
}

TEST_CASE("follower_db: iterators over several column families name what is wrong", "[unit]") {
  FollowerFacade f;
  PublishEntities(&f, "1", false);
  const std::vector<ColumnFamilyHandle*> wrong = {f.plain.get(), nullptr};
  REQUIRE(f.db->NewCoalescingIterator({}, wrong)->status().IsInvalidArgument());
  REQUIRE(f.db->NewAttributeGroupIterator({}, wrong)->status().IsInvalidArgument());
  ReadOptions tailing;
  tailing.tailing = true;
  REQUIRE(f.db->NewCoalescingIterator(tailing, {f.plain.get()})->status().IsNotSupported());
  auto refused = f.db->NewAttributeGroupIterator(tailing, {f.plain.get()});
  refused->SeekToFirst();
  REQUIRE_FALSE(refused->Valid());
  REQUIRE(refused->status().IsNotSupported());
}

}  // namespace
}  // namespace slipstream

#endif
