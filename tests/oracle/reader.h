// A thread that reads one follower while the leader is written to, and checks what must hold at
// every moment.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "rocksdb/db.h"
#include "slipstream/follower.h"
#include "tests/oracle/random.h"
#include "tests/oracle/seed_options.h"
#include "tests/oracle/verdict.h"

namespace slipstream::oracle {

// Lifetime: ends before its follower is closed.
class Reader {
 public:
  // slot: the follower's number.
  Reader(std::string name, const SeedOptions& seed, size_t slot, uint64_t random_seed,
         Follower* follower, const std::atomic<uint64_t>* leader_epoch, Verdict* verdict);
  // Lets go of everything that it holds, after reading it once more.
  ~Reader();

 private:
  // Keys and what their values look like.
  using Digest = std::vector<std::pair<std::string, std::string>>;
  // Something that was read once and must not change.
  struct Held {
    const rocksdb::Snapshot* snapshot = nullptr;
    std::unique_ptr<rocksdb::Iterator> iterator;  // or this
    std::string family;
    std::optional<Digest> digest;  // empty until it is read for the first time
    uint64_t rebuilds = 0;
    uint64_t reconnects = 0;
    uint64_t epoch = 0;
  };

  void Run();
  void CheckPosition();
  void CheckStats();
  void CheckInvariants();
  // The same invariant over column families without a snapshot: one call has to read one state.
  void CheckMultiGet();
  void CheckIterators();
  bool AllHandles(std::vector<rocksdb::ColumnFamilyHandle*>* handles);
  void CheckSum(size_t writer, const std::vector<std::string>& values);
  void CheckPoints(const rocksdb::Snapshot* snapshot);
  void Hold();
  std::string FamilyToHold();
  void Recheck(bool release);
  void Release(Held* held);
  // Reads what begins with one class of keys in all base families.
  using Content = std::map<std::string, std::string>;
  bool ReadClass(const rocksdb::Snapshot* snapshot, char key_class, std::vector<Content>* content);
  void CheckAccounts(const rocksdb::Snapshot* snapshot);
  void CheckPairs(const rocksdb::Snapshot* snapshot);
  void CheckGrowth(const rocksdb::Snapshot* snapshot);
  rocksdb::Status Read(rocksdb::Iterator* it, Digest* digest);
  void Fail(const std::string& what);
  // A read failed that was made on a generation of this epoch, or taken after so many reconnects.
  void FailRead(const std::string& what, const rocksdb::Status& s, uint64_t epoch,
                uint64_t reconnects);

  const std::string name_;
  const SeedOptions& seed_;
  const uint64_t receive_queue_bytes_;
  Random random_;
  Follower* const follower_;
  const std::atomic<uint64_t>* const leader_epoch_;
  Verdict* const verdict_;
  Position last_;
  uint64_t last_reconnects_ = 0;
  uint64_t seen_epoch_ = 0;
  std::map<std::string, uint64_t> seen_;  // counters and markers
  std::deque<Held> held_;
  absl::Notification stop_;
  std::thread thread_;
};

}  // namespace slipstream::oracle
