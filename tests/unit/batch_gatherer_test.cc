#include "lib/core/batch_gatherer.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "rocksdb/merge_operator.h"
#include "rocksdb/write_batch.h"
#include "tests/unit/leader_history.h"
#include "tests/unit/random_seed.h"
#include "tests/unit/scratch_database.h"

namespace slipstream {
namespace {

using testing::RequireOk;
using testing::ScratchDirectory;
using Result = BatchGatherer::Result;

// A WAL record of a batch whose first entry has this sequence number.
std::string Record(const rocksdb::WriteBatch& batch, uint64_t sequence) {
  std::string record = batch.Data();
  for (int i = 0; i < 8; ++i) record[i] = static_cast<char>(sequence >> (8 * i));
  return record;
}

std::string Puts(uint64_t sequence, int n) {
  rocksdb::WriteBatch batch;
  for (int i = 0; i < n; ++i) RequireOk(batch.Put("key" + std::to_string(i), "value"));
  return Record(batch, sequence);
}

Result Add(BatchGatherer* gatherer, const std::string& record) {
  BatchHeader header;
  RequireOk(DecodeBatchHeader(record, &header));
  return gatherer->Add(header, record);
}

TEST_CASE("batch_gatherer: a header is decoded, a shorter record refused", "[unit]") {
  const std::string record = Puts(0x0102030405060708, 3);
  BatchHeader header;
  RequireOk(DecodeBatchHeader(record, &header));
  REQUIRE(header.sequence == 0x0102030405060708);
  REQUIRE(header.count == 3);
  for (size_t size = 0; size < kBatchHeaderSize; ++size) {
    REQUIRE(DecodeBatchHeader(rocksdb::Slice(record.data(), size), &header).IsCorruption());
  }
  RequireOk(DecodeBatchHeader(rocksdb::Slice(record.data(), kBatchHeaderSize), &header));
}

TEST_CASE("batch_gatherer: consecutive records are joined and counted", "[unit]") {
  BatchGatherer gatherer;
  gatherer.Expect(100);
  REQUIRE(gatherer.empty());
  REQUIRE(gatherer.Take().empty());
  REQUIRE(Add(&gatherer, Puts(100, 3)) == Result::kAdded);
  REQUIRE(Add(&gatherer, Puts(103, 2)) == Result::kAdded);
  REQUIRE(gatherer.expected() == 105);
  REQUIRE(gatherer.count() == 5);
  REQUIRE(gatherer.records() == 2);
  const std::string joined = gatherer.Take();
  REQUIRE(joined.size() == Puts(100, 3).size() + Puts(103, 2).size() - kBatchHeaderSize);
  REQUIRE(rocksdb::WriteBatch(joined).Count() == 5);
  REQUIRE(gatherer.empty());
  REQUIRE(gatherer.bytes() == 0);
  REQUIRE(gatherer.count() == 0);
  REQUIRE(gatherer.expected() == 105);
  REQUIRE(Add(&gatherer, Puts(105, 1)) == Result::kAdded);
  REQUIRE(rocksdb::WriteBatch(gatherer.Take()).Count() == 1);
}

TEST_CASE("batch_gatherer: gaps and repeats are told and not added", "[unit]") {
  BatchGatherer gatherer;
  gatherer.Expect(10);
  REQUIRE(Add(&gatherer, Puts(11, 1)) == Result::kGap);
  REQUIRE(Add(&gatherer, Puts(9, 1)) == Result::kRepeat);
  REQUIRE(Add(&gatherer, Puts(9, 5)) == Result::kRepeat);
  REQUIRE(gatherer.empty());
  REQUIRE(gatherer.expected() == 10);
  REQUIRE(Add(&gatherer, Puts(10, 2)) == Result::kAdded);
  REQUIRE(Add(&gatherer, Puts(10, 2)) == Result::kRepeat);
  REQUIRE(gatherer.count() == 2);
}

TEST_CASE("batch_gatherer: records that consume no number are passed over", "[unit]") {
  BatchGatherer gatherer;
  gatherer.Expect(10);
  rocksdb::WriteBatch batch;
  RequireOk(batch.PutLogData("a note"));
  for (const uint64_t sequence : {0, 9, 10}) {
    REQUIRE(Add(&gatherer, Record(batch, sequence)) == Result::kNothing);
  }
  // It says that the numbers before it were consumed.
  REQUIRE(Add(&gatherer, Record(batch, 11)) == Result::kGap);
  REQUIRE(gatherer.empty());
  REQUIRE(gatherer.expected() == 10);
}

TEST_CASE("batch_gatherer: a joined batch does what its records do one by one", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  ScratchDirectory directory;
  rocksdb::Options options = testing::ScratchOptions();
  options.merge_operator = std::make_shared<testing::JoinOperator>();
  auto one_by_one = testing::OpenDatabase(options, directory / "one");
  auto joined = testing::OpenDatabase(options, directory / "joined");
  rocksdb::WriteOptions write;
  write.disableWAL = true;

  BatchGatherer gatherer;
  gatherer.Expect(1);
  for (int i = 0; i < 500; ++i) {
    rocksdb::WriteBatch batch;
    for (uint64_t n = 1 + random() % 6; n > 0; --n) {
      const std::string key = "key" + std::to_string(random() % 50);
      switch (random() % 6) {
        case 0:
          RequireOk(batch.Delete(key));
          break;
        case 1:
          RequireOk(batch.DeleteRange(key, key + "~"));
          break;
        case 2:
          RequireOk(batch.DeleteRange(key, key));
          break;
        case 3:
          RequireOk(batch.PutLogData("a note"));
          [[fallthrough]];
        case 4:
          RequireOk(batch.Merge(key, std::to_string(i)));
          break;
        default:
          RequireOk(batch.Put(key, std::to_string(random() % 1000)));
      }
    }
    REQUIRE(Add(&gatherer, Record(batch, gatherer.expected())) == Result::kAdded);
    RequireOk(one_by_one->Write(write, &batch));
    if (random() % 10 != 0) continue;
    rocksdb::WriteBatch all(gatherer.Take());
    RequireOk(joined->Write(write, &all));
    REQUIRE(joined->GetLatestSequenceNumber() == gatherer.expected() - 1);
    REQUIRE(joined->GetLatestSequenceNumber() == one_by_one->GetLatestSequenceNumber());
  }
  if (!gatherer.empty()) {
    rocksdb::WriteBatch all(gatherer.Take());
    RequireOk(joined->Write(write, &all));
  }
  REQUIRE(testing::ReadContents(joined.get(), joined->DefaultColumnFamily()) ==
          testing::ReadContents(one_by_one.get(), one_by_one->DefaultColumnFamily()));
}

}  // namespace
}  // namespace slipstream
