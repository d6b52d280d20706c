// Queries: a thread that reads a database and times each read.
#pragma once

#include <atomic>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "bench/database.h"
#include "bench/load.h"
#include "rocksdb/status.h"

namespace slipstream::bench {

struct QuerySettings {
  uint64_t keys = 1;       // of the data's first so many, which are all there
  uint64_t scan_keys = 0;  // 0 = a query is one Get; else a Get, a Seek and so many Next
  uint64_t rate = 0;       // queries a second; 0 = one after the other without a pause
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(QuerySettings, keys, scan_keys, rate)

struct QueryResult {
  uint64_t queries = 0;
  double seconds = 0;
  double p50_us = 0;
  double p90_us = 0;
  double p99_us = 0;
  double max_us = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(QueryResult, queries, seconds, p50_us, p90_us, p99_us, max_us)

// Threads: Begin and End from one.
class Queries {
 public:
  // database: open; outlives this object.
  Queries(const QuerySettings& settings, const Data& data, Database* database)
      : settings_(settings), data_(data), database_(database) {}
  Queries(const Queries&) = delete;
  Queries& operator=(const Queries&) = delete;
  ~Queries() { Stop(); }

  void Begin();
  // Returns what a read returned that failed: all keys are there.
  [[nodiscard]] rocksdb::Status End(QueryResult* result);

 private:
  void Run();
  rocksdb::Status One(KeyStream* keys, uint64_t number);
  void Stop();

  const QuerySettings settings_;
  const Data data_;
  Database* const database_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  // Of the thread; others read them after it has ended.
  std::vector<uint64_t> ns_;
  double seconds_ = 0;
  rocksdb::PinnableSlice value_;
  rocksdb::Status status_;
};

}  // namespace slipstream::bench
