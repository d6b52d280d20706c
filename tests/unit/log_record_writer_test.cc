#include "lib/core/log_record_writer.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "lib/core/log_format.h"
#include "lib/core/rocksdb_release.h"
#include "rocksdb/comparator.h"
#include "rocksdb/convenience.h"
#include "rocksdb/write_batch.h"
#include "tests/unit/random_seed.h"
#include "tests/unit/scratch_database.h"

namespace slipstream {
namespace {

std::string Rewritten(const std::vector<std::string>& records) {
  LogRecordWriter writer;
  std::string bytes;
  for (const std::string& record : records) {
    writer.AddRecord(record, &bytes);
    REQUIRE(writer.offset() == bytes.size());
  }
  return bytes;
}

TEST_CASE("log_record_writer: records of a RocksDB WAL give RocksDB's bytes", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  testing::ScratchDirectory directory;
  auto db = testing::OpenDatabase(testing::ScratchOptions(), directory.path());
  // Each value is chosen so that the WAL's end walks over all distances from a block's end: RocksDB
  // pads there, or ends the block with an empty fragment.
  size_t file_size = 0;
  for (int i = 0; i < 300; ++i) {
    const size_t left = kLogBlockBytes - file_size % kLogBlockBytes;
    // A record is a fragment header, a batch header of 12 bytes, and the put: its tag, a key of 4
    // bytes with its length, and the value with a length of up to three bytes.
    size_t value_size = random() % 200;
    if (left > 200) value_size = left - 7 - 12 - 6 - 3 - i % 17;
    if (i % 50 == 49) value_size = 70000 + random() % 100000;
    rocksdb::WriteBatch batch;
    testing::RequireOk(batch.Put("key!", std::string(value_size, 'v')));
    testing::RequireOk(db->Write(rocksdb::WriteOptions(), &batch));
    rocksdb::VectorLogPtr wals;
    testing::RequireOk(db->GetSortedWalFiles(wals));
    file_size = wals.back()->SizeFileBytes();
  }
  rocksdb::VectorLogPtr wals;
  testing::RequireOk(db->GetSortedWalFiles(wals));
  REQUIRE(wals.size() == 1);
  const std::string bytes = testing::ReadWholeFile(directory.path() + wals[0]->PathName());
  REQUIRE(bytes.size() > 300 * 16000);
  const std::vector<std::string> records = testing::ReadRecords(bytes);
  REQUIRE(records.size() == 300);
  REQUIRE(Rewritten(records) == bytes);
}

TEST_CASE("log_record_writer: records of a RocksDB manifest give RocksDB's bytes", "[unit]") {
  testing::ScratchDirectory directory;
  auto db = testing::OpenDatabase(testing::ScratchOptions(), directory.path());
  for (int i = 0; i < 20; ++i) {
    testing::RequireOk(db->Put(rocksdb::WriteOptions(), "key" + std::to_string(i), "value"));
    testing::RequireOk(db->Flush(rocksdb::FlushOptions()));
  }
  const std::string bytes = testing::ReadCurrentManifest(directory.path());
  const std::vector<std::string> records = testing::ReadRecords(bytes);
  REQUIRE(records.size() > 20);
  REQUIRE(Rewritten(records) == bytes);
}

#if SLIPSTREAM_ROCKSDB_9
TEST_CASE(
    "log_record_writer: timestamp sizes give RocksDB's bytes at each distance from a block's end",
    "[unit]") {
  testing::ScratchDirectory directory;
  const rocksdb::Options options = testing::ScratchOptions();
  auto db = testing::OpenDatabase(options, directory.path());
  rocksdb::ColumnFamilyOptions timed;
  testing::RequireOk(rocksdb::Comparator::CreateFromString(
      rocksdb::ConfigOptions(), "leveldb.BytewiseComparator.u64ts", &timed.comparator));
  const auto wal_bytes = [&] {
    rocksdb::VectorLogPtr wals;
    testing::RequireOk(db->GetSortedWalFiles(wals));
    if (wals.empty()) return std::string();  // while nothing is in it
    REQUIRE(wals.size() == 1);
    return testing::ReadWholeFile(directory.path() + wals[0]->PathName());
  };
  // 13 bytes with their header, before the next record of any column family.
  constexpr size_t kSizes = 13;
  for (size_t left = 0; left < kSizes + 9; ++left) {
    // Up to the block's end, but for `left` bytes. A record is a fragment header, a batch header of
    // 12 bytes, and the put: its tag, a key of 4 bytes with its length, and the value with a length
    // of three bytes.
    const size_t value_size = 2 * kLogBlockBytes - wal_bytes().size() % kLogBlockBytes - left;
    const size_t fragments = 2 * kLogHeaderBytes;
    testing::RequireOk(db->Put(rocksdb::WriteOptions(), "key!",
                               std::string(value_size - fragments - 12 - 6 - 3, 'v')));
    REQUIRE((wal_bytes().size() + left) % kLogBlockBytes == 0);
    rocksdb::ColumnFamilyHandle* family = nullptr;
    testing::RequireOk(db->CreateColumnFamily(timed, "timed" + std::to_string(left), &family));
    testing::RequireOk(db->Put(rocksdb::WriteOptions(), family, "key", "12345678", "value"));
    testing::RequireOk(db->DestroyColumnFamilyHandle(family));
  }
  const std::string bytes = wal_bytes();
  LogRecordReader reader("wal");
  LogRecordWriter writer;
  std::string rewritten;
  size_t asides = 0;
  testing::RequireOk(reader.Feed(
      bytes,
      [&](rocksdb::Slice record, uint64_t) {
        writer.AddRecord(record, &rewritten);
        return rocksdb::Status::OK();
      },
      [&](rocksdb::Slice sizes, uint64_t) {
        ++asides;
        writer.AddTimestampSizes(sizes, &rewritten);
        return rocksdb::Status::OK();
      }));
  REQUIRE(asides == kSizes + 9);
  REQUIRE(writer.offset() == bytes.size());
  REQUIRE((rewritten == bytes));
}
#endif

TEST_CASE("log_record_writer: RocksDB opens a WAL that was rewritten", "[unit]") {
  testing::ScratchDirectory directory;
  auto db = testing::OpenDatabase(testing::ScratchOptions(), directory.path());
  testing::RequireOk(db->Put(rocksdb::WriteOptions(), "kept", std::string(50000, 'k')));
  testing::RequireOk(db->Put(rocksdb::WriteOptions(), "removed", "value"));
  rocksdb::VectorLogPtr wals;
  testing::RequireOk(db->GetSortedWalFiles(wals));
  const std::string wal = directory.path() + wals.back()->PathName();
  testing::RequireOk(db->Close());
  db.reset();
  std::vector<std::string> records = testing::ReadRecords(testing::ReadWholeFile(wal));
  REQUIRE(records.size() == 2);
  records.pop_back();
  std::ofstream(wal, std::ios::binary | std::ios::trunc) << Rewritten(records);
  db = testing::OpenDatabase(testing::ScratchOptions(), directory.path());
  std::string value;
  testing::RequireOk(db->Get(rocksdb::ReadOptions(), "kept", &value));
  REQUIRE(value.size() == 50000);
  REQUIRE(db->Get(rocksdb::ReadOptions(), "removed", &value).IsNotFound());
}

TEST_CASE("log_record_writer: appending goes on from any record boundary", "[unit]") {
  const std::vector<std::string> records = {std::string(100, 'a'), std::string(32641, 'b'), "",
                                            std::string(70000, 'c'), "d"};
  const std::string whole = Rewritten(records);
  std::string bytes;
  for (const std::string& record : records) {
    LogRecordWriter writer(bytes.size());
    writer.AddRecord(record, &bytes);
    REQUIRE(writer.offset() == bytes.size());
  }
  REQUIRE(bytes == whole);
}

}  // namespace
}  // namespace slipstream
