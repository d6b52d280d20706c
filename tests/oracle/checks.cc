#include "tests/oracle/checks.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "tests/e2e/eventually.h"
#include "tests/oracle/families.h"

namespace slipstream::oracle {
namespace {

using rocksdb::ColumnFamilyHandle;
using rocksdb::ReadOptions;
using rocksdb::Slice;
using rocksdb::Status;

std::string Difference(const std::string& key, const std::string* found,
                       const std::string* expected) {
  return "key " + key + ": found " + (found ? Describe(*found) : "nothing") + ", expected " +
         (expected ? Describe(*expected) : "nothing");
}

// One entry that an iterator shows, against the one that the model has in its place.
std::string CompareEntry(const rocksdb::Iterator& it, const std::string* expected_key,
                         const std::string* expected_value) {
  const std::string key = it.key().ToString();
  const std::string found = EncodeColumns(it.columns());
  if (expected_key == nullptr) return Difference(key, &found, nullptr);
  if (key != *expected_key) {
    return "found key " + key + ", expected key " + *expected_key + " with " +
           Describe(*expected_value);
  }
  if (found != *expected_value) return Difference(key, &found, expected_value);
  return "";
}

template <typename ModelIterator>
std::string Walk(rocksdb::Iterator* it, bool forward, ModelIterator begin, ModelIterator end,
                 Totals* totals) {
  uint64_t n = 0;
  for (; it->Valid(); forward ? it->Next() : it->Prev()) {
    const bool more = begin != end;
    std::string difference =
        CompareEntry(*it, more ? &begin->first : nullptr, more ? &begin->second : nullptr);
    if (!difference.empty()) return difference;
    ++begin;
    ++n;
  }
  totals->entries_compared += n;
  if (!it->status().ok()) return "iterator: " + it->status().ToString();
  if (begin != end) return Difference(begin->first, nullptr, &begin->second);
  return "";
}

std::vector<std::string> SampleKeys(const Model::Family& expected, Random* random) {
  constexpr size_t kSample = 50;
  std::vector<std::string> keys;
  const size_t step = std::max<size_t>(1, expected.size() / kSample);
  size_t at = random->Below(step);
  size_t i = 0;
  for (const auto& [key, value] : expected) {
    if (i++ != at) continue;
    keys.push_back(key);
    keys.push_back(key + "~");  // is not there
    at += step;
  }
  return keys;
}

// Point reads of some keys, by MultiGet and by Get.
std::string ComparePoints(rocksdb::DB* db, ColumnFamilyHandle* handle,
                          const Model::Family& expected, Random* random) {
  const std::vector<std::string> keys = SampleKeys(expected, random);
  const std::vector<Slice> slices(keys.begin(), keys.end());
  std::vector<rocksdb::PinnableSlice> values(keys.size());
  std::vector<Status> statuses(keys.size());
  db->MultiGet(ReadOptions(), handle, keys.size(), slices.data(), values.data(), statuses.data());
  for (size_t i = 0; i < keys.size(); ++i) {
    auto it = expected.find(keys[i]);
    std::string single;
    const Status s = db->Get(ReadOptions(), handle, keys[i], &single);
    if (s.code() != statuses[i].code() || (s.ok() && single != values[i].ToStringView())) {
      return "key " + keys[i] + ": Get gives " + s.ToString() + " " + Describe(single) +
             ", MultiGet " + statuses[i].ToString() + " " + Describe(values[i].ToStringView());
    }
    if (s.ok() != (it != expected.end()) || (!s.ok() && !s.IsNotFound())) {
      return "key " + keys[i] + ": Get gives " + s.ToString() + ", expected " +
             (it != expected.end() ? Describe(it->second) : "nothing");
    }
    // An entity's own value is its default column.
    if (s.ok() && it->second.front() == 'v' && single != it->second.substr(1)) {
      const std::string found = EncodePlain(single);
      return Difference(keys[i], &found, &it->second);
    }
  }
  return "";
}

std::string CompareSequences(Follower& follower, const Cluster& cluster) {
  const uint64_t sequence = follower.db()->GetLatestSequenceNumber();
  const uint64_t expected = cluster.db()->GetLatestSequenceNumber();
  if (sequence == expected) return "";
  return "sequence number " + std::to_string(sequence) + ", the leader's is " +
         std::to_string(expected);
}

// Makes a write, after which sequence numbers have to agree.
void CheckSequencesAgreeAgain(Cluster* cluster, Model* model, Verdict* verdict) {
  ++verdict->totals->sequences_corrected;
  ShowSomethingNew(cluster, model, verdict);
  for (size_t i = 0; i < cluster->slots() && !verdict->failed(); ++i) {
    Follower* follower = cluster->follower(i);
    if (follower == nullptr) continue;
    const std::string what = CompareSequences(*follower, *cluster);
    if (what.empty()) continue;
    verdict->Fail("follower " + std::to_string(i) +
                  ", after a write that should make sequence numbers agree: " + what);
  }
}

// Everything, for families whose content does not follow from the model alone.
Status ReadAll(rocksdb::DB* db, ColumnFamilyHandle* handle, Model::Family* content) {
  return ReadRange(db, handle, "", "\xff", content);
}

// leader: where to read what must be there at least; null to compare the leader itself.
std::string CompareSpecial(const std::string& name, rocksdb::DB* db, ColumnFamilyHandle* handle,
                           const Model::Family& written, const Cluster* leader, Random* random,
                           Totals* totals) {
  ++totals->special_comparisons;
  if (name == kTimed) return CompareTimed(db, handle, written, random);
  Model::Family found, at_least;
  Status s = ReadAll(db, handle, &found);
  if (!s.ok()) return "reading all: " + s.ToString();
  if (leader != nullptr) {
    s = ReadAll(leader->db(), leader->handle(name), &at_least);
    if (!s.ok()) return "reading all of the leader: " + s.ToString();
  }
  totals->entries_compared += found.size();
  totals->dropped_entries += written.size() - std::min(written.size(), found.size());
  return name == kFifo ? CompareFifo(found, written, at_least)
                       : CompareFiltered(found, written, at_least);
}

void CheckFollower(const std::string& who, Follower* follower, const Position& p,
                   const Cluster& cluster, const Model& model, Random* random, Verdict* verdict) {
  auto fail = [&](const std::string& what) {
    const FollowerStats stats = follower->stats();
    verdict->Fail(who + " at " + p.ToString() + ": " + what + " (applied " +
                  stats.applied.ToString() + ", received " + stats.received.ToString() +
                  ", rebuilds " + std::to_string(stats.rebuilds) + ", resyncs " +
                  std::to_string(stats.resyncs) + ", reconnects " +
                  std::to_string(stats.reconnects) + ", connected " +
                  std::to_string(stats.connected) + ", status " + stats.status.ToString() + ")");
  };
  Status s = follower->WaitFor(p, kPatienceUs);
  if (!s.ok()) return fail("WaitFor: " + s.ToString());
  if (const uint64_t n = follower->stats().corruptions; n != 0) {
    return fail("contradicted itself " + std::to_string(n) + " times");
  }
  // Background work of the leader may move the position on, but no sequence number.
  if (const std::string difference = CompareSequences(*follower, cluster);
      !difference.empty() && cluster.seed().exact_sequences) {
    return fail(difference);
  }
  for (const auto& [name, content] : model.families_unlocked()) {
    ColumnFamilyHandle* handle = follower->GetColumnFamily(name);
    if (handle == nullptr) return fail("no column family " + name);
    const std::string difference =
        IsSpecial(name) ? CompareSpecial(name, follower->db(), handle, content, &cluster, random,
                                         verdict->totals)
                        : CompareFamily(follower->db(), handle, content, random, verdict->totals);
    if (!difference.empty()) return fail(name + ": " + difference);
  }
  for (size_t i = 0; i < 8; ++i) {
    const std::string name = "extra" + std::to_string(i);
    if (model.families_unlocked().count(name) == 0 && follower->GetColumnFamily(name) != nullptr) {
      return fail("column family " + name + " was dropped, but is shown");
    }
  }
  if (random->OneIn(10)) {
    s = follower->db()->VerifyChecksum();
    if (!s.ok()) return fail("VerifyChecksum: " + s.ToString());
  }
  if (random->OneIn(4)) {
    s = follower->WaitForFreshness(2000000, kPatienceUs);
    if (!s.ok()) return fail("WaitForFreshness: " + s.ToString());
  }
}

}  // namespace

std::string CompareFamily(rocksdb::DB* db, ColumnFamilyHandle* handle,
                          const Model::Family& expected, Random* random, Totals* totals) {
  ++totals->family_comparisons;
  std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(ReadOptions(), handle));
  it->SeekToFirst();
  std::string difference = Walk(it.get(), true, expected.begin(), expected.end(), totals);
  if (difference.empty() && random->OneIn(3)) {
    it->SeekToLast();
    difference = Walk(it.get(), false, expected.rbegin(), expected.rend(), totals);
    if (!difference.empty()) return "backward: " + difference;
  }
  if (difference.empty() && random->OneIn(3)) {
    difference = ComparePoints(db, handle, expected, random);
  }
  return difference;
}

Status ReadRange(rocksdb::DB* db, ColumnFamilyHandle* handle, const std::string& begin,
                 const std::string& end, Model::Family* content) {
  std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(ReadOptions(), handle));
  for (it->Seek(begin); it->Valid() && it->key().compare(end) < 0; it->Next()) {
    (*content)[it->key().ToString()] = EncodeColumns(it->columns());
  }
  return it->status();
}

void ShowSomethingNew(Cluster* cluster, Model* model, Verdict* verdict) {
  if (verdict->failed()) return;
  const Status s = cluster->db()->Put(rocksdb::WriteOptions(), kNewKey, "");
  if (!s.ok()) return verdict->Fail("the leader refused a write: " + s.ToString());
  model->Apply({{Change::Kind::kPut, "default", kNewKey, EncodePlain("")}});
  if (const Status flushed = cluster->PublishWrites(); !flushed.ok()) {
    return verdict->Fail("FlushWAL: " + flushed.ToString());
  }
  const Position p = cluster->leader()->position();
  for (size_t i = 0; i < cluster->slots(); ++i) {
    Follower* follower = cluster->follower(i);
    if (follower == nullptr) continue;
    const Status reached = follower->WaitFor(p, kPatienceUs);
    if (reached.ok()) continue;
    return verdict->Fail("follower " + std::to_string(i) + " does not reach " + p.ToString() +
                         ": " + reached.ToString());
  }
}

void CompareSettled(Cluster* cluster, Model* model, Verdict* verdict) {
  std::vector<std::string> names;
  for (const std::string& name : SpecialFamilies(cluster->seed())) {
    if (name != kTimed) names.push_back(name);
  }
  // A column family is created after a flush, which makes a lost tail of the WAL something else.
  if (names.empty() || cluster->seed().lost_tails || verdict->failed()) return;
  auto read_leader = [&](std::map<std::string, Model::Family>* content) {
    Status s;
    for (const std::string& name : names) {
      if (s.ok()) s = ReadAll(cluster->db(), cluster->handle(name), &(*content)[name]);
    }
    if (!s.ok()) verdict->Fail("reading special column families: " + s.ToString());
    return s.ok();
  };
  std::map<std::string, Model::Family> before, after;
  if (!read_leader(&before)) return;
  constexpr char kBarrier[] = "extra7";
  Status s = cluster->CreateFamily(kBarrier);
  if (s.ok()) s = cluster->DropFamily(kBarrier);
  if (!s.ok()) return verdict->Fail("making a barrier: " + s.ToString());
  ShowSomethingNew(cluster, model, verdict);
  std::vector<std::map<std::string, Model::Family>> shown(cluster->slots());
  for (size_t i = 0; i < cluster->slots() && !verdict->failed(); ++i) {
    Follower* follower = cluster->follower(i);
    for (const std::string& name : names) {
      if (follower == nullptr) continue;
      s = ReadAll(follower->db(), follower->GetColumnFamily(name), &shown[i][name]);
      if (!s.ok()) verdict->Fail("reading " + name + " of a follower: " + s.ToString());
    }
  }
  if (verdict->failed() || !read_leader(&after)) return;
  for (size_t i = 0; i < cluster->slots(); ++i) {
    for (const auto& [name, content] : shown[i]) {
      if (before[name] != after[name]) continue;
      ++verdict->totals->settled_comparisons;
      if (content == after[name]) continue;
      verdict->Fail("follower " + std::to_string(i) + ", after a barrier: " + name + " has " +
                    std::to_string(content.size()) + " entries, the leader's files and memtables " +
                    std::to_string(after[name].size()) + ", or other values");
    }
  }
}

void Checkpoint(Cluster* cluster, Model* model, Random* random, Verdict* verdict) {
  if (verdict->failed()) return;
  ++verdict->totals->checkpoints;
  if (const Status flushed = cluster->PublishWrites(); !flushed.ok()) {
    return verdict->Fail("FlushWAL: " + flushed.ToString());
  }
  const Position p = cluster->leader()->position();
  verdict->Trace("checkpoint at " + p.ToString());
  const LeaderStats stats = cluster->leader()->stats();
  if (!stats.replication.ok()) {
    return verdict->Fail("replication has stopped: " + stats.replication.ToString());
  }
  constexpr uint64_t kChunk = 1 << 20;  // of the replication log; the newest one is always kept
  if (stats.replication_log_bytes > cluster->seed().replication_log_bytes + kChunk) {
    return verdict->Fail("replication log: " + std::to_string(stats.replication_log_bytes) +
                         " bytes, expected at most " +
                         std::to_string(cluster->seed().replication_log_bytes + kChunk));
  }
  for (const auto& [name, content] : model->families_unlocked()) {
    ColumnFamilyHandle* handle = cluster->handle(name);
    if (handle == nullptr) return verdict->Fail("the leader has no column family " + name);
    const std::string difference =
        IsSpecial(name)
            ? CompareSpecial(name, cluster->db(), handle, content, nullptr, random, verdict->totals)
            : CompareFamily(cluster->db(), handle, content, random, verdict->totals);
    if (!difference.empty()) return verdict->Fail("leader: " + name + ": " + difference);
  }
  size_t open = 0;
  bool differ = false;
  for (size_t i = 0; i < cluster->slots(); ++i) {
    Follower* follower = cluster->follower(i);
    if (follower == nullptr) continue;
    ++open;
    CheckFollower("follower " + std::to_string(i), follower, p, *cluster, *model, random, verdict);
    if (verdict->failed()) return;
    differ |= !CompareSequences(*follower, *cluster).empty();
  }
  if (differ) CheckSequencesAgreeAgain(cluster, model, verdict);
  if (random->OneIn(2)) {
    const Status s = cluster->leader()->WaitForFollowers(p, open, AckLevel::kApplied, kPatienceUs);
    if (!s.ok()) verdict->Fail("WaitForFollowers(" + p.ToString() + "): " + s.ToString());
  }
}

void CheckNothingLeaks(Cluster* cluster, Verdict* verdict) {
  if (verdict->failed()) return;
  // Deletion is the reclaimer's, which nobody can wait for.
  Status listed;
  std::string found;
  const bool none_leaks = testing::Eventually(
      [&] {
        std::vector<std::string> objects;
        listed = cluster->ListObjects(&objects);
        if (!listed.ok()) return true;
        std::vector<std::string> files;
        uint64_t manifest_size = 0;
        cluster->db()->GetLiveFiles(files, &manifest_size, false).PermitUncheckedError();
        const size_t live = std::count_if(files.begin(), files.end(), [](const std::string& file) {
          return file.ends_with(".sst") || file.ends_with(".blob");
        });
        const LeaderStats stats = cluster->leader()->stats();
        found = std::to_string(objects.size()) + " objects on the storage, the leader counts " +
                std::to_string(stats.live_objects) + " live and " +
                std::to_string(stats.pinned_objects) + " pinned, RocksDB " + std::to_string(live);
        return objects.size() == stats.live_objects && live == objects.size() &&
               stats.pinned_objects == 0;
      },
      std::chrono::milliseconds(kPatienceUs / 1000));
  if (!listed.ok()) return verdict->Fail("listing the storage: " + listed.ToString());
  if (!none_leaks) verdict->Fail("objects leak: " + found);
}

}  // namespace slipstream::oracle
