// The replay memtable as RocksDB sees it: the parts of its contract that a random workload does not
// reach. tests/memtable has those.

#include "slipstream/replay_memtable.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "rocksdb/convenience.h"
#include "rocksdb/db.h"
#include "rocksdb/memtablerep.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/utilities/options_util.h"
#include "rocksdb/utilities/transaction.h"
#include "rocksdb/utilities/transaction_db.h"
#include "tests/memtable/key_shapes.h"
#include "tests/unit/random_seed.h"
#include "tests/unit/scratch_database.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using testing::BigEndian;
using testing::OpenDatabase;
using testing::Random;
using testing::RequireOk;
using testing::ScratchDirectory;

rocksdb::Options ReplayOptions(const rocksdb::Comparator* comparator) {
  rocksdb::Options options = testing::ScratchOptions();
  options.comparator = comparator;
  options.allow_concurrent_memtable_write = false;
  RequireOk(UseReplayMemTable(&options));
  return options;
}

uint64_t IntProperty(rocksdb::DB* db, const std::string& name) {
  uint64_t value = 0;
  REQUIRE(db->GetIntProperty(name, &value));
  return value;
}

TEST_CASE("replay_memtable: bytes are compared only where the comparator is bytewise", "[unit]") {
  CHECK(ReplayOptions(rocksdb::BytewiseComparator()).memtable_factory->GetId() ==
        "ReplayMemTableFactory:bytewise");
  CHECK(ReplayOptions(rocksdb::ReverseBytewiseComparator()).memtable_factory->GetId() ==
        "ReplayMemTableFactory");
  CHECK(NewReplayMemTableFactory()->GetId() == "ReplayMemTableFactory");
}

TEST_CASE("replay_memtable: another memtable of the host's is not replaced", "[unit]") {
  rocksdb::ColumnFamilyOptions options;
  options.memtable_factory = std::make_shared<rocksdb::VectorRepFactory>();
  const auto* before = options.memtable_factory.get();
  const rocksdb::Status s = UseReplayMemTable(&options);
  INFO(s.ToString());
  CHECK(s.IsInvalidArgument());
  CHECK(s.ToString().find("VectorRepFactory") != std::string::npos);
  CHECK(options.memtable_factory.get() == before);
  options.memtable_factory = std::make_shared<rocksdb::SkipListFactory>(3);
  CHECK(UseReplayMemTable(&options).IsInvalidArgument());
  // What it set itself it sets again, for a comparator that has changed.
  options.memtable_factory = std::make_shared<rocksdb::SkipListFactory>();
  REQUIRE(UseReplayMemTable(&options).ok());
  options.comparator = rocksdb::ReverseBytewiseComparator();
  REQUIRE(UseReplayMemTable(&options).ok());
  CHECK(options.memtable_factory->GetId() == "ReplayMemTableFactory");
}

TEST_CASE("replay_memtable: concurrent inserts are refused by RocksDB at open", "[unit]") {
  ScratchDirectory directory;
  rocksdb::Options options = ReplayOptions(rocksdb::BytewiseComparator());
  options.allow_concurrent_memtable_write = true;
  rocksdb::DB* db = nullptr;
  CHECK(rocksdb::DB::Open(options, directory.path(), &db).IsInvalidArgument());
}

TEST_CASE("replay_memtable: an OPTIONS file that names it can be loaded and opened", "[unit]") {
  for (const auto* comparator :
       {rocksdb::BytewiseComparator(), rocksdb::ReverseBytewiseComparator()}) {
    ScratchDirectory directory;
    const rocksdb::Options options = ReplayOptions(comparator);
    RequireOk(OpenDatabase(options, directory.path())->Put({}, "key", "value"));
    rocksdb::DBOptions db_options;
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    RequireOk(rocksdb::LoadLatestOptions(rocksdb::ConfigOptions(), directory.path(), &db_options,
                                         &families));
    REQUIRE(families.size() == 1);
    REQUIRE(families[0].options.memtable_factory->GetId() == options.memtable_factory->GetId());
    auto db = OpenDatabase(rocksdb::Options(db_options, families[0].options), directory.path());
    std::string value;
    RequireOk(db->Get({}, "key", &value));
    REQUIRE(value == "value");
  }
}

TEST_CASE("replay_memtable: an empty one has nothing", "[unit]") {
  ScratchDirectory directory;
  auto db = OpenDatabase(ReplayOptions(rocksdb::BytewiseComparator()), directory.path());
  std::string value;
  CHECK(db->Get({}, "key", &value).IsNotFound());
  std::unique_ptr<rocksdb::Iterator> it(db->NewIterator({}));
  it->SeekToFirst();
  CHECK_FALSE(it->Valid());
  it->SeekToLast();
  CHECK_FALSE(it->Valid());
  it->Seek("key");
  CHECK_FALSE(it->Valid());
  it->SeekForPrev("key");
  CHECK_FALSE(it->Valid());
  uint64_t count = 1;
  uint64_t bytes = 1;
  db->GetApproximateMemTableStats({"a", "z"}, &count, &bytes);
  CHECK(count == 0);
}

TEST_CASE("replay_memtable: its estimate of a range is about right", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  Random random(seed);
  for (const auto* comparator :
       {rocksdb::BytewiseComparator(), rocksdb::ReverseBytewiseComparator()}) {
    ScratchDirectory directory;
    auto db = OpenDatabase(ReplayOptions(comparator), directory.path());
    constexpr uint64_t kKeys = 20000;
    std::vector<uint64_t> numbers(kKeys);
    for (uint64_t i = 0; i < kKeys; ++i) numbers[i] = i;
    std::shuffle(numbers.begin(), numbers.end(), random);
    for (const uint64_t n : numbers) RequireOk(db->Put({}, BigEndian(n), "value"));
    for (int i = 0; i < 100; ++i) {
      const uint64_t a = random() % kKeys;
      const uint64_t b = random() % kKeys;
      const uint64_t low = std::min(a, b);
      const uint64_t high = std::max(a, b);
      const bool up = comparator == rocksdb::BytewiseComparator();
      const std::string begin = BigEndian(up ? low : high);
      const std::string end = BigEndian(up ? high : low);
      uint64_t count = 0;
      uint64_t bytes = 0;
      db->GetApproximateMemTableStats({begin, end}, &count, &bytes);
      INFO(low << " to " << high << ": " << count);
      // Nodes are between half full and full.
      CHECK(static_cast<double>(count) >= 0.75 * static_cast<double>(high - low) - 1500);
      CHECK(static_cast<double>(count) <= 1.33 * static_cast<double>(high - low) + 1500);
    }
    // Within one leaf it is exact.
    const bool up = comparator == rocksdb::BytewiseComparator();
    uint64_t exact = 0;
    for (uint64_t n = 0; n + 4 < kKeys; n += 100) {
      uint64_t count = 0;
      uint64_t bytes = 0;
      const std::string begin = BigEndian(up ? n : n + 3);
      const std::string end = BigEndian(up ? n + 3 : n);
      db->GetApproximateMemTableStats({begin, end}, &count, &bytes);
      exact += count == 3;
    }
    CHECK(exact > 150);
  }
}

TEST_CASE("replay_memtable: its memory is counted, and close to the skip list's", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  uint64_t bytes[2];
  for (const bool replay : {false, true}) {
    ScratchDirectory directory;
    rocksdb::Options options = ReplayOptions(rocksdb::BytewiseComparator());
    if (!replay) options.memtable_factory = std::make_shared<rocksdb::SkipListFactory>();
    options.arena_block_size = 64 << 10;
    auto db = OpenDatabase(options, directory.path());
    Random random(seed);
    for (int i = 0; i < 30000; ++i) {
      RequireOk(db->Put({}, testing::RandomBytes(&random, 16), std::string(100, 'v')));
    }
    bytes[replay] = IntProperty(db.get(), rocksdb::DB::Properties::kCurSizeActiveMemTable);
  }
  INFO(bytes[1] << " against " << bytes[0]);
  // The entries alone have 126 bytes, and a slot in a full leaf 17.
  CHECK(bytes[1] > 30000ull * (126 + 17));
  CHECK(bytes[1] < bytes[0] * 112 / 100);
}

TEST_CASE("replay_memtable: small ones stay small", "[unit]") {
  ScratchDirectory directory;
  auto db = OpenDatabase(ReplayOptions(rocksdb::BytewiseComparator()), directory.path());
  const uint64_t empty = IntProperty(db.get(), rocksdb::DB::Properties::kCurSizeActiveMemTable);
  RequireOk(db->Put({}, "key", "value"));
  const uint64_t one = IntProperty(db.get(), rocksdb::DB::Properties::kCurSizeActiveMemTable);
  CHECK(one - empty < 4096);
}

// The purge asks the memtable for a random sample of its entries.
TEST_CASE("replay_memtable: a memtable purge samples it and keeps what is needed", "[unit]") {
  for (const int versions : {1, 400}) {
    ScratchDirectory directory;
    rocksdb::Options options = ReplayOptions(rocksdb::BytewiseComparator());
    options.experimental_mempurge_threshold = 2.0;
    options.write_buffer_size = 256 << 10;
    auto db = OpenDatabase(options, directory.path());
    std::map<std::string, std::string> model;
    const int keys = 6000 / versions;
    for (int v = 0; v < versions; ++v) {
      for (int k = 0; k < keys; ++k) {
        const std::string key = "key" + std::to_string(k);
        model[key] = std::to_string(v) + std::string(100, 'v');
        RequireOk(db->Put({}, key, model[key]));
      }
    }
    std::unique_ptr<rocksdb::Iterator> it(db->NewIterator({}));
    it->SeekToFirst();
    for (const auto& [key, value] : model) {
      REQUIRE(it->Valid());
      REQUIRE(it->key() == key);
      REQUIRE(it->value() == value);
      it->Next();
    }
    REQUIRE_FALSE(it->Valid());
  }
}

// Keeps hold of the memtable that a database was given, which RocksDB hides.
class SpyFactory : public rocksdb::MemTableRepFactory {
 public:
  using MemTableRepFactory::CreateMemTableRep;
  rocksdb::MemTableRep* CreateMemTableRep(const rocksdb::MemTableRep::KeyComparator& compare,
                                          rocksdb::Allocator* allocator,
                                          const rocksdb::SliceTransform* transform,
                                          rocksdb::Logger* logger) override {
    return last = factory_->CreateMemTableRep(compare, allocator, transform, logger);
  }
  const char* Name() const override { return "SpyFactory"; }
  bool CanHandleDuplicatedKey() const override { return true; }

  rocksdb::MemTableRep* last = nullptr;

 private:
  const std::shared_ptr<rocksdb::MemTableRepFactory> factory_ =
      NewReplayMemTableFactory({rocksdb::BytewiseComparator()});
};

TEST_CASE("replay_memtable: samples are different entries of it, as many as asked for", "[unit]") {
  ScratchDirectory directory;
  auto spy = std::make_shared<SpyFactory>();
  rocksdb::Options options = ReplayOptions(rocksdb::BytewiseComparator());
  options.memtable_factory = spy;
  auto db = OpenDatabase(options, directory.path());
  constexpr uint64_t kEntries = 2000;
  for (uint64_t i = 0; i < kEntries; ++i) {
    RequireOk(db->Put({}, BigEndian(i * 7919 % kEntries), "value"));
  }
  rocksdb::MemTableRep* table = spy->last;
  std::set<const char*> all;
  const std::unique_ptr<rocksdb::MemTableRep::Iterator> it(table->GetIterator(nullptr));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    REQUIRE(table->Contains(it->key()));
    all.insert(it->key());
  }
  REQUIRE(all.size() == kEntries);
  // A few are drawn, many are picked on one way through.
  for (const uint64_t wanted : {1, 5, 40, 500, 2000}) {
    std::unordered_set<const char*> sample;
    table->UniqueRandomSample(kEntries, wanted, &sample);
    CHECK(sample.size() == wanted);
    for (const char* entry : sample) CHECK(all.count(entry) == 1);
  }
  // Draws reach every part of it.
  std::set<uint64_t> quarters;
  for (int i = 0; i < 200; ++i) {
    it->RandomSeek();
    REQUIRE(it->Valid());
    quarters.insert(static_cast<uint64_t>(std::distance(all.begin(), all.find(it->key()))) * 4 /
                    kEntries);
  }
  CHECK(quarters.size() == 4);
  const std::string absent =
      testing::EncodeEntry(testing::InternalKey(BigEndian(3), 1 << 30, 1), 0);
  CHECK_FALSE(table->Contains(absent.data()));
}

// Write-prepared transactions keep one sequence number for a batch, and find out from the memtable
// that a batch names a key twice.
TEST_CASE("replay_memtable: a second entry of one key and sequence number is seen", "[unit]") {
  ScratchDirectory directory;
  rocksdb::Options options = ReplayOptions(rocksdb::BytewiseComparator());
  rocksdb::TransactionDBOptions transaction_options;
  transaction_options.write_policy = rocksdb::TxnDBWritePolicy::WRITE_PREPARED;
  rocksdb::TransactionDB* opened = nullptr;
  RequireOk(rocksdb::TransactionDB::Open(options, transaction_options, directory.path(), &opened));
  std::unique_ptr<rocksdb::TransactionDB> db(opened);
  std::unique_ptr<rocksdb::Transaction> transaction(db->BeginTransaction({}));
  RequireOk(transaction->Put("key", "one"));
  RequireOk(transaction->Put("other", "1"));
  RequireOk(transaction->Put("key", "two"));
  RequireOk(transaction->Commit());
  std::string value;
  RequireOk(db->Get({}, "key", &value));
  CHECK(value == "two");
  RequireOk(db->Get({}, "other", &value));
  CHECK(value == "1");
}

TEST_CASE("replay_memtable: user timestamps", "[unit]") {
  ScratchDirectory directory;
  const rocksdb::Comparator* comparator = nullptr;
  RequireOk(rocksdb::Comparator::CreateFromString(rocksdb::ConfigOptions(),
                                                  "leveldb.BytewiseComparator.u64ts", &comparator));
  REQUIRE(comparator->timestamp_size() == 8);
  auto db = OpenDatabase(ReplayOptions(comparator), directory.path());
  auto timestamp = [](uint64_t t) {
    std::string s;
    for (int i = 0; i < 8; ++i) s.push_back(static_cast<char>(t >> (8 * i)));
    return s;
  };
  constexpr int kKeys = 500;
  for (uint64_t t = 1; t <= 5; ++t) {
    for (int k = 0; k < kKeys; ++k) {
      RequireOk(db->Put({}, "key" + std::to_string(k * 7919 % kKeys), timestamp(10 * t),
                        std::to_string(t)));
    }
  }
  for (uint64_t t = 0; t <= 5; ++t) {
    const std::string read_timestamp = timestamp(10 * t + 3);
    const Slice slice(read_timestamp);
    rocksdb::ReadOptions read;
    read.timestamp = &slice;
    std::string value;
    const rocksdb::Status s = db->Get(read, "key17", &value);
    if (t == 0) {
      CHECK(s.IsNotFound());
      continue;
    }
    RequireOk(s);
    CHECK(value == std::to_string(t));
    std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(read));
    int count = 0;
    for (it->SeekToFirst(); it->Valid(); it->Next(), ++count) {
      REQUIRE(it->value() == std::to_string(t));
    }
    CHECK(count == kKeys);
  }
}

// DBs with a prefix extractor ask for iterators that need only be right within a prefix.
TEST_CASE("replay_memtable: iterators within a prefix", "[unit]") {
  ScratchDirectory directory;
  rocksdb::Options options = ReplayOptions(rocksdb::BytewiseComparator());
  options.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(2));
  options.memtable_prefix_bloom_size_ratio = 0.1;
  options.memtable_insert_with_hint_prefix_extractor = options.prefix_extractor;
  auto db = OpenDatabase(options, directory.path());
  for (int i = 0; i < 5000; ++i) {
    const std::string prefix = {static_cast<char>('a' + i % 26), static_cast<char>('a' + i % 7)};
    RequireOk(db->Put({}, prefix + BigEndian(static_cast<uint64_t>(i)), "value"));
  }
  std::set<std::string> seen;
  for (int prefix = 0; prefix < 26 * 7; ++prefix) {
    const std::string start = {static_cast<char>('a' + prefix % 26),
                               static_cast<char>('a' + prefix / 26)};
    rocksdb::ReadOptions read;
    read.prefix_same_as_start = true;
    std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(read));
    for (it->Seek(start); it->Valid(); it->Next()) {
      REQUIRE(it->key().starts_with(start));
      REQUIRE(seen.insert(it->key().ToString()).second);
    }
    RequireOk(it->status());
  }
  REQUIRE(seen.size() == 5000);
}

}  // namespace
}  // namespace slipstream
