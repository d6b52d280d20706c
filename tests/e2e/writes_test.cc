// Everything that a leader may write, on followers that were there before and that join after.
#include <string>
#include <thread>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/utilities/write_batch_with_index.h"
#include "rocksdb/wide_columns.h"
#include "rocksdb/write_batch.h"
#include "tests/e2e/mixed_load.h"
#include "tests/e2e/replicas.h"

namespace slipstream::testing {
namespace {

using rocksdb::ReadOptions;
using rocksdb::WriteOptions;

// Each case runs with manifests that last, and with one for each edit.
ReplicasOptions Rolling() {
  ReplicasOptions options;
  options.rolling = GENERATE(false, true);
  INFO("rolling " << options.rolling);
  return options;
}

}  // namespace

TEST_CASE("writes: single deletions in memory and over files", "[e2e]") {
  Replicas replicas(Rolling());
  rocksdb::DB* db = replicas.db();
  for (uint64_t i = 0; i < 100; ++i) RequireOk(db->Put(WriteOptions(), NumberedKey(i), "v"));
  for (uint64_t i = 0; i < 100; i += 4) RequireOk(db->SingleDelete(WriteOptions(), NumberedKey(i)));
  replicas.RequireSame();
  replicas.leader.Flush();
  for (uint64_t i = 1; i < 100; i += 4) RequireOk(db->SingleDelete(WriteOptions(), NumberedKey(i)));
  replicas.RequireSameThroughout();
  CHECK(replicas.early.Get(0, NumberedKey(1)) == "(not found)");
  CHECK(replicas.early.Get(0, NumberedKey(2)) == "v");
}

TEST_CASE("writes: PutEntity does not stop replication", "[e2e]") {
  Replicas replicas(Rolling());
  rocksdb::DB* db = replicas.db();
  for (uint64_t i = 0; i < 50; ++i) {
    rocksdb::WideColumns columns = {{"", "default"}, {"n", "1"}, {"z", ""}};
    if (i % 3 == 0) columns = {};
    RequireOk(db->PutEntity(WriteOptions(), replicas.family(0), NumberedKey(i), columns));
    if (i % 5 == 0) RequireOk(db->Put(WriteOptions(), NumberedKey(i), "plain again"));
    if (i == 25) replicas.leader.Flush();
  }
  RequireOk(db->Put(WriteOptions(), "after", "1"));
  replicas.RequireSameThroughout();
  CHECK(replicas.early.Get(0, "after") == "1");
}

TEST_CASE("writes: merge operands are counted once, over flushes, rolls and late joins", "[e2e]") {
  ReplicasOptions options = Rolling();
  options.families = TestColumnFamilies();
  Replicas replicas(options);
  for (int i = 1; i <= 60; ++i) {
    RequireOk(replicas.db()->Merge(WriteOptions(), replicas.family(2), "n", "1"));
    if (i % 13 == 0) replicas.leader.Flush();
    if (i % 20 == 0) {
      replicas.RequireSame();
      CHECK(replicas.early.Get(2, "n") == std::to_string(i));
    }
  }
  replicas.RequireSameThroughout();
  CHECK(replicas.early.Get(2, "n") == "60");
}

TEST_CASE("writes: a deleted key does not come back, over flushes, rolls and late joins", "[e2e]") {
  Replicas replicas(Rolling());
  rocksdb::DB* db = replicas.db();
  for (const char* key : {"a", "b", "c"}) RequireOk(db->Put(WriteOptions(), key, "1"));
  replicas.leader.Flush();
  RequireOk(db->Delete(WriteOptions(), "a"));
  RequireOk(db->DeleteRange(WriteOptions(), replicas.family(0), "b", "c"));
  replicas.leader.Flush();
  RequireOk(db->Put(WriteOptions(), "other", "1"));
  replicas.leader.Flush();
  replicas.RequireSameThroughout();
  CHECK(replicas.early.Get(0, "a") == "(not found)");
  CHECK(replicas.early.Get(0, "b") == "(not found)");
  CHECK(replicas.early.Get(0, "c") == "1");
}

TEST_CASE("writes: batches of a WriteBatchWithIndex", "[e2e]") {
  ReplicasOptions options = Rolling();
  options.families = TestColumnFamilies();
  Replicas replicas(options);
  for (int round = 0; round < 3; ++round) {
    rocksdb::WriteBatchWithIndex batch(rocksdb::BytewiseComparator(), 0, round == 1);
    RequireOk(batch.Put(replicas.family(0), "a", std::to_string(round)));
    RequireOk(batch.Put(replicas.family(0), "a", "last of " + std::to_string(round)));
    RequireOk(batch.Put(replicas.family(1), "b", "1"));
    RequireOk(batch.Merge(replicas.family(2), "n", "1"));
    batch.SetSavePoint();
    RequireOk(batch.Put(replicas.family(0), "rolled back", "1"));
    RequireOk(batch.RollbackToSavePoint());
    if (round == 2) RequireOk(batch.Delete(replicas.family(1), "b"));
    RequireOk(replicas.db()->Write(WriteOptions(), batch.GetWriteBatch()));
  }
  replicas.RequireSameThroughout();
  CHECK(replicas.early.Get(0, "a") == "last of 2");
  CHECK(replicas.early.Get(0, "rolled back") == "(not found)");
}

TEST_CASE("writes: empty range deletes alone, in batches and last of all", "[e2e]") {
  Replicas replicas(Rolling());
  rocksdb::DB* db = replicas.db();
  rocksdb::ColumnFamilyHandle* cf = replicas.family(0);
  RequireOk(db->DeleteRange(WriteOptions(), cf, "a", "a"));
  replicas.RequireSame();
  RequireOk(db->Put(WriteOptions(), "a", "1"));
  rocksdb::WriteBatch batch;
  RequireOk(batch.DeleteRange(cf, "", ""));
  RequireOk(batch.Put(cf, "b", "1"));
  RequireOk(batch.DeleteRange(cf, "x", "x"));
  RequireOk(db->Write(WriteOptions(), &batch));
  for (int i = 0; i < 3; ++i) RequireOk(db->DeleteRange(WriteOptions(), cf, "q", "q"));
  replicas.RequireSame();
  // The generation that is built now recovers a lower number than the leader has.
  replicas.leader.Flush();
  RequireOk(db->DeleteRange(WriteOptions(), cf, "q", "q"));
  replicas.RequireSameThroughout();
  RequireOk(db->Put(WriteOptions(), "c", "1"));
  replicas.RequireSame();
}

TEST_CASE("writes: a number that only a removed WAL explains is the late follower's too", "[e2e]") {
  ReplicasOptions options = Rolling();
  options.leader_db.manual_wal_flush = GENERATE(false, true);
  Replicas replicas(options);
  rocksdb::DB* db = replicas.db();
  RequireOk(db->Put(WriteOptions(), "a", "1"));
  for (int i = 0; i < 3; ++i) {
    RequireOk(db->DeleteRange(WriteOptions(), replicas.family(0), "q", "q"));
  }
  replicas.leader.Flush();
  RequireOk(db->FlushWAL(false));
  CatchUp(replicas.leader, replicas.early);
  CHECK(replicas.early.db()->GetLatestSequenceNumber() == 4);
  LocalFollower late = replicas.StartFollower();
  CatchUp(replicas.leader, late);
  if (!options.leader_db.manual_wal_flush) CHECK(late.db()->GetLatestSequenceNumber() == 4);
  // What is in no file yet.
  RequireOk(db->Put(WriteOptions(), "b", "1"));
  LocalFollower later = replicas.StartFollower();
  RequireOk(db->FlushWAL(false));
  for (LocalFollower* follower : {&replicas.early, &late, &later}) {
    CatchUp(replicas.leader, *follower);
    CHECK(Difference(db, replicas.leader.families, follower->db(), follower->families) == "");
    CHECK(follower->follower->stats().corruptions == 0);
    if (!options.leader_db.manual_wal_flush) {
      CHECK(follower->follower->stats().sequence_gaps == 0);
    }
  }
}

TEST_CASE("writes: log data in batches consumes no sequence number", "[e2e]") {
  Replicas replicas(Rolling());
  for (int i = 0; i < 3; ++i) {
    rocksdb::WriteBatch blob, both;
    RequireOk(blob.PutLogData("of no consequence"));
    RequireOk(replicas.db()->Write(WriteOptions(), &blob));
    RequireOk(both.Put("k" + std::to_string(i), "v"));
    RequireOk(both.PutLogData("of no consequence"));
    RequireOk(replicas.db()->Write(WriteOptions(), &both));
    rocksdb::WriteBatch empty;
    RequireOk(replicas.db()->Write(WriteOptions(), &empty));
    replicas.RequireSame();
  }
  CHECK(replicas.early.follower->stats().sequence_gaps == 0);
}

TEST_CASE("writes: batches of 10 MB", "[e2e]") {
  ReplicasOptions options = Rolling();
  options.families = TestColumnFamilies();
  Replicas replicas(options);
  for (int round = 0; round < 2; ++round) {
    rocksdb::WriteBatch batch;
    uint64_t n = 0;
    while (batch.GetDataSize() < 10 << 20) {
      RequireOk(batch.Put(replicas.family(n % 2), NumberedKey(n % 3000),
                          std::string(4000, static_cast<char>('a' + (n + round) % 26))));
      ++n;
    }
    RequireOk(replicas.db()->Write(WriteOptions(), &batch));
    replicas.RequireSame();
  }
}

TEST_CASE("writes: keys and values of 0 bytes", "[e2e]") {
  ReplicasOptions options = Rolling();
  options.families = TestColumnFamilies();
  Replicas replicas(options);
  rocksdb::DB* db = replicas.db();
  RequireOk(db->Put(WriteOptions(), "", ""));
  RequireOk(db->Put(WriteOptions(), replicas.family(1), "", "value of the empty key"));
  RequireOk(db->Merge(WriteOptions(), replicas.family(2), "", ""));
  RequireOk(db->PutEntity(WriteOptions(), replicas.family(0), "empty column", {{"", ""}}));
  RequireOk(db->Put(WriteOptions(), "empty value", ""));
  replicas.RequireSameThroughout();
  CHECK(replicas.early.Get(0, "") == "");
  CHECK(replicas.early.Get(1, "") == "value of the empty key");
  RequireOk(db->Delete(WriteOptions(), ""));
  replicas.RequireSameThroughout();
  CHECK(replicas.early.Get(0, "") == "(not found)");
}

TEST_CASE("writes: keys and values of 64 MB", "[e2e]") {
  Replicas replicas(ReplicasOptions{});
  rocksdb::DB* db = replicas.db();
  constexpr size_t kBig = 64 << 20;
  RequireOk(db->Put(WriteOptions(), "big value", std::string(kBig, 'v')));
  RequireOk(db->Put(WriteOptions(), std::string(kBig, 'k'), "of the big key"));
  RequireOk(db->Put(WriteOptions(), "small", "1"));
  replicas.RequireSame();
  replicas.leader.Flush();
  replicas.RequireSame();  // one follower opens it from the files
  RequireOk(db->Delete(WriteOptions(), std::string(kBig, 'k')));
  replicas.RequireSame();
}

TEST_CASE("writes: pipelined, unordered and concurrent writers", "[e2e]") {
  enum Mode { kPlain, kPipelined, kUnordered, kSerial };
  const Mode mode = GENERATE(kPlain, kPipelined, kUnordered, kSerial);
  INFO("mode " << mode);
  ReplicasOptions options;
  options.families = TestColumnFamilies(256 << 10);
  options.leader_db.enable_pipelined_write = mode == kPipelined;
  options.leader_db.unordered_write = mode == kUnordered;
  options.leader_db.allow_concurrent_memtable_write = mode != kSerial;
  Replicas replicas(options);
  constexpr int kWriters = 4;
  constexpr int kWrites = 1500;
  std::vector<rocksdb::Status> written(kWriters);
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      rocksdb::Status& s = written[static_cast<size_t>(w)];
      for (int i = 0; i < kWrites && s.ok(); ++i) {
        const std::string key = NumberedKey(static_cast<uint64_t>(i * kWriters + w));
        rocksdb::WriteBatch batch;
        s = batch.Put(replicas.family(0), key, std::string(200, 'v'));
        if (s.ok()) s = batch.Put(replicas.family(1), key, "1");
        if (s.ok()) s = batch.Merge(replicas.family(2), "all", "1");
        if (s.ok()) s = replicas.db()->Write(WriteOptions(), &batch);
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  for (const rocksdb::Status& s : written) RequireOk(s);
  replicas.RequireSameThroughout();
  CHECK(replicas.early.Get(2, "all") == std::to_string(kWriters * kWrites));
  CHECK(replicas.early.follower->stats().sequence_gaps == 0);
}

TEST_CASE("writes: atomic flush of several column families", "[e2e]") {
  ReplicasOptions options = Rolling();
  options.families = TestColumnFamilies();
  options.leader_db.atomic_flush = true;
  Replicas replicas(options);
  MixedLoad load(replicas.db(), replicas.leader.families, 100, 7);
  for (int round = 0; round < 4; ++round) {
    RequireOk(load.Write(500));
    replicas.leader.Flush();
    replicas.RequireSame();
  }
  replicas.RequireSameThroughout();
}

}  // namespace slipstream::testing
