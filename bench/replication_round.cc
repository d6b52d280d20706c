#include "bench/replication_round.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "bench/cpu_time.h"

namespace slipstream::bench {

using nlohmann::json;
using rocksdb::Status;

namespace {
// For what takes a moment unless something is wrong; a loaded machine may need long for it.
constexpr uint64_t kAnswerTimeoutMs = 120'000;
}  // namespace

const char* NameOf(Side side) {
  switch (side) {
    case Side::kPlain:
      return "plain";
    case Side::kLeader:
      return "leader";
    case Side::kFollowers:
      return "followers";
    case Side::kSecondary:
      return "secondary";
  }
  return "?";
}

double RoundResult::reader_cpu_per_million() const {
  double seconds = 0;
  for (const ReaderResult& reader : readers) seconds += reader.cpu_seconds;
  return readers.empty() ? 0 : PerMillion(seconds / static_cast<double>(readers.size()));
}

double PercentileUs(const std::vector<uint64_t>& sorted_ns, double fraction) {
  if (sorted_ns.empty()) return 0;
  const auto last = static_cast<double>(sorted_ns.size() - 1);
  return static_cast<double>(sorted_ns[static_cast<size_t>(last * fraction + 0.5)]) / 1000;
}

ReplicationRound::ReplicationRound(const RoundSettings& settings, Side side, std::string directory,
                                   std::function<void(const RoundProgress&)> progress)
    : settings_(settings),
      side_(side),
      directory_(std::move(directory)),
      progress_(std::move(progress)) {}

Status ReplicationRound::Run(RoundResult* result) {
  result->side = side_;
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (error) return Status::IOError(directory_, error.message());
  const uint64_t readers = side_ == Side::kFollowers   ? settings_.followers
                           : side_ == Side::kSecondary ? 1
                                                       : 0;
  readers_.resize(readers);
  Status s = board_.Create(MarkerCapacity(settings_.load), readers);
  if (s.ok()) s = StartWriter();
  if (s.ok()) s = StartReaders();
  if (s.ok()) s = Load(&result->writer);
  if (s.ok()) s = FinishReaders(result);
  if (s.ok()) s = Compare(result);
  if (s.ok()) s = Quit();
  if (s.ok()) CollectLags(result);
  return s;
}

Status ReplicationRound::Tick() {
  if (Interrupted()) return Status::Incomplete("interrupted");
  Status s = writer_->CheckAlive();
  for (const auto& reader : readers_) {
    if (s.ok() && reader != nullptr) s = reader->CheckAlive();
  }
  if (!s.ok() || load_began_ns_ == 0) return s;
  RoundProgress progress;
  progress.keys_per_second = static_cast<double>(board_.keys_written()) /
                             (static_cast<double>(NowNs() - load_began_ns_) * 1e-9);
  if (!readers_.empty()) {
    std::vector<uint64_t> ns = board_.LagsOf(0).ns;
    std::sort(ns.begin(), ns.end());
    progress.lag_p50_us = PercentileUs(ns, 0.5);
  }
  progress_(progress);
  return s;
}

Status ReplicationRound::Ask(ChildProcess* child, const json& command, uint64_t timeout_ms,
                             json* answer) {
  Status s = child->Send(command);
  return s.ok() ? child->Receive(
                      timeout_ms, [this] { return Tick(); }, answer)
                : s;
}

Status ReplicationRound::StartWriter() {
  WriterSettings w;
  w.is_leader = side_ == Side::kLeader || side_ == Side::kFollowers;
  w.directory = directory_ + "/db";
  w.storage = directory_ + "/storage";
  w.load = settings_.load;
  w.max_batch_delay_us = settings_.max_batch_delay_us;
  w.followers = side_ == Side::kFollowers ? readers_.size() : 0;
  w.board_fd = board_.fd();
  w.board_readers = readers_.size();
  Status s = ChildProcess::Start(w.is_leader ? "leader" : "plain writer",
                                 {{"role", "writer"}, {"with", w}}, &writer_);
  json answer;
  if (s.ok())
    s = writer_->Receive(
        kAnswerTimeoutMs, [this] { return Tick(); }, &answer);
  if (s.ok()) port_ = answer.value("port", 0);
  return s;
}

Status ReplicationRound::StartReaders() {
  ReaderSettings r;
  r.is_follower = side_ == Side::kFollowers;
  r.directory = directory_ + "/db";
  r.own_directory = directory_ + "/secondary";
  r.storage = directory_ + "/storage";
  r.port = port_;
  r.load = settings_.load;
  r.look_us = settings_.look_us;
  r.catch_up_us = settings_.catch_up_us;
  r.board_fd = board_.fd();
  r.board_readers = readers_.size();
  for (r.reader = 0; r.reader < readers_.size(); ++r.reader) {
    auto& reader = readers_[r.reader];
    Status s = ChildProcess::Start(r.is_follower ? "follower" : "secondary",
                                   {{"role", "reader"}, {"with", r}}, &reader);
    json answer;
    if (s.ok())
      s = reader->Receive(
          kAnswerTimeoutMs, [this] { return Tick(); }, &answer);
    if (!s.ok()) return s;
  }
  for (const auto& reader : readers_) {
    json answer;
    Status s = Ask(reader.get(), {{"do", "watch"}}, kAnswerTimeoutMs, &answer);
    if (!s.ok()) return s;
  }
  return Status::OK();
}

Status ReplicationRound::Load(WriterResult* result) {
  load_began_ns_ = NowNs();
  json answer;
  Status s =
      Ask(writer_.get(), {{"do", "load"}}, settings_.load.duration_ms + kAnswerTimeoutMs, &answer);
  load_began_ns_ = 0;
  if (s.ok()) *result = answer.get<WriterResult>();
  return s;
}

Status ReplicationRound::FinishReaders(RoundResult* result) {
  for (const auto& reader : readers_) {
    json answer;
    Status s = Ask(reader.get(),
                   {{"do", "finish"},
                    {"position", result->writer.position},
                    {"sequence", result->writer.sequence}},
                   kAnswerTimeoutMs, &answer);
    if (!s.ok()) return s;
    result->readers.push_back(answer.get<ReaderResult>());
  }
  return Status::OK();
}

Status ReplicationRound::Compare(RoundResult* result) {
  if (readers_.empty()) return Status::OK();
  json answer;
  Status s = Ask(writer_.get(), {{"do", "digest"}}, kAnswerTimeoutMs, &answer);
  if (!s.ok()) return s;
  const auto expected = answer.get<ContentDigest>();
  for (const auto& reader : readers_) {
    s = Ask(reader.get(), {{"do", "digest"}}, kAnswerTimeoutMs, &answer);
    if (!s.ok()) return s;
    const auto found = answer.get<ContentDigest>();
    if (found == expected) continue;
    result->equal = false;
    // What a stock secondary does is not ours to judge; the report tells.
    if (side_ == Side::kFollowers) {
      return Status::Corruption("a follower holds " + found.ToString() + ", the leader " +
                                expected.ToString());
    }
  }
  return s;
}

Status ReplicationRound::Quit() {
  Status s;
  for (const auto& reader : readers_) {
    if (s.ok()) s = reader->Quit(kAnswerTimeoutMs);
  }
  return s.ok() ? writer_->Quit(kAnswerTimeoutMs) : s;
}

void ReplicationRound::CollectLags(RoundResult* result) const {
  for (uint64_t reader = 0; reader < readers_.size(); ++reader) {
    const MarkerBoard::Lags lags = board_.LagsOf(reader);
    result->lag_ns.insert(result->lag_ns.end(), lags.ns.begin(), lags.ns.end());
    result->early_markers += lags.early;
    result->unseen_markers += lags.unseen;
  }
  std::sort(result->lag_ns.begin(), result->lag_ns.end());
}

}  // namespace slipstream::bench
