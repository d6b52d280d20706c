// Column families that the leader creates and drops while followers run and read.
#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/snapshot.h"
#include "rocksdb/utilities/transaction_db.h"
#include "tests/e2e/replicas.h"

namespace slipstream::testing {
namespace {

using rocksdb::ColumnFamilyHandle;
using rocksdb::ColumnFamilyOptions;
using rocksdb::ReadOptions;
using rocksdb::Status;
using rocksdb::WriteOptions;

// What on_column_families_changed said, as "+name" and "-name".
class Changes {
 public:
  void Add(const std::vector<ColumnFamilyChange>& changes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const ColumnFamilyChange& c : changes) all_ += (c.dropped ? "-" : "+") + c.name + " ";
  }
  std::string all() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return all_;
  }

 private:
  mutable std::mutex mutex_;
  std::string all_;
};

ColumnFamilyHandle* Create(rocksdb::DB* db, const std::string& name,
                           const ColumnFamilyOptions& options = ColumnFamilyOptions()) {
  ColumnFamilyHandle* handle = nullptr;
  RequireOk(db->CreateColumnFamily(options, name, &handle));
  return handle;
}

void Drop(rocksdb::DB* db, ColumnFamilyHandle* handle) {
  RequireOk(db->DropColumnFamily(handle));
  RequireOk(db->DestroyColumnFamilyHandle(handle));
}

std::string Get(rocksdb::DB* db, ColumnFamilyHandle* family, const std::string& key,
                const rocksdb::Snapshot* snapshot = nullptr) {
  ReadOptions read;
  read.snapshot = snapshot;
  std::string value;
  const Status s = db->Get(read, family, key, &value);
  return s.ok() ? value : s.ToString();
}

bool Names(const Status& status, const std::vector<std::string>& words) {
  const std::string text = status.ToString();
  return std::all_of(words.begin(), words.end(),
                     [&](const std::string& word) { return text.find(word) != std::string::npos; });
}

}  // namespace

TEST_CASE("families: followers learn of what is created and dropped without a restart", "[e2e]") {
  Changes changes;
  ReplicasOptions options;
  options.rolling = GENERATE(false, true);
  options.adjust_follower = [&](FollowerOptions* o) {
    o->on_column_families_changed = [&](const auto& c) { changes.Add(c); };
  };
  Replicas replicas(options);
  rocksdb::DB* db = replicas.db();
  Follower* follower = replicas.early.follower.get();
  CHECK(follower->GetColumnFamily("new") == nullptr);
  ColumnFamilyHandle* theirs = Create(db, "new");
  CatchUp(replicas.leader, replicas.early);
  // Also while it is empty.
  ColumnFamilyHandle* ours = follower->GetColumnFamily("new");
  REQUIRE(ours != nullptr);
  CHECK(ours == follower->GetColumnFamily("new"));
  CHECK(ours->GetID() == theirs->GetID());
  CHECK(changes.all() == "+new ");
  RequireOk(db->Put(WriteOptions(), theirs, "a", "1"));
  CatchUp(replicas.leader, replicas.early);
  CHECK(Difference(db, {theirs}, follower->db(), {ours}) == "");
  {
    LocalFollower late = replicas.StartFollower();
    CatchUp(replicas.leader, late);
    CHECK(Get(late.db(), late.follower->GetColumnFamily("new"), "a") == "1");
  }

  const rocksdb::Snapshot* snapshot = follower->db()->GetSnapshot();
  const std::unique_ptr<rocksdb::Iterator> it(follower->db()->NewIterator(ReadOptions(), ours));
  const uint32_t dropped_id = theirs->GetID();
  Drop(db, theirs);
  CatchUp(replicas.leader, replicas.early);
  CHECK(changes.all() == "+new -new ");
  CHECK(follower->GetColumnFamily("new") == nullptr);
  // The handle says so; what was made before goes on.
  std::string value;
  CHECK(follower->db()->Get(ReadOptions(), ours, "a", &value).IsColumnFamilyDropped());
  CHECK(Get(follower->db(), ours, "a", snapshot) == "1");
  it->SeekToFirst();
  REQUIRE(it->Valid());
  CHECK(it->value() == "1");
  CHECK(it->Refresh().IsColumnFamilyDropped());

  theirs = Create(db, "new");
  RequireOk(db->Put(WriteOptions(), theirs, "a", "2"));
  CatchUp(replicas.leader, replicas.early);
  CHECK(changes.all() == "+new -new +new ");
  ColumnFamilyHandle* again = follower->GetColumnFamily("new");
  REQUIRE(again != nullptr);
  CHECK(again != ours);
  CHECK(again->GetID() != dropped_id);
  CHECK(Get(follower->db(), again, "a") == "2");
  CHECK(follower->db()->Get(ReadOptions(), ours, "a", &value).IsColumnFamilyDropped());
  CHECK(Get(follower->db(), ours, "a", snapshot) == "1");
  CHECK(follower->db()->Get(ReadOptions(), ours, "a", &value).IsColumnFamilyDropped());
  follower->db()->ReleaseSnapshot(snapshot);
  replicas.RequireSameThroughout();
  RequireOk(db->DestroyColumnFamilyHandle(theirs));
}

TEST_CASE("families: handles that the follower gave are its own", "[e2e]") {
  Replicas replicas(ReplicasOptions{});
  Drop(replicas.db(), Create(replicas.db(), "gone"));
  ColumnFamilyHandle* theirs = Create(replicas.db(), "new");
  RequireOk(replicas.db()->Put(WriteOptions(), theirs, "a", "1"));
  CatchUp(replicas.leader, replicas.early);
  Follower* follower = replicas.early.follower.get();
  ColumnFamilyHandle* ours = follower->GetColumnFamily("new");
  // As a host would do that used RocksDB before.
  RequireOk(follower->db()->DestroyColumnFamilyHandle(ours));
  CHECK(follower->GetColumnFamily("new") == ours);
  CHECK(Get(follower->db(), ours, "a") == "1");
  ColumnFamilyHandle* by_default = follower->GetColumnFamily(rocksdb::kDefaultColumnFamilyName);
  RequireOk(follower->db()->DestroyColumnFamilyHandle(by_default));
  RequireOk(replicas.db()->DestroyColumnFamilyHandle(theirs));
}

TEST_CASE("families: several are created and dropped at once while followers read", "[e2e]") {
  ReplicasOptions options;
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  rocksdb::DB* db = replicas.db();
  std::atomic<bool> done{false};
  std::atomic<uint64_t> unexpected{0}, reads{0};
  std::thread reader([&] {
    Follower* follower = replicas.early.follower.get();
    while (!done) {
      for (int i = 0; i < 4; ++i) {
        ColumnFamilyHandle* family = follower->GetColumnFamily("cf" + std::to_string(i));
        if (family == nullptr) continue;
        std::string value;
        const Status s = follower->db()->Get(ReadOptions(), family, "key", &value);
        if (!s.ok() && !s.IsNotFound() && !s.IsColumnFamilyDropped()) ++unexpected;
        const std::unique_ptr<rocksdb::Iterator> it(
            follower->db()->NewIterator(ReadOptions(), family));
        for (it->SeekToFirst(); it->Valid(); it->Next()) {
        }
        if (!it->status().ok() && !it->status().IsColumnFamilyDropped()) ++unexpected;
        ++reads;
      }
    }
  });
  Status s;
  std::vector<ColumnFamilyHandle*> handles;
  for (int round = 0; round < 12 && s.ok(); ++round) {
    s = db->CreateColumnFamilies(ColumnFamilyOptions(), {"cf0", "cf1", "cf2", "cf3"}, &handles);
    for (ColumnFamilyHandle* handle : handles) {
      if (s.ok()) s = db->Put(WriteOptions(), handle, "key", std::to_string(round));
    }
    if (s.ok() && round % 3 == 0) s = db->Flush(rocksdb::FlushOptions(), handles);
    if (s.ok() && round % 2 == 1) {
      s = replicas.early.follower->WaitFor(replicas.leader.leader->position(), kPatienceUs);
    }
    if (round == 11) break;
    if (s.ok()) s = db->DropColumnFamilies(handles);
    for (ColumnFamilyHandle* handle : handles) {
      db->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
    }
    handles.clear();
  }
  const Status caught_up =
      replicas.early.follower->WaitFor(replicas.leader.leader->position(), kPatienceUs);
  done = true;
  reader.join();
  RequireOk(s);
  RequireOk(caught_up);
  CHECK(unexpected == 0);
  CHECK(reads > 0);
  for (ColumnFamilyHandle* handle : handles) {
    ColumnFamilyHandle* ours = replicas.early.follower->GetColumnFamily(handle->GetName());
    REQUIRE(ours != nullptr);
    CHECK(Difference(db, {handle}, replicas.early.db(), {ours}) == "");
    RequireOk(db->DestroyColumnFamilyHandle(handle));
  }
  replicas.RequireSame();
}

TEST_CASE("families: writes to a dropped column family do not stop replication", "[e2e]") {
  Replicas replicas(ReplicasOptions{});
  rocksdb::DB* db = replicas.db();
  ColumnFamilyHandle* dropped = Create(db, "dropped");
  RequireOk(db->Put(WriteOptions(), dropped, "a", "1"));
  RequireOk(db->DropColumnFamily(dropped));
  WriteOptions lenient;
  lenient.ignore_missing_column_families = true;
  for (int i = 0; i < 3; ++i) {
    // Its handle is still there, so RocksDB takes these.
    rocksdb::WriteBatch batch;
    RequireOk(batch.Put(dropped, "b", "1"));
    RequireOk(batch.Put("of the batch", std::to_string(i)));
    RequireOk(db->Write(lenient, &batch));
    replicas.RequireSame();
  }
  RequireOk(db->DestroyColumnFamilyHandle(dropped));
  rocksdb::WriteBatch batch;
  RequireOk(batch.Put("last", "1"));
  RequireOk(db->Write(lenient, &batch));
  replicas.RequireSameThroughout();
}

TEST_CASE(
    "families: one whose comparator the follower does not have is named, and the follower "
    "serves what it had",
    "[e2e]") {
  Replicas replicas(ReplicasOptions{});
  rocksdb::DB* db = replicas.db();
  RequireOk(db->Put(WriteOptions(), "before", "1"));
  CatchUp(replicas.leader, replicas.early);
  ColumnFamilyOptions reverse;
  reverse.comparator = rocksdb::ReverseBytewiseComparator();
  ColumnFamilyHandle* created = Create(db, "backwards", reverse);
  RequireOk(db->Put(WriteOptions(), "after", "1"));
  Follower* follower = replicas.early.follower.get();
  Status status;
  REQUIRE(Eventually([&] {
    status = follower->stats().status;
    return status.IsInvalidArgument();
  }));
  INFO(status.ToString());
  CHECK(Names(status, {"backwards", rocksdb::BytewiseComparator()->Name(),
                       rocksdb::ReverseBytewiseComparator()->Name()}));
  CHECK(replicas.early.Get(0, "before") == "1");
  CHECK(replicas.early.Get(0, "after") == "(not found)");
  // It stays so, and no image is taken again and again.
  const uint64_t resyncs = follower->stats().resyncs;
  CHECK(Throughout(std::chrono::milliseconds(500), [&] {
    return Names(follower->stats().status, {"backwards"}) && follower->stats().resyncs == resyncs;
  }));
  CHECK(follower->WaitFor(replicas.leader.leader->position(), 1000).IsTimedOut());
  // One that joins now is refused by name, unless it brings the comparator.
  LocalFollower refused;
  const FollowerOptions plain = replicas.cluster.follower_options(replicas.leader.leader->port());
  const Status s = Follower::Open(plain, rocksdb::DBOptions(),
                                  {{rocksdb::kDefaultColumnFamilyName, ColumnFamilyOptions()}},
                                  &refused.families, &refused.follower);
  CHECK(s.IsInvalidArgument());
  CHECK(Names(s, {"backwards"}));
  LocalFollower named = replicas.cluster.StartFollower(
      plain, rocksdb::DBOptions(),
      {{rocksdb::kDefaultColumnFamilyName, ColumnFamilyOptions()}, {"backwards", reverse}});
  CatchUp(replicas.leader, named);
  // Once the leader has dropped it, the follower goes on.
  Drop(db, created);
  replicas.RequireSameThroughout();
}

TEST_CASE("families: a merge operator that the follower does not have is an error of those reads",
          "[e2e]") {
  ReplicasOptions options;
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  rocksdb::DB* db = replicas.db();
  ColumnFamilyOptions adding;
  adding.merge_operator = std::make_shared<AddingOperator>();
  ColumnFamilyHandle* created = Create(db, "adding", adding);
  RequireOk(db->Put(WriteOptions(), created, "plain", "1"));
  RequireOk(db->Put(WriteOptions(), created, "merged", "1"));
  RequireOk(db->Flush(rocksdb::FlushOptions(), created));
  RequireOk(db->Merge(WriteOptions(), created, "merged", "1"));
  RequireOk(db->Merge(WriteOptions(), created, "operands only", "1"));
  for (int round = 0; round < 2; ++round) {
    CatchUp(replicas.leader, replicas.early);
    ColumnFamilyHandle* ours = replicas.early.follower->GetColumnFamily("adding");
    REQUIRE(ours != nullptr);
    CHECK(Get(replicas.early.db(), ours, "plain") == "1");
    std::string value;
    for (const char* key : {"merged", "operands only"}) {
      const Status s = replicas.early.db()->Get(ReadOptions(), ours, key, &value);
      INFO(s.ToString());
      CHECK_FALSE(s.ok());
      CHECK_FALSE(s.IsNotFound());
    }
    const std::unique_ptr<rocksdb::Iterator> it(
        replicas.early.db()->NewIterator(ReadOptions(), ours));
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
    }
    CHECK_FALSE(it->status().ok());
    RequireOk(db->Flush(rocksdb::FlushOptions(), created));
    CatchUp(replicas.leader, replicas.early);
    // From files from here on.
    REQUIRE(Eventually([&] {
      uint64_t entries = 1;
      return replicas.early.db()->GetIntProperty(
                 ours, rocksdb::DB::Properties::kNumEntriesActiveMemTable, &entries) &&
             entries == 0;
    }));
  }
  RequireOk(db->DestroyColumnFamilyHandle(created));
  replicas.RequireSame();
}

TEST_CASE("families: another merge operator than that of a family created later is named",
          "[e2e]") {
  class OtherOperator : public AddingOperator {
   public:
    const char* Name() const override { return "slipstream.testing.Other"; }
  };
  const bool unnamed = GENERATE(true, false);
  INFO("not named at Open: " << unnamed);
  ReplicasOptions options;
  ColumnFamilyOptions other;
  other.merge_operator = std::make_shared<OtherOperator>();
  if (unnamed) {
    options.adjust_follower = [&](FollowerOptions* o) { o->other_column_families = other; };
  } else {
    options.families.emplace_back("adding", other);
  }
  Replicas replicas(options);
  rocksdb::DB* db = replicas.db();
  if (!unnamed) {
    RequireOk(db->DropColumnFamily(replicas.family(1)));
  }
  RequireOk(db->Put(WriteOptions(), "before", "1"));
  CatchUp(replicas.leader, replicas.early);
  ColumnFamilyOptions adding;
  adding.merge_operator = std::make_shared<AddingOperator>();
  ColumnFamilyHandle* created = Create(db, "adding", adding);
  RequireOk(db->Merge(WriteOptions(), created, "n", "1"));
  Status status;
  REQUIRE(Eventually([&] {
    status = replicas.early.follower->stats().status;
    return status.IsInvalidArgument();
  }));
  INFO(status.ToString());
  CHECK(Names(status, {"adding", OtherOperator().Name(), AddingOperator().Name()}));
  CHECK(replicas.early.Get(0, "before") == "1");
  Drop(db, created);
  CatchUp(replicas.leader, replicas.early);
  RequireOk(replicas.early.follower->stats().status);
}

TEST_CASE("families: what a follower is asked to match is the present, not the leader's opening",
          "[e2e]") {
  Replicas replicas([] {
    ReplicasOptions options;
    options.families = TestColumnFamilies();
    return options;
  }());
  rocksdb::DB* db = replicas.db();
  // "reverse" gets a merge operator; a follower that knows the new one only must be served.
  RequireOk(db->DropColumnFamily(replicas.family(1)));
  ColumnFamilyOptions adding;
  adding.comparator = rocksdb::ReverseBytewiseComparator();
  adding.merge_operator = std::make_shared<AddingOperator>();
  ColumnFamilyHandle* created = Create(db, kReverse, adding);
  RequireOk(db->Merge(WriteOptions(), created, "n", "41"));
  RequireOk(db->Merge(WriteOptions(), created, "n", "1"));
  std::vector<rocksdb::ColumnFamilyDescriptor> families = TestColumnFamilies();
  families[1].options = adding;
  LocalFollower late = replicas.cluster.StartFollower(
      replicas.cluster.follower_options(replicas.leader.leader->port()), rocksdb::DBOptions(),
      families);
  CatchUp(replicas.leader, late);
  CHECK(late.Get(1, "n") == "42");
  families[1].options.merge_operator = nullptr;
  LocalFollower refused;
  const Status s =
      Follower::Open(replicas.cluster.follower_options(replicas.leader.leader->port()),
                     rocksdb::DBOptions(), families, &refused.families, &refused.follower);
  CHECK(s.IsInvalidArgument());
  CHECK(Names(s, {kReverse, AddingOperator().Name()}));
  RequireOk(db->DestroyColumnFamilyHandle(created));
}

TEST_CASE("families: one that is created again with another comparator shows on followers",
          "[e2e]") {
  ColumnFamilyOptions forwards, backwards;
  forwards.num_levels = backwards.num_levels = 7;
  backwards.comparator = rocksdb::ReverseBytewiseComparator();
  ReplicasOptions options;
  options.rolling = GENERATE(false, true);
  options.adjust_follower = [&](FollowerOptions* o) { o->other_column_families = backwards; };
  Replicas replicas(options);
  rocksdb::DB* db = replicas.db();
  const auto fill = [&](ColumnFamilyHandle* family, const std::string& value) {
    for (uint64_t i = 0; i < 20; ++i) {
      RequireOk(db->Put(WriteOptions(), family, NumberedKey(i), value));
      if (i % 10 == 3) RequireOk(db->Flush(rocksdb::FlushOptions(), family));
    }
  };
  const auto require_same = [&](ColumnFamilyHandle* theirs, const LocalFollower& follower) {
    CatchUp(replicas.leader, follower);
    RequireOk(follower.follower->stats().status);
    ColumnFamilyHandle* ours = follower.follower->GetColumnFamily("again");
    REQUIRE(ours != nullptr);
    CHECK(Difference(db, {theirs}, follower.db(), {ours}) == "");
  };
  for (int round = 0; round < 2; ++round) {
    ColumnFamilyHandle* first = Create(db, "again", forwards);
    fill(first, "first" + std::to_string(round));
    RequireOk(db->CompactRange(rocksdb::CompactRangeOptions(), first, nullptr, nullptr));
    Drop(db, first);
    ColumnFamilyHandle* second = Create(db, "again", backwards);
    fill(second, "second" + std::to_string(round));
    require_same(second, replicas.early);
    const LocalFollower late = replicas.StartFollower();
    require_same(second, late);
    // What the manifest says from here on counts too.
    fill(second, "third" + std::to_string(round));
    RequireOk(db->CompactRange(rocksdb::CompactRangeOptions(), second, nullptr, nullptr));
    Drop(db, Create(db, "other"));
    require_same(second, late);
    require_same(second, replicas.early);
    Drop(db, second);
  }
  replicas.RequireSameThroughout();
}

TEST_CASE("families: options that only writers need may differ", "[e2e]") {
  ReplicasOptions options;
  ColumnFamilyOptions leaders;
  leaders.num_levels = 7;
  leaders.write_buffer_size = 64 << 10;
  leaders.level0_file_num_compaction_trigger = 2;
  options.families = {{rocksdb::kDefaultColumnFamilyName, leaders}};
  ColumnFamilyOptions followers;
  followers.num_levels = 2;
  followers.compaction_style =
      GENERATE(rocksdb::kCompactionStyleLevel, rocksdb::kCompactionStyleUniversal,
               rocksdb::kCompactionStyleFIFO);
  options.follower_families = {{rocksdb::kDefaultColumnFamilyName, followers}};
  Replicas replicas(options);
  for (uint64_t i = 0; i < 3000; ++i) {
    RequireOk(replicas.db()->Put(WriteOptions(), NumberedKey(i * 7 % 3000), std::string(100, 'v')));
  }
  replicas.leader.Flush();
  rocksdb::CompactRangeOptions to_bottom;
  to_bottom.change_level = true;
  to_bottom.target_level = 6;
  RequireOk(replicas.db()->CompactRange(to_bottom, nullptr, nullptr));
  replicas.RequireSettled();
}

}  // namespace slipstream::testing
