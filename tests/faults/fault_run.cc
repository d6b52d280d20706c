#include "tests/faults/fault_run.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "tests/e2e/eventually.h"

namespace slipstream::testing {
namespace {

using rocksdb::ColumnFamilyDescriptor;
using rocksdb::ColumnFamilyHandle;
using rocksdb::ColumnFamilyOptions;
using rocksdb::ReadOptions;
using rocksdb::Status;
using rocksdb::WriteOptions;

constexpr char kDatabase[] = "test";

void Require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

void RequireOk(const Status& s, const std::string& what) {
  Require(s.ok(), what + ": " + s.ToString());
}

ColumnFamilyOptions FamilyOptions() {
  ColumnFamilyOptions options;
  options.compression = rocksdb::kNoCompression;
  options.disable_auto_compactions = true;
  return options;
}

// All entries of a column family.
std::map<std::string, std::string> ContentOf(rocksdb::DB* db, ColumnFamilyHandle* family) {
  std::map<std::string, std::string> content;
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(ReadOptions(), family));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    content[it->key().ToString()] = it->value().ToString();
  }
  RequireOk(it->status(), "iterator");
  return content;
}

}  // namespace

FaultRun::FaultRun() {
  RequireOk(ReplicationServer::Start(ReplicationServerOptions(), &server_), "server");
  OpenLeader();
  Create("b");
  Put("default", "first", "1");
  OpenFollower();
}

FaultRun::~FaultRun() {
  follower_.reset();
  CloseLeader();
}

void FaultRun::OpenLeader() {
  LeaderOptions options;
  options.database = kDatabase;
  options.storage = storage_;
  options.server = server_;
  options.heartbeat_ms = 20;
  options.follower_lease_ms = 100;
  rocksdb::DBOptions db_options;
  db_options.env = env_.get();
  db_options.create_if_missing = true;
  db_options.bgerror_resume_retry_interval = 5000;
  // Every few edits make a new MANIFEST.
  db_options.max_manifest_file_size = 400;
  db_options.max_background_jobs = 2;

  const std::string path = directory_.path("leader");
  std::vector<std::string> names;
  if (!rocksdb::DB::ListColumnFamilies(rocksdb::DBOptions(), path, &names).ok()) {
    names = {rocksdb::kDefaultColumnFamilyName};
  }
  std::vector<ColumnFamilyDescriptor> descriptors;
  for (const std::string& name : names) descriptors.emplace_back(name, FamilyOptions());
  std::vector<ColumnFamilyHandle*> handles;
  RequireOk(Leader::Open(options, db_options, path, descriptors, &handles, &leader_),
            "opening the leader");
  for (ColumnFamilyHandle* handle : handles) families_[handle->GetName()] = handle;
}

void FaultRun::CloseLeader() {
  for (auto& [name, handle] : families_) delete handle;
  families_.clear();
  leader_.reset();
}

void FaultRun::OpenFollower() {
  FollowerOptions options;
  options.database = kDatabase;
  options.storage = memory_;
  options.leader_address = "127.0.0.1:" + std::to_string(server_->port());
  options.rebuild_interval_ms = 1;
  options.rebuild_flushed_bytes = 64 << 10;
  options.other_column_families = FamilyOptions();
  RequireOk(Follower::Open(options, rocksdb::Options(), &follower_), "opening the follower");
}

void FaultRun::Recover() {
  fs_->Heal();
  storage_->HealLasting();  // a single one may be meant for what comes later
  Status s;
  const bool decided = Eventually([&] {
    s = leader_->db()->Resume();
    return s.ok() || s.severity() >= Status::Severity::kFatalError;
  });
  Require(decided, "resuming: " + s.ToString());
  if (s.ok()) return;
  ++reopens_;
  CloseLeader();
  OpenLeader();
}

void FaultRun::Step(const std::function<Status()>& action) {
  if (before_step_) before_step_(MemtablesEmpty());
  Status s;
  const bool done = Eventually([&] {
    s = action();
    if (s.ok()) return true;
    ++failed_steps_;
    Recover();
    return false;
  });
  Require(done, "step: " + s.ToString());
}

void FaultRun::Put(const std::string& family, const std::string& key, const std::string& value,
                   bool sync) {
  WriteOptions options;
  options.sync = sync;
  Step([&] { return leader_->db()->Put(options, families_[family], key, value); });
  acknowledged_[{family, key}] = value;
}

void FaultRun::Delete(const std::string& family, const std::string& key) {
  Step([&] { return leader_->db()->Delete(WriteOptions(), families_[family], key); });
  acknowledged_[{family, key}] = std::nullopt;
}

void FaultRun::Flush() {
  Step([&] {
    std::vector<ColumnFamilyHandle*> all;
    for (auto& [name, handle] : families_) all.push_back(handle);
    return leader_->db()->Flush(rocksdb::FlushOptions(), all);
  });
}

void FaultRun::Compact(const std::string& family) {
  Step([&] {
    rocksdb::CompactRangeOptions options;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    return leader_->db()->CompactRange(options, families_[family], nullptr, nullptr);
  });
}

void FaultRun::Create(const std::string& family) {
  Step([&] {
    if (families_.count(family) != 0) return Status::OK();  // an open has found it
    ColumnFamilyHandle* handle = nullptr;
    Status s = leader_->db()->CreateColumnFamily(FamilyOptions(), family, &handle);
    if (s.ok()) families_[family] = handle;
    return s;
  });
}

bool FaultRun::MemtablesEmpty() {
  uint64_t entries = 0;
  for (const std::string& property : {rocksdb::DB::Properties::kNumEntriesActiveMemTable,
                                      rocksdb::DB::Properties::kNumEntriesImmMemTables}) {
    for (auto& [name, handle] : families_) {
      uint64_t n = 0;
      Require(leader_->db()->GetIntProperty(handle, property, &n), property);
      entries += n;
    }
  }
  return entries == 0;
}

void FaultRun::Run(const std::function<void(bool)>& before_step) {
  before_step_ = before_step;
  Put("default", "a", "1", true);
  Put("b", "a", "2");
  Delete("default", "first");
  Flush();
  Put("default", "b", std::string(3000, 'x'), true);
  Put("b", "b", std::string(70000, 'y'));
  Create("c");
  Put("c", "a", "3", true);
  Flush();
  Put("b", "c", "4");
  Step([&] { return leader_->db()->SyncWAL(); });
  Compact("default");
  Delete("b", "a");
  Put("default", "d", "5", true);
  Flush();
  Put("c", "b", "6");
  Compact("b");
  Put("default", "last", "7", true);
  before_step_ = nullptr;
}

void FaultRun::StartFlush() {
  rocksdb::FlushOptions options;
  options.wait = false;
  std::vector<ColumnFamilyHandle*> all;
  for (auto& [name, handle] : families_) all.push_back(handle);
  RequireOk(leader_->db()->Flush(options, all), "starting a flush");
}

void FaultRun::WriteAndRequireShown(const std::string& key) {
  Put("default", key, "shown");
  RequireOk(follower_->WaitFor(leader_->position(), kPatienceUs), "waiting for a follower");
  std::string value;
  RequireOk(follower_->db()->Get(ReadOptions(), key, &value), "reading " + key);
  Require(value == "shown", key + " has another value: " + value);
}

void FaultRun::RequireWhole() {
  // Faults of background work may not have met any step.
  Recover();
  Put("default", "after all", "8");
  RequireAcknowledged();
  RequireEqual();
  RequireNoLeak();
}

void FaultRun::RequireAcknowledged() {
  for (const auto& [key, expected] : acknowledged_) {
    const std::string what = "acknowledged key " + key.second + " of " + key.first;
    std::string value;
    const Status s = leader_->db()->Get(ReadOptions(), families_.at(key.first), key.second, &value);
    if (!expected) {
      Require(s.IsNotFound(), what + " was deleted, found: " + s.ToString());
      continue;
    }
    RequireOk(s, what);
    Require(value == *expected, what + " has another value");
  }
}

void FaultRun::RequireEqual() {
  // A position from before the stream went on in a new epoch does not count as reached.
  Status s;
  const bool reached = Eventually([&] {
    s = follower_->WaitFor(leader_->position(), 100000);
    return s.ok() && leader_->stats().replication.ok() &&
           follower_->position().epoch == leader_->position().epoch;
  });
  Require(reached, "follower: " + s.ToString() + "; " + follower_->stats().status.ToString() +
                       "; leader: " + leader_->stats().replication.ToString());
  const uint64_t theirs = follower_->db()->GetLatestSequenceNumber();
  const uint64_t ours = leader_->db()->GetLatestSequenceNumber();
  Require(theirs == ours, "sequence number of the follower is " + std::to_string(theirs) +
                              ", of the leader " + std::to_string(ours));
  for (const auto& [name, handle] : families_) {
    ColumnFamilyHandle* replica = follower_->GetColumnFamily(name);
    Require(replica != nullptr, "the follower has no column family " + name);
    Require(ContentOf(follower_->db(), replica) == ContentOf(leader_->db(), handle),
            "column family " + name + " differs");
  }
}

void FaultRun::RequireNoLeak() {
  std::set<std::string> live;
  std::set<std::string> stored;
  const bool equal = Eventually([&] {
    live.clear();
    stored.clear();
    std::vector<std::string> files;
    uint64_t manifest_size = 0;
    RequireOk(leader_->db()->GetLiveFiles(files, &manifest_size, false), "GetLiveFiles");
    for (const std::string& file : files) {
      if (file.ends_with(".sst")) live.insert(file.substr(1, 6));
    }
    for (const std::string& name : memory_->Names()) {
      if (name.ends_with(".sst")) stored.insert(name.substr(std::string("test/sst/").size(), 6));
    }
    return live == stored;
  });
  std::string what = "the storage differs from what is live; live:";
  for (const std::string& file : live) what += " " + file;
  what += "; stored:";
  for (const std::string& file : stored) what += " " + file;
  Require(equal, what);
  Require(Eventually([&] { return leader_->stats().pinned_objects == 0; }), "objects stay pinned");
}

}  // namespace slipstream::testing
