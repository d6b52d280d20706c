// The shared storage fails below a follower: its readers get errors, never a wrong answer, and it
// goes on by itself when the fault is over.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/table.h"
#include "tests/e2e/local_cluster.h"
#include "tests/faults/fault_storage.h"
#include "tests/unit/memory_storage.h"

namespace slipstream::testing {
namespace {

using rocksdb::ReadOptions;
using rocksdb::Status;
using rocksdb::WriteOptions;

constexpr int kKeys = 60;

std::string KeyOf(int i) { return "key" + std::to_string(1000 + i); }
std::string ValueOf(int i, int round) {
  return std::string(100, static_cast<char>('a' + i % 26)) + std::to_string(i * 1000 + round);
}

// A leader whose follower reads the objects through a storage that fails on demand, without caches.
class FollowerFaultRun {
 public:
  FollowerFaultRun() {
    LeaderOptions options = cluster_.leader_options();
    options.storage = memory_;
    rocksdb::Options db_options;
    db_options.create_if_missing = true;
    db_options.compression = rocksdb::kNoCompression;
    db_options.disable_auto_compactions = true;
    RequireOk(Leader::Open(options, db_options, cluster_.leader_path(), &leader_));
    WriteRound();
    WriteRound();
  }

  FaultStorage* storage() { return storage_.get(); }
  MemoryStorage* memory() { return memory_.get(); }
  Follower* follower() { return follower_.get(); }

  Status OpenFollower(uint64_t open_timeout_ms = 20000) {
    FollowerOptions options = cluster_.follower_options(leader_->port());
    options.storage = storage_;
    options.open_timeout_ms = open_timeout_ms;
    rocksdb::BlockBasedTableOptions table;
    table.no_block_cache = true;
    table.block_size = 512;
    rocksdb::Options db_options;
    db_options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    return Follower::Open(options, db_options, &follower_);
  }

  // All keys anew, in a table of their own.
  void WriteRound() {
    ++round_;
    for (int i = 0; i < kKeys; ++i) {
      RequireOk(leader_->db()->Put(WriteOptions(), KeyOf(i), ValueOf(i, round_)));
    }
    RequireOk(leader_->db()->Flush(rocksdb::FlushOptions()));
  }
  // As many tables of level 0, each with a range deletion of keys that are not there.
  void DeleteRanges(int tables) {
    rocksdb::ColumnFamilyHandle* const family = leader_->db()->DefaultColumnFamily();
    for (int i = 0; i < tables; ++i) {
      RequireOk(leader_->db()->DeleteRange(WriteOptions(), family, "z" + std::to_string(i), "zz"));
      RequireOk(leader_->db()->Put(WriteOptions(), KeyOf(i), ValueOf(i, round_)));
      RequireOk(leader_->db()->Flush(rocksdb::FlushOptions()));
    }
  }
  void Compact() {
    RequireOk(leader_->db()->CompactRange(rocksdb::CompactRangeOptions(), nullptr, nullptr));
  }

  // Reads all keys, in each way that there is; none may be missing or have a value of another key,
  // or of an older round than `oldest`. Returns whether all reads succeeded.
  bool ReadAll(int oldest) {
    bool all = true;
    for (int i = 0; i < kKeys; ++i) {
      std::string value;
      all &= Judge(follower_->db()->Get(ReadOptions(), KeyOf(i), &value), i, value, oldest);
    }
    std::vector<std::string> keys;
    for (int i = 0; i < kKeys; ++i) keys.push_back(KeyOf(i));
    std::vector<std::string> values;
    const std::vector<Status> statuses = follower_->db()->MultiGet(
        ReadOptions(), std::vector<rocksdb::Slice>(keys.begin(), keys.end()), &values);
    for (int i = 0; i < kKeys; ++i) {
      const auto at = static_cast<size_t>(i);
      all &= Judge(statuses[at], i, values[at], oldest);
    }
    return ReadAllByIterator(oldest) && all;
  }

  void RequireCaughtUp() {
    storage_->Heal();
    Status s;
    const bool shown = Eventually([&] {
      s = follower_->WaitFor(leader_->position(), 100000);
      return s.ok() && follower_->stats().status.ok();
    });
    INFO(s.ToString() << "; " << follower_->stats().status.ToString());
    REQUIRE(shown);
    REQUIRE(Eventually([&] { return ReadAll(round_); }));
  }
  int round() const { return round_; }

 private:
  bool Judge(const Status& s, int i, const std::string& value, int oldest) {
    INFO(KeyOf(i) << ": " << s.ToString());
    if (!s.ok()) {
      REQUIRE((s.IsIOError() || s.IsCorruption()));
      return false;
    }
    bool known = false;
    for (int round = oldest; round <= round_; ++round) known |= value == ValueOf(i, round);
    REQUIRE(known);
    return true;
  }
  bool ReadAllByIterator(int oldest) {
    const std::unique_ptr<rocksdb::Iterator> it(follower_->db()->NewIterator(ReadOptions()));
    int i = 0;
    for (it->SeekToFirst(); it->Valid(); it->Next(), ++i) {
      REQUIRE(it->key() == KeyOf(i));
      Judge(Status::OK(), i, it->value().ToString(), oldest);
    }
    if (!it->status().ok()) {
      INFO(it->status().ToString());
      REQUIRE((it->status().IsIOError() || it->status().IsCorruption()));
      return false;
    }
    REQUIRE(i == kKeys);
    return true;
  }

  LocalCluster cluster_;
  const std::shared_ptr<MemoryStorage> memory_ = std::make_shared<MemoryStorage>();
  const std::shared_ptr<FaultStorage> storage_ = std::make_shared<FaultStorage>(memory_);
  std::unique_ptr<Leader> leader_;
  std::unique_ptr<Follower> follower_;
  int round_ = 0;
};

// Opens, reads, follows a compaction, reads again.
void Work(FollowerFaultRun* run) {
  RequireOk(run->OpenFollower());
  run->ReadAll(1);
  const int before = run->round();
  run->WriteRound();
  run->Compact();
  run->ReadAll(before);
  run->RequireCaughtUp();
}

void FailSome(StorageCall call, StorageHarm harm) {
  uint64_t count;
  {
    FollowerFaultRun run;
    StorageFault fault;
    fault.call = call;
    fault.nth = UINT64_MAX;
    run.storage()->Arm(fault);
    Work(&run);
    count = run.storage()->calls();
  }
  REQUIRE(count > 0);
  // Each of the first calls, with which tables are opened, and some of the many later ones.
  uint64_t struck = 0;
  for (uint64_t n = 1; n <= count; n += n <= 16 ? 1 : count / 8 + 1) {
    INFO(ToString(call) << " " << n << " of " << count);
    FollowerFaultRun run;
    StorageFault fault;
    fault.call = call;
    fault.nth = n;
    fault.harm = harm;
    run.storage()->Arm(fault);
    Work(&run);
    struck += run.storage()->failures();
  }
  CHECK(struck > 0);
}

}  // namespace

TEST_CASE("follower_fault: objects that cannot be opened once", "[faults]") {
  FailSome(StorageCall::kNewReader, StorageHarm::kError);
}
TEST_CASE("follower_fault: reads that fail once", "[faults]") {
  FailSome(StorageCall::kRead, StorageHarm::kError);
}
TEST_CASE("follower_fault: reads that come back short once", "[faults]") {
  FailSome(StorageCall::kRead, StorageHarm::kShortRead);
}
TEST_CASE("follower_fault: reads with a flipped bit once", "[faults]") {
  FailSome(StorageCall::kRead, StorageHarm::kFlippedBit);
}

TEST_CASE("follower_fault: while the storage fails, readers get errors and no key is missing",
          "[faults]") {
  for (const StorageHarm harm :
       {StorageHarm::kError, StorageHarm::kShortRead, StorageHarm::kFlippedBit}) {
    INFO("harm " << static_cast<int>(harm));
    FollowerFaultRun run;
    RequireOk(run.OpenFollower());
    REQUIRE(run.ReadAll(2));
    StorageFault fault;
    fault.call = StorageCall::kRead;
    fault.lasting = true;
    fault.harm = harm;
    run.storage()->Arm(fault);
    CHECK_FALSE(run.ReadAll(1));
    run.WriteRound();
    run.Compact();
    // A generation that cannot be opened does not take the place of one that could. A bit of a data
    // block is noticed only when that is read.
    if (harm != StorageHarm::kFlippedBit) {
      REQUIRE(Eventually([&] { return !run.follower()->stats().status.ok(); }));
    }
    CHECK_FALSE(run.ReadAll(1));
    run.RequireCaughtUp();
  }
}

TEST_CASE("follower_fault: opening says what fails, in time, and succeeds when it is over",
          "[faults]") {
  FollowerFaultRun run;
  StorageFault fault;
  fault.call = StorageCall::kNewReader;
  fault.lasting = true;
  run.storage()->Arm(fault);
  const Status s = run.OpenFollower(500);
  INFO(s.ToString());
  CHECK_FALSE(s.ok());
  CHECK(s.ToString().find("storage fault, as the test wants it") != std::string::npos);
  run.storage()->Heal();
  RequireOk(run.OpenFollower());
  run.RequireCaughtUp();
}

TEST_CASE("follower_fault: an object that is missing for a while", "[faults]") {
  FollowerFaultRun run;
  std::vector<std::pair<std::string, std::string>> objects;
  for (const std::string& name : run.memory()->Names()) {
    if (name.ends_with(".sst")) objects.emplace_back(name, run.memory()->Get(name));
  }
  REQUIRE(objects.size() == 2);
  RequireOk(run.memory()->Delete(objects[1].first));
  const Status s = run.OpenFollower(500);
  INFO(s.ToString());
  // It opens with the others, or says that it cannot.
  if (s.ok()) CHECK_FALSE(run.ReadAll(1));
  if (!s.ok()) CHECK_FALSE(s.IsNotFound());
  RequireOk(run.memory()->Put(objects[1].first, objects[1].second));
  if (!s.ok()) RequireOk(run.OpenFollower());
  run.RequireCaughtUp();
}

// In RocksDB 7.8 an iterator over range deletions frees memory twice when a table of level 0 cannot
// be opened. Opening a database opens the first 16.
TEST_CASE("follower_fault: tables with range deletions that cannot be opened for an iterator",
          "[faults]") {
  FollowerFaultRun run;
  run.DeleteRanges(40);
  RequireOk(run.OpenFollower());
  StorageFault fault;
  fault.call = StorageCall::kRead;
  fault.lasting = true;
  run.storage()->Arm(fault);
  rocksdb::DB* const db = run.follower()->db();
  const auto require_error = [](const Status& s) {
    INFO(s.ToString());
    REQUIRE(s.IsIOError());
    REQUIRE(s.ToString().find("storage fault, as the test wants it") != std::string::npos);
  };
  for (int i = 0; i < 3; ++i) {
    const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(ReadOptions()));
    require_error(it->status());
    REQUIRE_FALSE(it->Valid());
    std::vector<rocksdb::Iterator*> iterators;
    require_error(db->NewIterators(ReadOptions(), {db->DefaultColumnFamily()}, &iterators));
    REQUIRE(iterators.empty());
  }
  run.RequireCaughtUp();
}

}  // namespace slipstream::testing
