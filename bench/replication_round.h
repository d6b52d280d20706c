// One round of one side of bench_replication: its processes, from start to comparison.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/child_process.h"
#include "bench/marker_board.h"
#include "bench/replication_load.h"
#include "bench/replication_reader.h"
#include "bench/replication_writer.h"
#include "rocksdb/status.h"

namespace slipstream::bench {

enum class Side {
  kPlain,      // RocksDB alone
  kLeader,     // a leader without followers
  kFollowers,  // a leader, and followers in other processes
  kSecondary,  // RocksDB, and a stock secondary in another process
};

inline constexpr Side kSides[] = {Side::kPlain, Side::kLeader, Side::kFollowers, Side::kSecondary};

// As options and JSON name it.
const char* NameOf(Side side);

struct RoundSettings {
  ReplicationLoad load;
  uint64_t followers = 1;
  uint64_t max_batch_delay_us = 200;
  uint64_t look_us = 20;
  uint64_t catch_up_us = 1000;
};

// What is known in the middle of a round.
struct RoundProgress {
  double keys_per_second = 0;
  double lag_p50_us = -1;  // negative = not known
};

struct RoundResult {
  Side side = Side::kPlain;
  uint64_t round = 0;
  WriterResult writer;
  std::vector<ReaderResult> readers;
  std::vector<uint64_t> lag_ns;  // of all readers, sorted
  uint64_t early_markers = 0;    // visible before Put returned; their lag is 0
  uint64_t unseen_markers = 0;
  bool equal = true;  // all readers hold what the writer holds

  double keys_per_second() const { return static_cast<double>(writer.keys) / writer.write_seconds; }
  double writer_cpu_per_million() const { return PerMillion(writer.cpu_seconds); }
  // Of one reader on average.
  double reader_cpu_per_million() const;

 private:
  double PerMillion(double seconds) const {
    return seconds / static_cast<double>(writer.keys) * 1e6;
  }
};

// The value below which `fraction` of the sorted values lie, in microseconds; 0 if there are none.
double PercentileUs(const std::vector<uint64_t>& sorted_ns, double fraction);

// Threads: one. One object for each round.
class ReplicationRound {
 public:
  // directory: does not exist yet; removed by the caller.
  ReplicationRound(const RoundSettings& settings, Side side, std::string directory,
                   std::function<void(const RoundProgress&)> progress);

  // Returns Incomplete  interrupted
  //         Corruption  a follower does not hold what the leader holds
  //         Aborted, TimedOut, IOError  a process failed
  [[nodiscard]] rocksdb::Status Run(RoundResult* result);

 private:
  [[nodiscard]] rocksdb::Status StartWriter();
  [[nodiscard]] rocksdb::Status StartReaders();
  [[nodiscard]] rocksdb::Status Load(WriterResult* result);
  [[nodiscard]] rocksdb::Status FinishReaders(RoundResult* result);
  [[nodiscard]] rocksdb::Status Compare(RoundResult* result);
  [[nodiscard]] rocksdb::Status Quit();
  void CollectLags(RoundResult* result) const;
  // Looks after the other processes, and reports progress, while one of them is waited for.
  rocksdb::Status Tick();
  // Sends a command and waits for the answer.
  [[nodiscard]] rocksdb::Status Ask(ChildProcess* child, const nlohmann::json& command,
                                    uint64_t timeout_ms, nlohmann::json* answer);

  const RoundSettings settings_;
  const Side side_;
  const std::string directory_;
  const std::function<void(const RoundProgress&)> progress_;
  MarkerBoard board_;
  uint64_t load_began_ns_ = 0;
  int port_ = 0;
  std::unique_ptr<ChildProcess> writer_;
  std::vector<std::unique_ptr<ChildProcess>> readers_;
};

}  // namespace slipstream::bench
