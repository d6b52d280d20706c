// What RocksDB puts in a WAL, and what becomes of those bytes when they are written to another
// database.

#include <atomic>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "catch2/catch.hpp"
#include "lib/core/rocksdb_release.h"
#include "rocksdb/comparator.h"
#include "rocksdb/convenience.h"
#include "rocksdb/db.h"
#include "rocksdb/statistics.h"
#include "rocksdb/utilities/debug.h"
#include "rocksdb/write_batch.h"
#include "tests/assumptions/log_records.h"
#include "tests/assumptions/open_database.h"
#include "tests/assumptions/recorded_options.h"
#include "tests/assumptions/scratch_dir.h"

namespace slipstream {
namespace {

using Kind = FileEvent::Kind;

// Returns the records of all WALs in the order in which they were written.
std::vector<std::string> WalRecords(const RecordingFileSystem& files) {
  std::vector<std::string> records;
  for (const std::string& wal : files.Names(Kind::kCreate, ".log")) {
    for (const std::string& record : ReadLogRecords(files.Bytes(wal))) records.push_back(record);
  }
  return records;
}

// Holds back the first append to a WAL of each round until the other writers are at the door of
// DB::Write, so that they queue behind it and form a group.
class WriterQueue {
 public:
  explicit WriterQueue(int writers) : writers_(writers) {}

  void HoldFirstAppend() {
    if (!armed_.exchange(false)) return;
    while (arrived_.load() < writers_) std::this_thread::yield();
    // Arrived is one call short of queued, hence the further turns. A writer that still misses
    // the group costs a round of the test, not its result.
    for (int turn = 0; turn < 200; turn++) std::this_thread::yield();
  }

  void BeginRound() {
    arrived_ = 0;
    armed_ = true;
  }

  void Arrive() { arrived_++; }

 private:
  const int writers_;
  std::atomic<int> arrived_ = 0;
  std::atomic<bool> armed_ = false;
};

TEST_CASE("wal: each group of concurrent writes is one record", "[assumptions]") {
  constexpr int kWriters = 4;
  constexpr int kMaxRounds = 500;
  WriterQueue queue(kWriters);
  RecordedOptions recorded;
  recorded.files()->SetBeforeAppend([&queue](const std::string& name) {
    if (name.ends_with(".log")) queue.HoldFirstAppend();
  });
  rocksdb::Options options = recorded.Leader();
  options.statistics = rocksdb::CreateDBStatistics();
  const ScratchDir directory;
  OpenDatabase db(options, directory.path());
  REQUIRE(db.status().ToString() == "OK");

  uint64_t writes = 0;
  std::atomic<int> failures = 0;
  for (int round = 0; round < kMaxRounds; round++) {
    queue.BeginRound();
    std::vector<std::thread> writers;
    for (int writer = 0; writer < kWriters; writer++) {
      writers.emplace_back([&db, &queue, &failures, writer] {
        queue.Arrive();
        if (!db->Put(rocksdb::WriteOptions(), std::to_string(writer), "value").ok()) failures++;
      });
    }
    for (std::thread& writer : writers) writer.join();
    writes += kWriters;
    if (options.statistics->getTickerCount(rocksdb::WRITE_DONE_BY_OTHER) > 0) break;
  }
  REQUIRE(failures == 0);
  REQUIRE(options.statistics->getTickerCount(rocksdb::WRITE_DONE_BY_OTHER) > 0);

  const auto records = WalRecords(*recorded.files());
  CHECK(records.size() < writes);
  CHECK(records.size() == options.statistics->getTickerCount(rocksdb::WRITE_DONE_BY_SELF));
  uint64_t next_sequence = 1;
  for (const std::string& record : records) {
    CHECK(ReadBatchHeader(record).sequence == next_sequence);
    next_sequence += ReadBatchHeader(record).count;
  }
  CHECK(next_sequence == writes + 1);
}

TEST_CASE("wal: a record is one append, unless it is larger than the write buffer of the file",
          "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  const rocksdb::Options options = recorded.Leader();
  OpenDatabase db(options, directory.path());
  REQUIRE(db.status().ToString() == "OK");

  recorded.files()->ForgetEvents();
  REQUIRE(db->Put(rocksdb::WriteOptions(), "key", "value").ToString() == "OK");
  CHECK(recorded.files()->Names(Kind::kAppend, ".log").size() == 1);

  recorded.files()->ForgetEvents();
  const std::string large(2 * options.writable_file_max_buffer_size, 'v');
  REQUIRE(db->Put(rocksdb::WriteOptions(), "key", large).ToString() == "OK");
  const auto appends = recorded.files()->Names(Kind::kAppend, ".log");
  REQUIRE(appends.size() > 1);
  // The pieces are cut by size alone: the first holds no end of a record.
  CHECK(ReadLogRecords(recorded.files()->events().front().bytes).empty());
}

// Two databases with the same two families.
struct Pair {
  Pair()
      : leader(Options(leader_options), leader_directory.path(), families),
        follower(Options(follower_options), follower_directory.path(), families) {
    REQUIRE(leader.status().ToString() == "OK");
    REQUIRE(follower.status().ToString() == "OK");
  }

  static rocksdb::Options Options(const RecordedOptions& recorded) {
    rocksdb::Options options = recorded.Leader();
    options.create_missing_column_families = true;
    return options;
  }

  void WriteToLeader() {
    rocksdb::WriteBatch batch;
    REQUIRE(batch.Put("a", "1").ToString() == "OK");
    REQUIRE(batch.PutLogData("consumes no sequence number").ToString() == "OK");
    REQUIRE(batch.Put(leader.family(1), "a", "2").ToString() == "OK");
    REQUIRE(batch.Delete("a").ToString() == "OK");
    REQUIRE(leader->Write(rocksdb::WriteOptions(), &batch).ToString() == "OK");
    batch.Clear();
    REQUIRE(batch.DeleteRange("a", "c").ToString() == "OK");
    REQUIRE(batch.SingleDelete(leader.family(1), "b").ToString() == "OK");
    REQUIRE(leader->Write(rocksdb::WriteOptions(), &batch).ToString() == "OK");
    REQUIRE(leader->Put(rocksdb::WriteOptions(), "b", "3").ToString() == "OK");
  }

  static std::vector<std::string> Versions(const OpenDatabase& db, size_t family) {
    constexpr size_t kNoLimit = 1000;
    std::vector<rocksdb::KeyVersion> versions;
    REQUIRE(rocksdb::GetAllKeyVersions(db.get(), db.family(family), "", "z", kNoLimit, &versions)
                .ToString() == "OK");
    std::vector<std::string> lines;
    for (const rocksdb::KeyVersion& version : versions) {
      lines.push_back(version.user_key + "@" + std::to_string(version.sequence) + " " +
                      std::to_string(version.type) + " " + version.value);
    }
    return lines;
  }

  void CheckEqual() const {
    CHECK(follower->GetLatestSequenceNumber() == leader->GetLatestSequenceNumber());
    for (size_t family = 0; family < families.size(); family++) {
      CHECK_FALSE(Versions(leader, family).empty());
      CHECK(Versions(follower, family) == Versions(leader, family));
      CHECK(follower.Contents(family) == leader.Contents(family));
    }
  }

  const std::vector<std::string> families = {rocksdb::kDefaultColumnFamilyName, "other"};
  const RecordedOptions leader_options;
  const RecordedOptions follower_options;
  const ScratchDir leader_directory;
  const ScratchDir follower_directory;
  OpenDatabase leader;
  OpenDatabase follower;
};

rocksdb::WriteOptions Unlogged() {
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  return options;
}

TEST_CASE("wal: records written to another database get the leader's sequence numbers",
          "[assumptions]") {
  Pair pair;
  pair.WriteToLeader();
  const auto records = WalRecords(*pair.leader_options.files());
  REQUIRE(records.size() == 3);
  for (const std::string& record : records) {
    const BatchHeader header = ReadBatchHeader(record);
    CHECK(header.sequence == pair.follower->GetLatestSequenceNumber() + 1);
    rocksdb::WriteBatch batch(record);
    REQUIRE(pair.follower->Write(Unlogged(), &batch).ToString() == "OK");
    CHECK(pair.follower->GetLatestSequenceNumber() == header.sequence + header.count - 1);
  }
  pair.CheckEqual();
}

// Returns one batch with the content of all records, under the header of the first.
std::string Join(const std::vector<std::string>& records) {
  std::string joined;
  uint32_t count = 0;
  for (const std::string& record : records) {
    count += ReadBatchHeader(record).count;
    joined += joined.empty() ? record : record.substr(kBatchHeaderSize);
  }
  for (size_t i = 0; i < 4; i++) joined[8 + i] = static_cast<char>(count >> (8 * i));
  return joined;
}

TEST_CASE("wal: the joined bodies of records under their summed count are equal to the records",
          "[assumptions]") {
  Pair pair;
  pair.WriteToLeader();
  rocksdb::WriteBatch batch(Join(WalRecords(*pair.leader_options.files())));
  REQUIRE(pair.follower->Write(Unlogged(), &batch).ToString() == "OK");
  pair.CheckEqual();
}

TEST_CASE("wal: an empty range delete lowers the sequence numbers of what is joined behind it",
          "[assumptions]") {
  Pair pair;
  REQUIRE(pair.leader->DeleteRange(rocksdb::WriteOptions(), pair.leader.family(0), "x", "x")
              .ToString() == "OK");
  pair.WriteToLeader();
  rocksdb::WriteBatch batch(Join(WalRecords(*pair.leader_options.files())));
  REQUIRE(pair.follower->Write(Unlogged(), &batch).ToString() == "OK");

  // The content and the last sequence number are the leader's, only the versions in between differ:
  // nobody can read at a sequence number inside a batch.
  CHECK(pair.follower->GetLatestSequenceNumber() == pair.leader->GetLatestSequenceNumber());
  for (size_t family = 0; family < pair.families.size(); family++) {
    CHECK(pair.follower.Contents(family) == pair.leader.Contents(family));
    CHECK(Pair::Versions(pair.follower, family) != Pair::Versions(pair.leader, family));
  }
}

// A physical record of a WAL.
struct Fragment {
  size_t begin = 0;  // of its header
  size_t end = 0;
  int type = 0;
};

// REQUIRES: `wal` is shorter than a block.
std::vector<Fragment> FragmentsOf(const std::string& wal) {
  constexpr size_t kHeaderSize = 7;
  constexpr size_t kRecyclableHeaderSize = 11;  // with the number of the log file
  const auto byte = [&wal](size_t at) {
    return static_cast<size_t>(static_cast<uint8_t>(wal[at]));
  };
  std::vector<Fragment> fragments;
  size_t at = 0;
  while (at + kHeaderSize <= wal.size()) {
    const int type = wal[at + 6];
    const bool recyclable = (type >= 5 && type <= 8) || type == 11;
    const size_t end = at + (recyclable ? kRecyclableHeaderSize : kHeaderSize) + byte(at + 4) +
                       (byte(at + 5) << 8);
    fragments.push_back({at, end, type});
    at = end;
  }
  CHECK(at == wal.size());
  return fragments;
}

rocksdb::Options WithTimestamps(rocksdb::Options options) {
  const rocksdb::Status s = rocksdb::Comparator::CreateFromString(
      rocksdb::ConfigOptions(), "leveldb.BytewiseComparator.u64ts", &options.comparator);
  REQUIRE(s.ToString() == "OK");
  REQUIRE(options.comparator->timestamp_size() == 8);
  return options;
}

TEST_CASE("wal: RocksDB 9.10 tells the size of a family's timestamps before the next record",
          "[assumptions]") {
  const bool recycled = GENERATE(false, true);
  const RecordedOptions recorded;
  const ScratchDir directory;
  rocksdb::Options options = recorded.Leader();
  if (recycled) {
    options.recycle_log_file_num = 1;
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
  }
  OpenDatabase db(options, directory.path());
  REQUIRE(db.status().ToString() == "OK");
  const rocksdb::WriteOptions write;
  REQUIRE(db->Put(write, "a", "1").ToString() == "OK");
  const size_t timed = db.CreateFamily(WithTimestamps(options), "timed");
  REQUIRE(db->Put(write, "a", "2").ToString() == "OK");
  REQUIRE(db->Put(write, db.family(timed), "a", "12345678", "3").ToString() == "OK");

  const auto wals = recorded.files()->Names(Kind::kCreate, ".log");
  REQUIRE(wals.size() == 1);
  const std::string bytes = recorded.files()->Bytes(wals[0]);
  const std::vector<Fragment> fragments = FragmentsOf(bytes);
  std::vector<int> types;
  for (const Fragment& fragment : fragments) types.push_back(fragment.type);
  const int full = recycled ? 5 : 1;
#if SLIPSTREAM_ROCKSDB_9
  REQUIRE(types == std::vector<int>{full, recycled ? 11 : 10, full, full});
  // For each family its number and the size.
  const std::string payload("\1\0\0\0\10\0", 6);
  CHECK(bytes.substr(fragments[1].end - payload.size(), payload.size()) == payload);
#else
  CHECK(types == std::vector<int>{full, full, full});
#endif
}

// That is why a WAL that is written anew has to keep them.
TEST_CASE("wal: where no size of timestamps is told, RocksDB 9.10 appends one to each key",
          "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  OpenDatabase db(WithTimestamps(recorded.Leader()), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  const std::string five("\5\0\0\0\0\0\0\0", 8), nine("\11\0\0\0\0\0\0\0", 8);
  REQUIRE(db->Put(rocksdb::WriteOptions(), "key", five, "value").ToString() == "OK");

  const auto read = [&](bool with_sizes, const std::string& key) -> std::string {
    const RecordedOptions read_options;
    const ScratchDir copy;
    copy.CopyFilesOf(directory);
    const std::vector<std::string> wals = copy.FilesEndingWith(".log");
    REQUIRE(wals.size() == 1);
    std::ifstream in(copy.file(wals[0]), std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    const std::vector<Fragment> fragments = FragmentsOf(bytes);
    REQUIRE(fragments.size() == (SLIPSTREAM_ROCKSDB_9 ? 2 : 1));
    if (!with_sizes) bytes.erase(0, fragments.back().begin);
    std::ofstream(copy.file(wals[0]), std::ios::binary | std::ios::trunc) << bytes;
    OpenDatabase recovered(WithTimestamps(read_options.Generation()), copy.path());
    REQUIRE(recovered.status().ToString() == "OK");
    const rocksdb::Slice at = nine;
    rocksdb::ReadOptions options;
    options.timestamp = &at;
    std::string value;
    const rocksdb::Status s = recovered->Get(options, key, &value);
    return s.ok() ? value : s.ToString();
  };
  CHECK(read(true, "key") == "value");
  CHECK(read(true, "key" + five) == "NotFound: ");
#if SLIPSTREAM_ROCKSDB_9
  CHECK(read(false, "key") == "NotFound: ");
  CHECK(read(false, "key" + five) == "value");
#else
  CHECK(read(false, "key") == "value");
#endif
}

}  // namespace
}  // namespace slipstream
