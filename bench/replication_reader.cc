#include "bench/replication_reader.h"

#include <sys/prctl.h>
#include <time.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <thread>

#include "bench/cpu_time.h"
#include "bench/marker_board.h"
#include "slipstream/follower.h"

namespace slipstream::bench {
namespace {

using nlohmann::json;
using rocksdb::Status;

constexpr uint64_t kCatchUpTimeoutUs = 60'000'000;

void SleepUs(uint64_t us) {
  const timespec t{static_cast<time_t>(us / 1'000'000), static_cast<long>(us % 1'000'000) * 1000};
  nanosleep(&t, nullptr);
}

class Reader {
 public:
  explicit Reader(const ReaderSettings& settings) : settings_(settings) {}
  ~Reader() { StopWatching(); }

  Status Open();
  void StartWatching();
  // Waits until everything is visible, and ends the watch.
  Status Finish(const std::string& position, uint64_t sequence, ReaderResult* result);
  Status Digest(ContentDigest* digest) { return DigestOf(db_, digest); }
  Status Close();

 private:
  Status OpenFollower();
  Status OpenSecondary();
  void Watch();
  void CatchUp();
  void Look();
  void Pause();
  void StopWatching();
  Status WaitUntilVisible(const std::string& position, uint64_t sequence);
  json Stats() const;

  const ReaderSettings settings_;
  MarkerBoard board_;
  std::unique_ptr<Follower> follower_;
  std::unique_ptr<rocksdb::DB> secondary_;
  rocksdb::DB* db_ = nullptr;

  std::thread watcher_;
  std::atomic<bool> stopping_{false};
  CpuTime before_;
  // Of the watching thread; others read them after it has ended.
  rocksdb::PinnableSlice value_;
  uint64_t seen_ = 0;
  uint64_t looks_ = 0;
  uint64_t catch_up_cpu_ns_ = 0;
  uint64_t failed_catch_ups_ = 0;
  CpuTime watcher_cpu_;
};

Status Reader::Open() {
  Status s =
      board_.Attach(settings_.board_fd, MarkerCapacity(settings_.load), settings_.board_readers);
  if (!s.ok()) return s;
  return settings_.is_follower ? OpenFollower() : OpenSecondary();
}

Status Reader::OpenFollower() {
  FollowerOptions options;
  options.database = kDatabaseName;
  options.leader_address = "127.0.0.1:" + std::to_string(settings_.port);
  options.name = "follower " + std::to_string(settings_.reader + 1);
  Status s = NewDirectoryStorage(settings_.storage, &options.storage);
  if (s.ok()) s = Follower::Open(options, DatabaseOptions(settings_.load), &follower_);
  if (s.ok()) db_ = follower_->db();
  return s;
}

Status Reader::OpenSecondary() {
  rocksdb::DB* db = nullptr;
  Status s = rocksdb::DB::OpenAsSecondary(DatabaseOptions(settings_.load), settings_.directory,
                                          settings_.own_directory, &db);
  secondary_.reset(db);
  db_ = db;
  return s;
}

void Reader::StartWatching() {
  before_ = CpuTime::Of(RUSAGE_SELF);
  watcher_ = std::thread([this] { Watch(); });
}

void Reader::StopWatching() {
  stopping_ = true;
  if (watcher_.joinable()) watcher_.join();
}

void Reader::Watch() {
  // Sleeps as short as asked for; the default adds 50 us.
  prctl(PR_SET_TIMERSLACK, 1000);
  for (bool last = false; !last;) {
    // One more look after the request to stop: everything is visible by then.
    last = stopping_;
    if (secondary_ != nullptr) CatchUp();
    Look();
    if (!last) Pause();
  }
  watcher_cpu_ = CpuTime::Of(RUSAGE_THREAD);
}

void Reader::CatchUp() {
  const uint64_t before_ns = ThreadCpuNs();
  if (!secondary_->TryCatchUpWithPrimary().ok()) ++failed_catch_ups_;
  catch_up_cpu_ns_ += ThreadCpuNs() - before_ns;
}

void Reader::Look() {
  value_.Reset();
  const Status s =
      db_->Get(rocksdb::ReadOptions(), db_->DefaultColumnFamily(), kMarkerKey, &value_);
  const uint64_t now_ns = NowNs();
  ++looks_;
  uint64_t counter = 0;
  if (!s.ok() || value_.size() != sizeof(counter)) return;
  memcpy(&counter, value_.data(), sizeof(counter));
  if (counter <= seen_) return;
  board_.Seen(settings_.reader, seen_ + 1, counter, now_ns);
  seen_ = counter;
}

void Reader::Pause() {
  if (secondary_ != nullptr) {
    const uint64_t period_ns = settings_.catch_up_us * 1000;
    SleepUs((period_ns - NowNs() % period_ns) / 1000 + 1);
  } else if (settings_.look_us > 0) {
    SleepUs(settings_.look_us);
  }
}

Status Reader::WaitUntilVisible(const std::string& position, uint64_t sequence) {
  if (follower_ != nullptr) {
    Position target;
    Status s = Position::Parse(position, &target);
    return s.ok() ? follower_->WaitFor(target, kCatchUpTimeoutUs) : s;
  }
  const uint64_t deadline_ns = NowNs() + kCatchUpTimeoutUs * 1000;
  while (db_->GetLatestSequenceNumber() < sequence) {
    if (NowNs() > deadline_ns) {
      return Status::TimedOut("secondary", "sequence number " +
                                               std::to_string(db_->GetLatestSequenceNumber()) +
                                               ", expected " + std::to_string(sequence));
    }
    SleepUs(1000);
  }
  return Status::OK();
}

Status Reader::Finish(const std::string& position, uint64_t sequence, ReaderResult* result) {
  Status s = WaitUntilVisible(position, sequence);
  StopWatching();
  const CpuTime used = CpuTime::Of(RUSAGE_SELF) - before_;
  result->catch_up_cpu_seconds = static_cast<double>(catch_up_cpu_ns_) * 1e-9;
  result->measuring_cpu_seconds = watcher_cpu_.seconds - result->catch_up_cpu_seconds;
  result->cpu_seconds = used.seconds - result->measuring_cpu_seconds;
  result->looks = looks_;
  result->failed_catch_ups = failed_catch_ups_;
  result->switches = used.switches - watcher_cpu_.switches;
  result->preemptions = used.preemptions - watcher_cpu_.preemptions;
  result->stats = Stats();
  return s;
}

json Reader::Stats() const {
  if (follower_ == nullptr) return json::object();
  const FollowerStats stats = follower_->stats();
  return {{"records_applied", stats.records_applied}, {"writes", stats.writes},
          {"bytes_applied", stats.bytes_applied},     {"rebuilds", stats.rebuilds},
          {"rebuild_us", stats.rebuild_us},           {"resyncs", stats.resyncs},
          {"reconnects", stats.reconnects},           {"memtable_bytes", stats.memtable_bytes},
          {"image_bytes", stats.image_bytes}};
}

Status Reader::Close() {
  Status s;
  if (follower_ != nullptr) s = follower_->Close();
  follower_.reset();
  secondary_.reset();
  return s;
}

}  // namespace

Status RunReader(const ReaderSettings& settings, ChildEnd* parent) {
  Reader reader(settings);
  Status s = reader.Open();
  if (s.ok()) s = parent->Send({{"open", true}});
  while (s.ok()) {
    json command;
    s = parent->Receive(&command);
    if (!s.ok()) break;
    const std::string what = command.value("do", "");
    if (what == "watch") {
      reader.StartWatching();
      s = parent->Send({{"watching", true}});
    } else if (what == "finish") {
      ReaderResult result;
      s = reader.Finish(command.value("position", ""), command.value("sequence", uint64_t{0}),
                        &result);
      if (s.ok()) s = parent->Send(result);
    } else if (what == "digest") {
      ContentDigest digest;
      s = reader.Digest(&digest);
      if (s.ok()) s = parent->Send(digest);
    } else {
      s = reader.Close();
      return s.ok() ? parent->Send({{"closed", true}}) : s;
    }
  }
  return s;
}

}  // namespace slipstream::bench
