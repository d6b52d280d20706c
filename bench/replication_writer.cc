#include "bench/replication_writer.h"

#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>

#include "bench/cpu_time.h"
#include "bench/marker_board.h"
#include "rocksdb/write_batch.h"
#include "slipstream/leader.h"

namespace slipstream::bench {
namespace {

using nlohmann::json;
using rocksdb::Slice;
using rocksdb::Status;

// Between two bursts at least this long, in nanoseconds: a sleep for every single key would cost
// more than the keys.
constexpr uint64_t kPaceNs = 200'000;
constexpr uint64_t kConfirmTimeoutUs = 60'000'000;
constexpr uint64_t kSettleTimeoutNs = 60'000'000'000;

void SleepUntil(uint64_t at_ns) {
  const timespec at{static_cast<time_t>(at_ns / 1'000'000'000),
                    static_cast<long>(at_ns % 1'000'000'000)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
}

class Writer {
 public:
  explicit Writer(const WriterSettings& settings)
      : settings_(settings), keys_(settings.load), marker_dice_(settings.load.seed) {}

  Status Open();
  int port() const { return leader_ == nullptr ? 0 : leader_->port(); }
  Status Load(WriterResult* result);
  Status Digest(ContentDigest* digest) { return DigestOf(db_, digest); }
  Status Close();

 private:
  Status Preload();
  Status WriteBatch(uint64_t keys);
  Status WriteMarker();
  Status WriteForDuration(WriterResult* result);
  Status Settle();
  uint64_t NextMarkerNs(uint64_t now_ns) {
    return now_ns + kMarkerIntervalNs / 2 + marker_dice_() % kMarkerIntervalNs;
  }

  const WriterSettings settings_;
  KeyStream keys_;
  std::minstd_rand marker_dice_;
  MarkerBoard board_;
  std::unique_ptr<Leader> leader_;
  std::unique_ptr<rocksdb::DB> plain_;
  rocksdb::DB* db_ = nullptr;
  rocksdb::WriteBatch batch_;
  uint64_t marker_ = 0;
};

Status Writer::Open() {
  Status s =
      board_.Attach(settings_.board_fd, MarkerCapacity(settings_.load), settings_.board_readers);
  if (!s.ok()) return s;
  const rocksdb::Options options = DatabaseOptions(settings_.load);
  if (settings_.is_leader) {
    LeaderOptions leader_options;
    leader_options.database = kDatabaseName;
    leader_options.max_batch_delay_us = settings_.max_batch_delay_us;
    s = NewDirectoryStorage(settings_.storage, &leader_options.storage);
    if (s.ok()) s = Leader::Open(leader_options, options, settings_.directory, &leader_);
    if (!s.ok()) return s;
    db_ = leader_->db();
  } else {
    rocksdb::DB* db = nullptr;
    s = rocksdb::DB::Open(options, settings_.directory, &db);
    if (!s.ok()) return s;
    plain_.reset(db);
    db_ = db;
  }
  // A reader opens a database that has something in it.
  s = db_->Put(rocksdb::WriteOptions(), kMarkerKey, std::string(sizeof(marker_), '\0'));
  return s.ok() && settings_.load.preload > 0 ? Preload() : s;
}

Status Writer::Preload() {
  constexpr uint64_t kKeys = 100;
  Status s;
  for (uint64_t done = 0; s.ok() && done < settings_.load.preload; done += kKeys) {
    s = WriteBatch(std::min(kKeys, settings_.load.preload - done));
  }
  if (s.ok()) s = db_->Flush(rocksdb::FlushOptions());
  return s.ok() ? Settle() : s;
}

Status Writer::WriteBatch(uint64_t keys) {
  if (keys == 1) return db_->Put(rocksdb::WriteOptions(), keys_.NextKey(), keys_.NextValue());
  batch_.Clear();
  for (uint64_t i = 0; i < keys; ++i) {
    Status s = batch_.Put(keys_.NextKey(), keys_.NextValue());
    if (!s.ok()) return s;
  }
  return db_->Write(rocksdb::WriteOptions(), &batch_);
}

Status Writer::WriteMarker() {
  ++marker_;
  char value[sizeof(marker_)];
  memcpy(value, &marker_, sizeof(value));
  Status s = db_->Put(rocksdb::WriteOptions(), kMarkerKey, Slice(value, sizeof(value)));
  board_.Returned(marker_, NowNs());
  return s;
}

Status Writer::WriteForDuration(WriterResult* result) {
  const ReplicationLoad& load = settings_.load;
  const uint64_t start_ns = NowNs();
  const uint64_t end_ns = start_ns + load.duration_ms * 1'000'000;
  const double keys_per_ns = static_cast<double>(load.rate) * 1e-9;
  uint64_t next_marker_ns = start_ns;
  uint64_t pacing_cpu_ns = 0;
  uint64_t written = 0;
  Status s;
  for (uint64_t now_ns = start_ns; s.ok() && now_ns < end_ns; now_ns = NowNs()) {
    if (now_ns >= next_marker_ns && marker_ < board_.capacity()) {
      s = WriteMarker();
      ++written;
      next_marker_ns = NextMarkerNs(now_ns);
      continue;
    }
    const auto due = static_cast<double>(now_ns - start_ns) * keys_per_ns;
    if (load.rate == 0 || static_cast<double>(written + load.batch) <= due) {
      s = WriteBatch(load.batch);
      written += load.batch;
      board_.SetKeysWritten(written);
      continue;
    }
    const auto batch_ns =
        static_cast<uint64_t>(static_cast<double>(written + load.batch) / keys_per_ns);
    const uint64_t until_ns = std::max(start_ns + batch_ns, now_ns + kPaceNs);
    const uint64_t cpu_ns = ThreadCpuNs();
    SleepUntil(std::min({until_ns, next_marker_ns, end_ns}));
    pacing_cpu_ns += ThreadCpuNs() - cpu_ns;
  }
  result->write_seconds = static_cast<double>(NowNs() - start_ns) * 1e-9;
  result->keys = written;
  result->last_marker = marker_;
  result->pacing_cpu_seconds = static_cast<double>(pacing_cpu_ns) * 1e-9;
  return s;
}

// Waits for the flushes and compactions that the writes have caused: they belong to the cost.
Status Writer::Settle() {
  const char* const properties[] = {
      rocksdb::DB::Properties::kMemTableFlushPending.c_str(),
      rocksdb::DB::Properties::kNumRunningFlushes.c_str(),
      rocksdb::DB::Properties::kCompactionPending.c_str(),
      rocksdb::DB::Properties::kNumRunningCompactions.c_str(),
  };
  const uint64_t deadline_ns = NowNs() + kSettleTimeoutNs;
  for (int quiet = 0; quiet < 2;) {
    uint64_t busy = 0;
    for (const char* property : properties) {
      uint64_t value = 0;
      if (db_->GetIntProperty(property, &value)) busy += value;
    }
    quiet = busy == 0 ? quiet + 1 : 0;
    if (NowNs() > deadline_ns) {
      return Status::TimedOut("flushes and compactions have not ended within 60 s");
    }
    SleepUntil(NowNs() + 5'000'000);
  }
  return Status::OK();
}

Status Writer::Load(WriterResult* result) {
  // Sleeps as short as asked for; the default adds 50 us.
  prctl(PR_SET_TIMERSLACK, 1000);
  const CpuTime before = CpuTime::Of(RUSAGE_SELF);
  Status s = WriteForDuration(result);
  if (s.ok()) s = Settle();
  if (!s.ok()) return s;
  if (leader_ != nullptr) {
    const Position position = leader_->position();
    result->position = position.ToString();
    if (settings_.followers > 0) {
      s = leader_->WaitForFollowers(position, settings_.followers, AckLevel::kApplied,
                                    kConfirmTimeoutUs);
    }
  }
  const CpuTime used = CpuTime::Of(RUSAGE_SELF) - before;
  result->cpu_seconds = used.seconds - result->pacing_cpu_seconds;
  result->switches = used.switches;
  result->preemptions = used.preemptions;
  result->sequence = db_->GetLatestSequenceNumber();
  return s;
}

Status Writer::Close() {
  Status s = leader_ != nullptr ? leader_->Close() : plain_->Close();
  leader_.reset();
  plain_.reset();
  return s;
}

}  // namespace

Status RunWriter(const WriterSettings& settings, ChildEnd* parent) {
  Writer writer(settings);
  Status s = writer.Open();
  if (s.ok()) s = parent->Send({{"port", writer.port()}});
  while (s.ok()) {
    json command;
    s = parent->Receive(&command);
    if (!s.ok()) break;
    const std::string what = command.value("do", "");
    if (what == "load") {
      WriterResult result;
      s = writer.Load(&result);
      if (s.ok()) s = parent->Send(result);
    } else if (what == "digest") {
      ContentDigest digest;
      s = writer.Digest(&digest);
      if (s.ok()) s = parent->Send(digest);
    } else {
      s = writer.Close();
      return s.ok() ? parent->Send({{"closed", true}}) : s;
    }
  }
  return s;
}

}  // namespace slipstream::bench
