// One leader and its followers, in this process, over real gRPC and a directory storage.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "rocksdb/utilities/transaction_db.h"
#include "slipstream/follower.h"
#include "slipstream/leader.h"
#include "tests/oracle/faults.h"
#include "tests/oracle/network.h"
#include "tests/oracle/random.h"
#include "tests/oracle/seed_options.h"
#include "tests/oracle/verdict.h"

namespace slipstream::oracle {

// How long anything may take before the oracle calls it a failure.
inline constexpr uint64_t kPatienceUs = 60000000;

// A place for a follower, open or not.
struct FollowerSlot {
  // Held for reading while `follower` is used by threads other than the conductor's and than the
  // readers, which are stopped before it is closed.
  mutable absl::Mutex mutex;
  std::unique_ptr<Follower> follower ABSL_GUARDED_BY(mutex);
  std::vector<rocksdb::ColumnFamilyHandle*> handles ABSL_GUARDED_BY(mutex);

  // What on_history_reset was called with.
  mutable absl::Mutex resets_mutex;
  std::vector<HistoryReset> resets ABSL_GUARDED_BY(resets_mutex);
};

enum class CloseStyle {
  kOrderly,  // RocksDB flushes what is only in memory
  kCrash,    // nothing is flushed
  kKill,     // what RocksDB does while it is closed reaches neither its disk nor the storage
};

// Threads: the conductor's alone, except where a method says otherwise.
class Cluster {
 public:
  Cluster(const SeedOptions& seed, std::string directory, Verdict* verdict);
  ~Cluster();

  // Opens the leader with all of its column families. The same port each time.
  [[nodiscard]] rocksdb::Status OpenLeader(Random* random);
  [[nodiscard]] rocksdb::Status CloseLeader(CloseStyle style, bool destroy_only);
  // With these instead of the seed's.
  void set_follower_lease_ms(uint64_t ms) { lease_ms_ = ms; }

  // Any thread, while the leader is open.
  Leader* leader() const { return leader_.get(); }
  rocksdb::DB* db() const {
    return transaction_db_ != nullptr ? transaction_db_->GetBaseDB() : leader_->db();
  }
  // Null in seeds without transactions.
  rocksdb::TransactionDB* transaction_db() const { return transaction_db_; }
  rocksdb::ColumnFamilyHandle* handle(const std::string& family) const;
  const std::map<std::string, rocksdb::ColumnFamilyHandle*>& handles() const { return handles_; }

  [[nodiscard]] rocksdb::Status CreateFamily(const std::string& name);
  [[nodiscard]] rocksdb::Status DropFamily(const std::string& name);

  [[nodiscard]] rocksdb::Status OpenFollower(size_t i, Random* random);
  // read_after_close: reads once more between Close and the end.
  void CloseFollower(size_t i, bool read_after_close);
  // Any thread: the epoch of the leader that was opened last.
  const std::atomic<uint64_t>& leader_epoch() const { return leader_epoch_; }
  // Any thread, for those that may look at slots.
  FollowerSlot& slot(size_t i) { return *slots_[i]; }
  size_t slots() const { return slots_.size(); }
  // The conductor and the readers of that follower.
  Follower* follower(size_t i) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return slots_[i]->follower.get();
  }

  Network* network() { return &network_; }

  // Any thread: followers may see what was written so far, and the leader's position covers it.
  [[nodiscard]] rocksdb::Status PublishWrites() const;
  // Of the memtables of all column families.
  [[nodiscard]] rocksdb::Status FlushAll() const;

  // The newest WAL on disk and its size; empty if there is none.
  std::pair<std::string, uint64_t> NewestWal() const;
  // Objects on the storage.
  [[nodiscard]] rocksdb::Status ListObjects(std::vector<std::string>* names) const;

  const SeedOptions& seed() const { return seed_; }
  const std::string& directory() const { return directory_; }
  static constexpr const char* kDatabase = "oracle";

 private:
  void AddCounts(const Follower& follower);
  LeaderOptions OptionsOfLeader() const;
  rocksdb::Status OpenTransactionDB(const LeaderOptions& options,
                                    const rocksdb::DBOptions& db_options, const std::string& path,
                                    const std::vector<rocksdb::ColumnFamilyDescriptor>& descriptors,
                                    std::vector<rocksdb::ColumnFamilyHandle*>* handles);

  const SeedOptions& seed_;
  const std::string directory_;
  Verdict* const verdict_;
  uint64_t lease_ms_;
  Network network_;
  std::shared_ptr<SharedStorage> storage_;
  std::unique_ptr<Faults> faults_;
  std::shared_ptr<ReplicationServer> server_;
  int port_ = 0;
  std::atomic<uint64_t> leader_epoch_{0};
  std::unique_ptr<Leader> leader_;
  rocksdb::TransactionDB* transaction_db_ = nullptr;  // owned
  std::map<std::string, rocksdb::ColumnFamilyHandle*> handles_;
  std::vector<std::unique_ptr<FollowerSlot>> slots_;
};

}  // namespace slipstream::oracle
