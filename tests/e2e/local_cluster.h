// A leader and followers in the test's own process.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "slipstream/follower.h"
#include "slipstream/leader.h"
#include "slipstream/shared_storage.h"
#include "tests/e2e/column_families.h"
#include "tests/e2e/content_digest.h"
#include "tests/e2e/eventually.h"
#include "tests/e2e/temporary_directory.h"

namespace slipstream::testing {

// A leader with the column families of TestColumnFamilies.
struct LocalLeader {
  LocalLeader() = default;
  LocalLeader(LocalLeader&&) = default;
  LocalLeader& operator=(LocalLeader&&) = delete;
  ~LocalLeader() { Close(); }

  void Close();
  rocksdb::DB* db() const { return leader->db(); }
  // All column families, as RocksDB's own calls are for one each.
  void Flush() const;
  void Compact() const;
  ContentDigest Digest() const;

  std::unique_ptr<Leader> leader;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
};

struct LocalFollower {
  LocalFollower() = default;
  LocalFollower(LocalFollower&&) = default;
  LocalFollower& operator=(LocalFollower&&) = delete;
  ~LocalFollower() { Close(); }

  void Close();
  rocksdb::DB* db() const { return follower->db(); }
  std::string Get(int family, const std::string& key,
                  const rocksdb::Snapshot* snapshot = nullptr) const;
  ContentDigest Digest(const rocksdb::Snapshot* snapshot = nullptr) const;

  std::unique_ptr<Follower> follower;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
};

// The directories of one database. Default options for everything but what a test changes.
class LocalCluster {
 public:
  explicit LocalCluster(TemporaryDirectory::Place place = TemporaryDirectory::Place::kDisk);

  // With short leases, so that what waits for one is seen.
  LeaderOptions leader_options() const;
  // With generations that are replaced as often as can be.
  FollowerOptions follower_options(int port) const;
  static rocksdb::DBOptions db_options();

  LocalLeader StartLeader() const { return StartLeader(leader_options(), db_options()); }
  LocalLeader StartLeader(
      const LeaderOptions& options, const rocksdb::DBOptions& db_options,
      const std::vector<rocksdb::ColumnFamilyDescriptor>& families = TestColumnFamilies()) const;
  LocalFollower StartFollower(const LocalLeader& leader) const {
    return StartFollower(follower_options(leader.leader->port()));
  }
  LocalFollower StartFollower(
      const FollowerOptions& options, const rocksdb::DBOptions& db_options = rocksdb::DBOptions(),
      const std::vector<rocksdb::ColumnFamilyDescriptor>& families = TestColumnFamilies()) const;

  std::string leader_path() const { return directory_.path("leader"); }
  const TemporaryDirectory& directory() const { return directory_; }
  const std::shared_ptr<SharedStorage>& storage() const { return storage_; }
  // Names of the SST files on the storage.
  std::vector<std::string> Tables() const;

 private:
  TemporaryDirectory directory_;
  std::shared_ptr<SharedStorage> storage_;
};

void RequireOk(const rocksdb::Status& status);

// Waits until the follower shows everything that the leader has.
void CatchUp(const LocalLeader& leader, const LocalFollower& follower);
// The same, and requires that both show the same. REQUIRES: nobody writes.
void RequireEqual(const LocalLeader& leader, const LocalFollower& follower);

// Writes `n` under "pair" to the first two column families, in one batch.
rocksdb::Status WritePair(const LocalLeader& leader, uint64_t n);
// Writes the pairs 1, 2, ... with flushes in between: at least `least` of them, and for as long as
// the follower's builder, which gives way to whoever reads meanwhile, needs for three generations.
// Sets *last to the last one. Returns TimedOut if the generations do not come.
rocksdb::Status WritePairs(const LocalLeader& leader, const LocalFollower& follower, uint64_t least,
                           uint64_t* last);

}  // namespace slipstream::testing
