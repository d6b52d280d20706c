#include "tests/memtable/twin_databases.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "rocksdb/comparator.h"
#include "rocksdb/merge_operator.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/utilities/debug.h"
#include "slipstream/replay_memtable.h"

namespace slipstream::testing {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

// Longer keys first.
class LengthComparator : public rocksdb::Comparator {
 public:
  int Compare(const Slice& a, const Slice& b) const override {
    if (a.size() != b.size()) return a.size() > b.size() ? -1 : 1;
    return a.compare(b);
  }
  const char* Name() const override { return "LengthComparator"; }
  void FindShortestSeparator(std::string*, const Slice&) const override {}
  void FindShortSuccessor(std::string*) const override {}
};

// Appends; the order of operands shows.
class JoinOperator : public rocksdb::AssociativeMergeOperator {
 public:
  bool Merge(const Slice&, const Slice* existing, const Slice& value, std::string* result,
             rocksdb::Logger*) const override {
    *result = existing == nullptr ? "" : existing->ToString() + ",";
    *result += value.ToString();
    return true;
  }
  const char* Name() const override { return "JoinOperator"; }
};

const char* const kSideNames[] = {"skip list", "replay memtable"};

}  // namespace

TwinDatabases::TwinDatabases(uint64_t seed) : seed_(seed), random_(seed) {
  const KeyShape shape = kKeyShapes[Below(&random_, std::size(kKeyShapes))];
  KeySource source(shape, &random_);
  const uint64_t key_count = 1 + Below(&random_, 2000);
  for (uint64_t i = 0; i < key_count; ++i) keys_.push_back(source.Next());
  const Order order = static_cast<Order>(Below(&random_, 3));
  static const LengthComparator kLength;

  rocksdb::Options options;
  options.create_if_missing = true;
  options.disable_auto_compactions = true;
  options.allow_concurrent_memtable_write = false;
  options.merge_operator = std::make_shared<JoinOperator>();
  if (order == Order::kReverse) options.comparator = rocksdb::ReverseBytewiseComparator();
  if (order == Order::kCustom) options.comparator = &kLength;
  if (order == Order::kBytewise && Below(&random_, 2) == 0) {
    options.prefix_extractor.reset(rocksdb::NewCappedPrefixTransform(3));
    options.memtable_prefix_bloom_size_ratio = 0.1;
    options.memtable_whole_key_filtering = Below(&random_, 2) == 0;
  }
  if (Below(&random_, 4) == 0) {
    options.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewCappedPrefixTransform(2));
  }
  if (Below(&random_, 4) == 0) options.max_successive_merges = 3;
  if (Below(&random_, 4) == 0) options.memtable_protection_bytes_per_key = 8;
  options.write_buffer_size = Below(&random_, 2) == 0 ? 64 << 20 : 128 << 10;
  options.max_write_buffer_number = 8;
  // An update in place needs the older version in the same memtable, and the sides fill theirs at
  // different moments.
  options.inplace_update_support = options.write_buffer_size > 1 << 20 && Below(&random_, 4) == 0;
  for (int i = 0; i < kSides; ++i) {
    env_[i].reset(rocksdb::NewMemEnv(rocksdb::Env::Default()));
    options_[i] = options;
    options_[i].env = env_[i].get();
  }
  const Status s = UseReplayMemTable(&options_[1]);
  description_ = "--seed " + std::to_string(seed) + " (" + NameOf(shape) + ", " +
                 options.comparator->Name() + ")";
  Require(s.ok(), s.ToString());
  Open();
}

TwinDatabases::~TwinDatabases() { Close(); }

void TwinDatabases::Require(bool ok, const std::string& what) const {
  if (ok) return;
  std::fprintf(stderr, "FAILED: %s in %s\n", what.c_str(), description_.c_str());
  std::abort();
}

void TwinDatabases::RequireSame(const Status& a, const Status& b, const std::string& what) {
  Require(a == b && a.ToString() == b.ToString(),
          what + ": " + a.ToString() + " and " + b.ToString());
}

void TwinDatabases::Open() {
  for (int i = 0; i < kSides; ++i) {
    rocksdb::DB* db = nullptr;
    const Status s = rocksdb::DB::Open(options_[i], "/twin", &db);
    Require(s.ok(), std::string("open of the ") + kSideNames[i] + ": " + s.ToString());
    db_[i].reset(db);
  }
}

void TwinDatabases::Close() {
  walks_.clear();
  for (View& view : views_) {
    for (int i = 0; i < kSides; ++i) db_[i]->ReleaseSnapshot(view.snapshot[i]);
  }
  views_.clear();
  for (auto& db : db_) db.reset();
}

void TwinDatabases::Reopen() {
  Close();
  Open();
}

void TwinDatabases::Run(int operations) {
  for (int i = 0; i < operations; ++i) Step();
  CompareAll();
}

void TwinDatabases::Step() {
  const uint64_t choice = Below(&random_, 1000);
  if (choice < 450)
    Write();
  else if (choice < 600)
    CompareGet();
  else if (choice < 650)
    CompareMultiGet();
  else if (choice < 700)
    StartWalk();
  else if (choice < 930 && !walks_.empty())
    StepWalk(&walks_[Below(&random_, walks_.size())]);
  else if (choice < 970)
    ChangeSnapshots();
  else if (choice < 980)
    CompareCounts();
  else if (choice < 984)
    Flush();
  else if (choice < 986)
    CompareAll();
  else if (choice < 987)
    Reopen();
}

std::string TwinDatabases::Key() {
  std::string key = keys_[Below(&random_, keys_.size())];
  if (Below(&random_, 10) == 0) key.push_back(static_cast<char>(random_()));
  return key;
}

std::string TwinDatabases::Value() { return RandomBytes(&random_, Below(&random_, 120)); }

const rocksdb::Comparator* TwinDatabases::comparator() const { return options_[0].comparator; }

void TwinDatabases::AddOperation(rocksdb::WriteBatch* batch) {
  const uint64_t choice = Below(&random_, 100);
  Status s;
  if (choice < 60) {
    s = batch->Put(Key(), Value());
  } else if (choice < 75) {
    s = batch->Merge(Key(), std::to_string(Below(&random_, 100)));
  } else if (choice < 92) {
    s = batch->Delete(Key());
  } else if (choice < 95 && !options_[0].inplace_update_support &&
             // Both tables of a skip list memtable would share one set of hints, and break.
             options_[0].memtable_insert_with_hint_prefix_extractor == nullptr) {
    std::string begin = Key();
    std::string end = Key();
    if (comparator()->Compare(begin, end) > 0) std::swap(begin, end);
    s = batch->DeleteRange(begin, end);
  } else {
    s = batch->Put(Key(), std::string(Below(&random_, 2000), 'x'));
  }
  Require(s.ok(), "batch: " + s.ToString());
}

void TwinDatabases::Write() {
  rocksdb::WriteBatch batch;
  const uint64_t operations = 1 + Below(&random_, Below(&random_, 4) == 0 ? 200 : 10);
  for (uint64_t i = 0; i < operations; ++i) AddOperation(&batch);
  RequireSame(db_[0]->Write({}, &batch), db_[1]->Write({}, &batch), "write");
  Require(db_[0]->GetLatestSequenceNumber() == db_[1]->GetLatestSequenceNumber(), "sequence");
}

void TwinDatabases::CompareGet() {
  rocksdb::ReadOptions read[kSides];
  if (!views_.empty() && Below(&random_, 2) == 0) {
    const View& view = views_[Below(&random_, views_.size())];
    for (int i = 0; i < kSides; ++i) read[i].snapshot = view.snapshot[i];
  }
  for (int n = 0; n < 10; ++n) {
    const std::string key = Key();
    std::string value[kSides];
    const Status a = db_[0]->Get(read[0], key, &value[0]);
    RequireSame(a, db_[1]->Get(read[1], key, &value[1]), "get");
    if (a.ok()) Require(value[0] == value[1], "get: different values");
  }
}

void TwinDatabases::CompareMultiGet() {
  std::vector<std::string> keys;
  for (uint64_t n = 1 + Below(&random_, 20); n > 0; --n) keys.push_back(Key());
  const std::vector<Slice> slices(keys.begin(), keys.end());
  std::vector<std::string> values[kSides];
  std::vector<Status> statuses[kSides];
  for (int i = 0; i < kSides; ++i) statuses[i] = db_[i]->MultiGet({}, slices, &values[i]);
  for (size_t n = 0; n < keys.size(); ++n) {
    RequireSame(statuses[0][n], statuses[1][n], "multi get");
    if (statuses[0][n].ok()) Require(values[0][n] == values[1][n], "multi get: different values");
  }
}

void TwinDatabases::StartWalk() {
  if (walks_.size() > 5) walks_.erase(walks_.begin());
  Walk walk;
  // What has no order of its own within a prefix may differ, so walks are total or keep to one.
  rocksdb::ReadOptions read;
  read.total_order_seek = true;
  for (int i = 0; i < kSides; ++i) walk.iterator[i].reset(db_[i]->NewIterator(read));
  walks_.push_back(std::move(walk));
  Walk& started = walks_.back();
  const uint64_t choice = Below(&random_, 10);
  const std::string key = Key();
  for (auto& iterator : started.iterator) {
    if (choice == 0)
      iterator->SeekToFirst();
    else if (choice == 1)
      iterator->SeekToLast();
    else if (choice < 6)
      iterator->Seek(key);
    else
      iterator->SeekForPrev(key);
  }
  CompareAt(started, "seek");
}

void TwinDatabases::StepWalk(Walk* walk) {
  const bool forward = Below(&random_, 2) == 0;
  if (Below(&random_, 10) == 0) {
    const std::string key = Key();
    for (auto& iterator : walk->iterator) {
      if (forward)
        iterator->Seek(key);
      else
        iterator->SeekForPrev(key);
    }
    CompareAt(*walk, "seek again");
  }
  for (uint64_t n = Below(&random_, 60); n > 0 && walk->iterator[0]->Valid(); --n) {
    for (auto& iterator : walk->iterator) {
      if (forward)
        iterator->Next();
      else
        iterator->Prev();
    }
    CompareAt(*walk, forward ? "next" : "prev");
  }
}

void TwinDatabases::CompareAt(const Walk& walk, const std::string& what) {
  const auto& [a, b] = walk.iterator;
  Require(a->Valid() == b->Valid(), what + ": one iterator ended");
  RequireSame(a->status(), b->status(), what);
  if (!a->Valid()) return;
  Require(a->key() == b->key(), what + ": different keys");
  // An update in place also changes what older iterators see, at the same time on both sides.
  Require(a->value() == b->value(), what + ": different values");
}

void TwinDatabases::ChangeSnapshots() {
  // RocksDB gives none with updates in place.
  if (options_[0].inplace_update_support) return;
  if (views_.size() > 4) {
    for (int i = 0; i < kSides; ++i) db_[i]->ReleaseSnapshot(views_.front().snapshot[i]);
    views_.erase(views_.begin());
  }
  View view;
  for (int i = 0; i < kSides; ++i) view.snapshot[i] = db_[i]->GetSnapshot();
  views_.push_back(view);
}

void TwinDatabases::Flush() {
  RequireSame(db_[0]->Flush({}), db_[1]->Flush({}), "flush");
  if (Below(&random_, 3) == 0) {
    RequireSame(db_[0]->CompactRange({}, nullptr, nullptr),
                db_[1]->CompactRange({}, nullptr, nullptr), "compaction");
  }
}

void TwinDatabases::CompareAll() {
  rocksdb::ReadOptions read;
  read.total_order_seek = true;
  for (const bool forward : {true, false}) {
    Walk walk;
    for (int i = 0; i < kSides; ++i) {
      walk.iterator[i].reset(db_[i]->NewIterator(read));
      if (forward)
        walk.iterator[i]->SeekToFirst();
      else
        walk.iterator[i]->SeekToLast();
    }
    for (CompareAt(walk, "scan"); walk.iterator[0]->Valid(); CompareAt(walk, "scan")) {
      for (auto& iterator : walk.iterator) {
        if (forward)
          iterator->Next();
        else
          iterator->Prev();
      }
    }
  }
  // The tables that were flushed may hold different versions: each side chose its own moments.
  if (options_[0].write_buffer_size < 1 << 20) return;
  if (comparator() != rocksdb::BytewiseComparator()) return;
  std::vector<rocksdb::KeyVersion> versions[kSides];
  for (int i = 0; i < kSides; ++i) {
    const Status s =
        rocksdb::GetAllKeyVersions(db_[i].get(), Slice(), Slice(), 1 << 30, &versions[i]);
    Require(s.ok(), "all versions: " + s.ToString());
  }
  Require(versions[0].size() == versions[1].size(), "number of versions");
  for (size_t n = 0; n < versions[0].size(); ++n) {
    const auto& a = versions[0][n];
    const auto& b = versions[1][n];
    Require(a.user_key == b.user_key && a.value == b.value && a.sequence == b.sequence &&
                a.type == b.type,
            "version " + std::to_string(n));
  }
}

// Both sides estimate; ours has to be about right.
void TwinDatabases::CompareCounts() {
  std::string begin = Key();
  std::string end = Key();
  if (comparator()->Compare(begin, end) > 0) std::swap(begin, end);
  uint64_t active = 0;
  uint64_t immutable = 0;
  using Properties = rocksdb::DB::Properties;
  Require(db_[1]->GetIntProperty(Properties::kNumEntriesActiveMemTable, &active) &&
              db_[1]->GetIntProperty(Properties::kNumEntriesImmMemTables, &immutable),
          "properties");
  uint64_t count[kSides];
  uint64_t bytes[kSides];
  for (int i = 0; i < kSides; ++i) {
    db_[i]->GetApproximateMemTableStats({begin, end}, &count[i], &bytes[i]);
  }
  Require(count[1] <= active + immutable, "more entries in a range than there are");
}

}  // namespace slipstream::testing
