#include "bench/writer.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "bench/cpu_time.h"
#include "lib/host/timer_slack.h"

namespace slipstream::bench {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

// Between two bursts at least this long, in nanoseconds: a sleep for every single key would cost
// more than the keys.
constexpr uint64_t kPaceNs = 200'000;
constexpr uint64_t kConfirmTimeoutUs = 60'000'000;
constexpr uint64_t kSettleTimeoutNs = 60'000'000'000;
constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

}  // namespace

Status Writer::WriteFirst() {
  return database_->db()->Put(rocksdb::WriteOptions(), kMarkerKey,
                              std::string(sizeof(marker_), '\0'));
}

Status Writer::WriteBatch(const Load& load, uint64_t first, uint64_t count) {
  rocksdb::WriteOptions options;
  options.disableWAL = load.disable_wal;
  const auto& families = database_->families();
  if (count == 1) {
    return database_->db()->Put(options, families[keys_.ColumnFamily(first)], keys_.Key(first),
                                keys_.Value(first));
  }
  batch_.Clear();
  for (uint64_t n = first; n < first + count; ++n) {
    Status s = batch_.Put(families[keys_.ColumnFamily(n)], keys_.Key(n), keys_.Value(n));
    if (!s.ok()) return s;
  }
  return database_->db()->Write(options, &batch_);
}

Status Writer::WriteMarker() {
  ++marker_;
  char value[sizeof(marker_)];
  memcpy(value, &marker_, sizeof(value));
  Status s = database_->db()->Put(rocksdb::WriteOptions(), kMarkerKey, Slice(value, sizeof(value)));
  board_->Returned(marker_, NowNs());
  return s;
}

Status Writer::WriteAll(const Load& load, WriterResult* result) {
  const uint64_t start_ns = NowNs();
  const uint64_t end_ns = load.duration_ms == 0 ? kNever : start_ns + load.duration_ms * 1'000'000;
  const uint64_t all_keys = load.keys == 0 ? kNever : load.keys;
  const double keys_per_ns = static_cast<double>(load.rate) * 1e-9;
  uint64_t next_marker_ns = board_ == nullptr || load.marker_interval_us == 0 ? kNever : start_ns;
  uint64_t pacing_cpu_ns = 0;
  uint64_t written = 0;
  uint64_t markers = 0;
  Status s;
  for (uint64_t now_ns = start_ns; s.ok() && now_ns < end_ns && written < all_keys;
       now_ns = NowNs()) {
    if (now_ns >= next_marker_ns && marker_ < board_->capacity()) {
      s = WriteMarker();
      ++markers;
      next_marker_ns = NextMarkerNs(load, now_ns);
      continue;
    }
    uint64_t until_ns = kNever;
    if (!load.markers_only) {
      const uint64_t count = std::min(load.batch, all_keys - written);
      const auto due = static_cast<double>(now_ns - start_ns) * keys_per_ns;
      if (load.rate == 0 || static_cast<double>(written + markers + count) <= due) {
        s = WriteBatch(load, load.first_key + written, count);
        written += count;
        if (board_ != nullptr) board_->SetKeysWritten(written);
        continue;
      }
      const auto batch_ns =
          static_cast<uint64_t>(static_cast<double>(written + markers + count) / keys_per_ns);
      until_ns = std::max(start_ns + batch_ns, now_ns + kPaceNs);
    }
    const uint64_t cpu_ns = ThreadCpuNs();
    SleepUntil(std::min({until_ns, next_marker_ns, end_ns}));
    pacing_cpu_ns += ThreadCpuNs() - cpu_ns;
  }
  result->write_seconds = static_cast<double>(NowNs() - start_ns) * 1e-9;
  result->keys = written + markers;
  result->last_marker = marker_;
  result->pacing_cpu_seconds = static_cast<double>(pacing_cpu_ns) * 1e-9;
  return s;
}

Status Writer::Flush() {
  return database_->db()->Flush(rocksdb::FlushOptions(), database_->families());
}

Status Writer::Settle() {
  std::vector<std::string> properties = {rocksdb::DB::Properties::kMemTableFlushPending,
                                         rocksdb::DB::Properties::kNumRunningFlushes,
                                         rocksdb::DB::Properties::kNumRunningCompactions};
  // One that is pending stays so where none are made by themselves.
  if (!database_->db()->GetOptions().disable_auto_compactions) {
    properties.push_back(rocksdb::DB::Properties::kCompactionPending);
  }
  const uint64_t deadline_ns = NowNs() + kSettleTimeoutNs;
  for (int quiet = 0; quiet < 2;) {
    uint64_t busy = 0;
    for (const std::string& property : properties) {
      uint64_t value = 0;
      for (rocksdb::ColumnFamilyHandle* family : database_->families()) {
        if (database_->db()->GetIntProperty(family, property, &value)) busy += value;
      }
    }
    quiet = busy == 0 ? quiet + 1 : 0;
    if (NowNs() > deadline_ns) {
      return Status::TimedOut("flushes and compactions have not ended within 60 s");
    }
    SleepUs(5000);
  }
  return Status::OK();
}

Status Writer::Write(const Load& load, WriterResult* result) {
  if (load.disable_wal && database_->leader() != nullptr) {
    return Status::InvalidArgument("a leader needs the WAL");
  }
  WakeThisThreadInTime();
  const CpuTime before = CpuTime::Of(RUSAGE_SELF);
  Status s = WriteAll(load, result);
  if (s.ok() && load.settle) s = Settle();
  if (!s.ok()) return s;
  if (Leader* leader = database_->leader(); leader != nullptr) {
    const Position position = leader->position();
    result->position = position.ToString();
    if (load.followers > 0) {
      s = leader->WaitForFollowers(position, load.followers, AckLevel::kApplied, kConfirmTimeoutUs);
    }
  }
  const CpuTime used = CpuTime::Of(RUSAGE_SELF) - before;
  result->cpu_seconds = used.seconds - result->pacing_cpu_seconds;
  result->switches = used.switches;
  result->preemptions = used.preemptions;
  result->sequence = database_->db()->GetLatestSequenceNumber();
  return s;
}

}  // namespace slipstream::bench
