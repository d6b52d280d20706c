// A leader, a follower that was there before anything happened, and one that joins late: what is
// done to the leader must show on both.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "tests/e2e/local_cluster.h"

namespace slipstream::testing {

// Compares two databases key by key: forwards, backwards, by Get, by GetEntity and by MultiGet, and
// their last sequence numbers. Returns what differs first, or "" if nothing does.
// read: for both, but for a snapshot. Column families are compared in pairs.
std::string Difference(rocksdb::DB* leader, const std::vector<rocksdb::ColumnFamilyHandle*>& theirs,
                       rocksdb::DB* follower, const std::vector<rocksdb::ColumnFamilyHandle*>& ours,
                       const rocksdb::ReadOptions& read = rocksdb::ReadOptions());

struct ReplicasOptions {
  std::vector<rocksdb::ColumnFamilyDescriptor> families = {
      {rocksdb::kDefaultColumnFamilyName, rocksdb::ColumnFamilyOptions()}};
  // What the followers open; empty = the same.
  std::vector<rocksdb::ColumnFamilyDescriptor> follower_families;
  rocksdb::DBOptions leader_db = LocalCluster::db_options();
  rocksdb::DBOptions follower_db;
  // Every edit begins a new manifest.
  bool rolling = false;
  std::function<void(FollowerOptions*)> adjust_follower;
};

// Threads: one.
class Replicas {
 public:
  explicit Replicas(ReplicasOptions options);

  rocksdb::DB* db() const { return leader.db(); }
  rocksdb::ColumnFamilyHandle* family(size_t i) const { return leader.families[i]; }
  LocalFollower StartFollower() const;

  // Both followers show what the leader has, the moment that its position has reached them.
  void RequireSame(const rocksdb::ReadOptions& read = rocksdb::ReadOptions());
  // The same, once they have opened generations from what the leader compacted last: what drops
  // data without a sequence number shows only then.
  void RequireSettled(const rocksdb::ReadOptions& read = rocksdb::ReadOptions());
  // RequireSame now, after a flush and after a compaction of everything.
  void RequireSameThroughout(const rocksdb::ReadOptions& read = rocksdb::ReadOptions());

 private:
  const ReplicasOptions options_;

 public:
  LocalCluster cluster;
  LocalLeader leader;
  LocalFollower early;
};

// A table file made by SstFileWriter, for ingestion. Returns its path.
std::string WriteTable(const std::string& path, const rocksdb::ColumnFamilyOptions& options,
                       const std::vector<std::pair<std::string, std::string>>& entries);

// "key000042"
std::string NumberedKey(uint64_t n);

}  // namespace slipstream::testing
