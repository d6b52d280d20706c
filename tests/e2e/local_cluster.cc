#include "tests/e2e/local_cluster.h"

#include <chrono>

#include "catch2/catch.hpp"

namespace slipstream::testing {
namespace {

void Release(std::vector<rocksdb::ColumnFamilyHandle*>* families) {
  for (rocksdb::ColumnFamilyHandle* family : *families) delete family;
  families->clear();
}

}  // namespace

void RequireOk(const rocksdb::Status& status) {
  INFO(status.ToString());
  REQUIRE(status.ok());
}

void LocalLeader::Close() {
  Release(&families);
  leader.reset();
}

void LocalLeader::Flush() const { RequireOk(db()->Flush(rocksdb::FlushOptions(), families)); }

void LocalLeader::Compact() const {
  for (rocksdb::ColumnFamilyHandle* family : families) {
    RequireOk(db()->CompactRange(rocksdb::CompactRangeOptions(), family, nullptr, nullptr));
  }
}

ContentDigest LocalLeader::Digest() const {
  ContentDigest digest;
  RequireOk(DigestOf(db(), families, nullptr, &digest));
  return digest;
}

void LocalFollower::Close() {
  Release(&families);
  follower.reset();
}

std::string LocalFollower::Get(int family, const std::string& key,
                               const rocksdb::Snapshot* snapshot) const {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  std::string value;
  const rocksdb::Status s = db()->Get(options, families[static_cast<size_t>(family)], key, &value);
  if (s.IsNotFound()) return "(not found)";
  RequireOk(s);
  return value;
}

ContentDigest LocalFollower::Digest(const rocksdb::Snapshot* snapshot) const {
  ContentDigest digest;
  RequireOk(DigestOf(db(), families, snapshot, &digest));
  return digest;
}

LocalCluster::LocalCluster(TemporaryDirectory::Place place) : directory_(place) {
  RequireOk(NewDirectoryStorage(directory_.path("storage"), &storage_));
}

LeaderOptions LocalCluster::leader_options() const {
  LeaderOptions options;
  options.database = "test";
  options.storage = storage_;
  options.heartbeat_ms = 50;
  options.follower_lease_ms = 300;
  return options;
}

FollowerOptions LocalCluster::follower_options(int port) const {
  FollowerOptions options;
  options.database = "test";
  options.leader_address = "127.0.0.1:" + std::to_string(port);
  options.storage = storage_;
  options.open_timeout_ms = 20000;
  options.rebuild_interval_ms = 1;
  options.rebuild_flushed_bytes = 65536;
  return options;
}

rocksdb::DBOptions LocalCluster::db_options() {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  return options;
}

LocalLeader LocalCluster::StartLeader(
    const LeaderOptions& options, const rocksdb::DBOptions& db_options,
    const std::vector<rocksdb::ColumnFamilyDescriptor>& families) const {
  LocalLeader leader;
  RequireOk(
      Leader::Open(options, db_options, leader_path(), families, &leader.families, &leader.leader));
  return leader;
}

LocalFollower LocalCluster::StartFollower(
    const FollowerOptions& options, const rocksdb::DBOptions& db_options,
    const std::vector<rocksdb::ColumnFamilyDescriptor>& families) const {
  LocalFollower follower;
  RequireOk(Follower::Open(options, db_options, families, &follower.families, &follower.follower));
  return follower;
}

std::vector<std::string> LocalCluster::Tables() const {
  std::vector<std::string> names, tables;
  RequireOk(storage_->List("test/", &names));
  for (const std::string& name : names) {
    if (name.ends_with(".sst")) tables.push_back(name);
  }
  return tables;
}

void CatchUp(const LocalLeader& leader, const LocalFollower& follower) {
  RequireOk(follower.follower->WaitFor(leader.leader->position(), kPatienceUs));
}

void RequireEqual(const LocalLeader& leader, const LocalFollower& follower) {
  CatchUp(leader, follower);
  REQUIRE(follower.Digest() == leader.Digest());
}

rocksdb::Status WritePair(const LocalLeader& leader, uint64_t n) {
  rocksdb::WriteBatch batch;
  rocksdb::Status s = batch.Put(leader.families[0], "pair", std::to_string(n));
  if (s.ok()) s = batch.Put(leader.families[1], "pair", std::to_string(n));
  return s.ok() ? leader.db()->Write(rocksdb::WriteOptions(), &batch) : s;
}

rocksdb::Status WritePairs(const LocalLeader& leader, const LocalFollower& follower, uint64_t least,
                           uint64_t* last) {
  constexpr uint64_t kRebuilds = 3, kFlushes = 10;
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  for (*last = 0; *last < least || follower.follower->stats().rebuilds < kRebuilds;) {
    if (std::chrono::steady_clock::now() >= give_up) {
      return rocksdb::Status::TimedOut("no new generations after pairs", std::to_string(*last));
    }
    rocksdb::Status s = WritePair(leader, ++*last);
    if (s.ok() && *last % (least / kFlushes) == 0) {
      s = leader.db()->Flush(rocksdb::FlushOptions(), leader.families);
    }
    if (!s.ok()) return s;
  }
  return rocksdb::Status::OK();
}

}  // namespace slipstream::testing
