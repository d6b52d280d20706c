#include "bench/queries.h"

#include <algorithm>
#include <memory>

#include "bench/cpu_time.h"
#include "bench/spread.h"
#include "lib/host/timer_slack.h"

namespace slipstream::bench {

using rocksdb::Status;

namespace {
constexpr size_t kMaxSamples = 20'000'000;
}  // namespace

void Queries::Begin() {
  thread_ = std::thread([this] { Run(); });
}

void Queries::Stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

Status Queries::End(QueryResult* result) {
  Stop();
  std::sort(ns_.begin(), ns_.end());
  result->queries = ns_.size();
  result->seconds = seconds_;
  result->p50_us = PercentileUs(ns_, 0.5);
  result->p90_us = PercentileUs(ns_, 0.9);
  result->p99_us = PercentileUs(ns_, 0.99);
  result->max_us = PercentileUs(ns_, 1);
  return ns_.empty() && status_.ok() ? Status::Aborted("no query was made") : status_;
}

void Queries::Run() {
  WakeThisThreadInTime();
  KeyStream keys(data_);
  const uint64_t start_ns = NowNs();
  const uint64_t period_ns = settings_.rate == 0 ? 0 : 1'000'000'000 / settings_.rate;
  for (uint64_t n = 0; !stopping_ && status_.ok() && ns_.size() < kMaxSamples; ++n) {
    // One that is paced begins when it was due, whether or not the one before has ended by then:
    // whoever asks does not wait for others.
    uint64_t begin_ns = start_ns + n * period_ns;
    if (period_ns == 0) begin_ns = NowNs();
    if (begin_ns > NowNs()) {
      SleepUntil(begin_ns);
      // How long waking up takes is a property of the machine.
      begin_ns = NowNs();
    }
    status_ = One(&keys, Mix(data_.seed + 3, n) % settings_.keys);
    ns_.push_back(NowNs() - begin_ns);
  }
  seconds_ = static_cast<double>(NowNs() - start_ns) * 1e-9;
}

Status Queries::One(KeyStream* keys, uint64_t number) {
  rocksdb::ColumnFamilyHandle* family = database_->families()[keys->ColumnFamily(number)];
  value_.Reset();
  const rocksdb::Slice key = keys->Key(number);
  Status s = database_->db()->Get(rocksdb::ReadOptions(), family, key, &value_);
  if (!s.ok() || settings_.scan_keys == 0) return s;
  const std::unique_ptr<rocksdb::Iterator> it(
      database_->db()->NewIterator(rocksdb::ReadOptions(), family));
  it->Seek(key);
  if (!it->Valid() || it->key() != key) return Status::Corruption("a scan missed its first key");
  for (uint64_t i = 0; i < settings_.scan_keys && it->Valid(); ++i) it->Next();
  return it->status();
}

}  // namespace slipstream::bench
