// Everything that one seed decides before it begins.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "rocksdb/options.h"
#include "tests/oracle/random.h"

namespace slipstream::oracle {

// What the command line fixes for all seeds.
struct RunOptions {
  uint64_t operations = 4000;  // of all writers of a seed together
  size_t followers = 0;        // 0 = as the seed chooses
  bool verbose = false;
  bool keep = false;              // the directories
  std::set<std::string> without;  // names of kinds of operations that are left out
  std::set<std::string> with;     // names of those that are off by default

  bool Allows(const std::string& kind) const { return without.count(kind) == 0; }
};

// Kinds of operations that RunOptions::without may name.
const std::vector<std::string>& KindsThatCanBeLeftOut();
// Kinds that RunOptions::with may name.
const std::vector<std::string>& KindsThatAreOff();

// Where the leader's writes are before they are flushed.
enum class WalKeeping : uint8_t {
  kDisk,
  kMemory,  // LeaderOptions::wal; a crash loses what is not flushed
  kManual,  // DBOptions::manual_wal_flush; a kill loses what came after the last FlushWAL
};

// How one follower differs from the others.
struct FollowerVariant {
  bool skip_list = false;     // instead of the replay memtable
  bool small_limits = false;  // of its memory
};

struct SeedOptions {
  uint64_t seed = 0;
  size_t families = 1;
  size_t writers = 1;
  size_t followers = 2;
  size_t readers_per_follower = 2;
  uint64_t keys = 100;            // in each class of each writer
  std::vector<uint64_t> weights;  // of the operations, see workload.h
  bool markers = true;            // every batch says how many its writer has written
  // No empty range deletes: these consume sequence numbers that neither a flush nor a recovery
  // remembers, so that leader and follower may differ until the next write.
  bool exact_sequences = true;
  bool lost_tails = false;  // a restart may find the end of the WAL missing
  uint64_t big_value_percent = 0;
  bool transactions = false;  // the leader is a TransactionDB that the host opened

  WalKeeping wal = WalKeeping::kDisk;
  // Of 100 operations, how many are followed by a FlushWAL; under kManual.
  uint64_t flush_wal_percent = 0;
  bool kills = false;  // some crashes of the leader stop its disk and its storage in mid-work

  // Which of the special column families there are; see families.h.
  bool timed = false;
  bool fifo = false;
  bool filtered = false;

  // With range deletes, followers keep all tables open: RocksDB 7.8 lets two owners have the range
  // tombstones of one file of level 0 if the next one cannot be opened when an iterator is made
  // (Version::AddIteratorsForLevel), and frees them twice. Files of a follower that was cut off for
  // longer than its lease cannot be opened.
  bool HasRangeDeletes() const;
  int FollowerMaxOpenFiles(size_t i) const {
    if (HasRangeDeletes()) return -1;
    return variants[i].small_limits ? 20 : follower_max_open_files;
  }

  // Whether a new epoch may lack what the one before had.
  bool TakesBack() const { return lost_tails || wal != WalKeeping::kDisk; }
  // Whether a crash may bring column families back to different moments: nothing that spans several
  // of them holds then.
  bool TornByCrash() const {
    return wal == WalKeeping::kMemory && !db.atomic_flush && families > 1;
  }

  // RocksDB.
  rocksdb::DBOptions db;
  rocksdb::ColumnFamilyOptions family;
  bool separate_wal_directory = false;
  int follower_max_open_files = -1;

  // Slipstream.
  bool faulty_network = false;
  bool shared_server = false;
  bool replay_memtable = false;           // on the leader
  std::vector<FollowerVariant> variants;  // by follower
  uint64_t replication_log_bytes = 0;
  uint64_t max_batch_delay_us = 0;
  uint64_t heartbeat_ms = 0;
  uint64_t follower_lease_ms = 0;
  uint64_t stream_timeout_ms = 0;
  uint64_t rebuild_flushed_bytes = 0;
  uint64_t rebuild_interval_ms = 0;
  uint64_t ack_interval_us = 0;
  uint64_t receive_queue_bytes = 0;

  // The limit of one follower.
  uint64_t ReceiveQueueBytes(size_t i) const {
    return variants[i].small_limits ? 1 << 20 : receive_queue_bytes;
  }

  std::string Describe() const;
};

SeedOptions ChooseOptions(uint64_t seed, const RunOptions& run);

// "default", "cf1", "cf2", ...
std::string BaseFamily(size_t i);

}  // namespace slipstream::oracle
