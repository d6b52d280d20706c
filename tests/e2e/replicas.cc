#include "tests/e2e/replicas.h"

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/sst_file_writer.h"
#include "rocksdb/wide_columns.h"

namespace slipstream::testing {
namespace {

using rocksdb::ColumnFamilyHandle;
using rocksdb::Iterator;
using rocksdb::PinnableSlice;
using rocksdb::ReadOptions;
using rocksdb::Slice;
using rocksdb::Status;

std::string Show(const Slice& bytes) {
  constexpr size_t kShown = 40;
  const Slice shown(bytes.data(), std::min(bytes.size(), kShown));
  return shown.ToString(true) + " (" + std::to_string(bytes.size()) + " bytes)";
}

std::string Entry(const Iterator& it) {
  if (!it.Valid()) return "the end, " + it.status().ToString();
  return Show(it.key()) + " = " + Show(it.value());
}

bool SameEntry(const Iterator& a, const Iterator& b, bool timestamps) {
  if (a.Valid() != b.Valid()) return false;
  if (!a.Valid()) return a.status() == b.status();
  return a.key() == b.key() && a.value() == b.value() && a.columns() == b.columns() &&
         (!timestamps || a.timestamp() == b.timestamp());
}

struct Found {
  std::string key;
  // Names and values.
  std::vector<std::pair<std::string, std::string>> columns;
};

std::vector<std::pair<std::string, std::string>> Copied(const rocksdb::WideColumns& columns) {
  std::vector<std::pair<std::string, std::string>> copy;
  for (const rocksdb::WideColumn& c : columns) {
    copy.emplace_back(c.name().ToString(), c.value().ToString());
  }
  return copy;
}

// Walks both in step. What both have is added to `found`.
std::string CompareWalks(Iterator* a, Iterator* b, bool forward, bool timestamps,
                         std::vector<Found>* found) {
  forward ? a->SeekToFirst() : a->SeekToLast();
  forward ? b->SeekToFirst() : b->SeekToLast();
  for (;;) {
    if (!SameEntry(*a, *b, timestamps)) {
      return std::string(forward ? "forwards" : "backwards") + ": leader " + Entry(*a) +
             ", follower " + Entry(*b);
    }
    if (!a->Valid()) return "";
    if (found != nullptr) found->push_back({a->key().ToString(), Copied(a->columns())});
    forward ? a->Next() : a->Prev();
    forward ? b->Next() : b->Prev();
  }
}

std::string CompareGets(rocksdb::DB* a, ColumnFamilyHandle* x, rocksdb::DB* b,
                        ColumnFamilyHandle* y, const ReadOptions& read_a, const ReadOptions& read_b,
                        const std::vector<Found>& found) {
  std::vector<Slice> keys;
  for (const Found& f : found) keys.emplace_back(f.key);
  std::vector<PinnableSlice> many(keys.size());
  std::vector<Status> statuses(keys.size());
  b->MultiGet(read_b, y, keys.size(), keys.data(), many.data(), statuses.data());
  for (size_t i = 0; i < keys.size(); ++i) {
    std::string value_a, value_b;
    const Status s = a->Get(read_a, x, keys[i], &value_a);
    const Status t = b->Get(read_b, y, keys[i], &value_b);
    if (s != t || value_a != value_b) {
      return "Get " + Show(keys[i]) + ": leader " + s.ToString() + " " + Show(value_a) +
             ", follower " + t.ToString() + " " + Show(value_b);
    }
    if (statuses[i] != s || (s.ok() && many[i] != value_a)) {
      return "MultiGet " + Show(keys[i]) + ": leader " + s.ToString() + ", follower " +
             statuses[i].ToString();
    }
    // RocksDB 7.8 has no entities with timestamps. Its own GetEntity crashes on merge operands
    // without a base value, and takes the place of a blob for its value: the leader is not asked.
    if (read_a.timestamp != nullptr) continue;
    rocksdb::PinnableWideColumns columns;
    const Status u = b->GetEntity(read_b, y, keys[i], &columns);
    if (!u.ok() || Copied(columns.columns()) != found[i].columns) {
      return "GetEntity " + Show(keys[i]) + ": follower " + u.ToString() + ", " +
             std::to_string(columns.columns().size()) + " columns";
    }
  }
  return "";
}

// Numbers and sizes of the files of each column family, by level.
std::vector<std::string> FilesOf(rocksdb::DB* db,
                                 const std::vector<ColumnFamilyHandle*>& families) {
  std::vector<std::string> files(2 * families.size());
  for (size_t i = 0; i < families.size(); ++i) {
    CHECK(db->GetProperty(families[i], rocksdb::DB::Properties::kLevelStats, &files[2 * i]));
    CHECK(db->GetProperty(families[i], rocksdb::DB::Properties::kLiveSstFilesSize,
                          &files[2 * i + 1]));
  }
  return files;
}

}  // namespace

std::string Difference(rocksdb::DB* leader, const std::vector<ColumnFamilyHandle*>& theirs,
                       rocksdb::DB* follower, const std::vector<ColumnFamilyHandle*>& ours,
                       const ReadOptions& read) {
  if (theirs.size() != ours.size()) return "another number of column families";
  const uint64_t sequence_a = leader->GetLatestSequenceNumber();
  const uint64_t sequence_b = follower->GetLatestSequenceNumber();
  if (sequence_a != sequence_b) {
    return "sequence number: leader " + std::to_string(sequence_a) + ", follower " +
           std::to_string(sequence_b);
  }
  ReadOptions read_a = read, read_b = read;
  read_a.verify_checksums = read_b.verify_checksums = true;
  read_a.total_order_seek = read_b.total_order_seek = true;
  for (size_t i = 0; i < ours.size(); ++i) {
    const bool timestamps = theirs[i]->GetComparator()->timestamp_size() > 0;
    ReadOptions a = read_a, b = read_b;
    if (!timestamps) a.timestamp = b.timestamp = nullptr;
    const std::unique_ptr<Iterator> it_a(leader->NewIterator(a, theirs[i]));
    const std::unique_ptr<Iterator> it_b(follower->NewIterator(b, ours[i]));
    std::vector<Found> found;
    std::string difference = CompareWalks(it_a.get(), it_b.get(), true, timestamps, &found);
    if (difference.empty()) {
      difference = CompareWalks(it_a.get(), it_b.get(), false, timestamps, nullptr);
    }
    if (difference.empty()) {
      difference = CompareGets(leader, theirs[i], follower, ours[i], a, b, found);
    }
    if (!difference.empty()) return "\"" + theirs[i]->GetName() + "\" " + difference;
  }
  return "";
}

Replicas::Replicas(ReplicasOptions options)
    : options_([&] {
        if (options.rolling) options.leader_db.max_manifest_file_size = 1;
        if (options.follower_families.empty()) options.follower_families = options.families;
        return std::move(options);
      }()),
      leader(cluster.StartLeader(cluster.leader_options(), options_.leader_db, options_.families)),
      early(StartFollower()) {}

LocalFollower Replicas::StartFollower() const {
  FollowerOptions follower_options = cluster.follower_options(leader.leader->port());
  if (options_.adjust_follower) options_.adjust_follower(&follower_options);
  return cluster.StartFollower(follower_options, options_.follower_db, options_.follower_families);
}

void Replicas::RequireSame(const ReadOptions& read) {
  CatchUp(leader, early);
  INFO("the follower that was there");
  REQUIRE(Difference(db(), leader.families, early.db(), early.families, read) == "");
  INFO("the follower that joined late");
  LocalFollower late = StartFollower();
  CatchUp(leader, late);
  REQUIRE(Difference(db(), leader.families, late.db(), late.families, read) == "");
  RequireOk(early.follower->stats().status);
  RequireOk(late.follower->stats().status);
}

void Replicas::RequireSettled(const ReadOptions& read) {
  CatchUp(leader, early);
  std::string difference;
  Eventually([&] {
    difference = FilesOf(db(), leader.families) == FilesOf(early.db(), early.families)
                     ? Difference(db(), leader.families, early.db(), early.families, read)
                     : "the follower has other files";
    return difference.empty();
  });
  REQUIRE(difference == "");
  RequireSame(read);
}

void Replicas::RequireSameThroughout(const ReadOptions& read) {
  RequireSame(read);
  leader.Flush();
  RequireSame(read);
  leader.Compact();
  RequireSettled(read);
}

std::string WriteTable(const std::string& path, const rocksdb::ColumnFamilyOptions& options,
                       const std::vector<std::pair<std::string, std::string>>& entries) {
  rocksdb::SstFileWriter writer(rocksdb::EnvOptions(),
                                rocksdb::Options(rocksdb::DBOptions(), options));
  RequireOk(writer.Open(path));
  for (const auto& [key, value] : entries) RequireOk(writer.Put(key, value));
  RequireOk(writer.Finish());
  return path;
}

std::string NumberedKey(uint64_t n) {
  char key[32];
  snprintf(key, sizeof(key), "key%06llu", static_cast<unsigned long long>(n));
  return key;
}

}  // namespace slipstream::testing
