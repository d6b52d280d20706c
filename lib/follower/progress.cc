#include "lib/follower/progress.h"

#include <algorithm>

#include "lib/host/steady_clock.h"
#include "lib/observe/seen_wait.h"

namespace slipstream {
namespace {

using rocksdb::Status;

// Beyond this many sightings, the newest replaces the one before.
constexpr size_t kMaxSightings = 4096;

}  // namespace

void Progress::SetEpochs(const EpochTable& epochs) {
  absl::MutexLock lock(&mutex_);
  epochs_ = epochs;
  changed_.SignalAll();
}

void Progress::LeaderAt(const Position& leader, uint64_t now_us) {
  absl::MutexLock lock(&mutex_);
  leader_ = leader;
  if (leader <= applied_) {
    fresh_at_us_ = now_us;
    changed_.SignalAll();
  } else if (ahead_.empty() || ahead_.back().leader < leader) {
    if (ahead_.size() < kMaxSightings) {
      ahead_.push_back({leader, now_us});
    } else {
      ahead_.back().leader = leader;
    }
  }
}

void Progress::Received(const Position& received) {
  absl::MutexLock lock(&mutex_);
  received_ = received;
  ChangedLocked();
}

void Progress::ConfirmUpTo(const Position& end) {
  absl::MutexLock lock(&mutex_);
  asked_ = end;
  if (IsUrgentLocked()) urgent_.SignalAll();
}

bool Progress::IsUrgentLocked() const {
  return bumped_ || told_.epoch < asked_.epoch ||
         (told_.epoch == asked_.epoch && told_.offset < asked_.offset);
}

void Progress::ChangedLocked() {
  ++version_;
  changed_.SignalAll();
  if (IsUrgentLocked()) urgent_.SignalAll();
}

void Progress::SetConnected(bool connected) {
  absl::MutexLock lock(&mutex_);
  connected_ = connected;
}

void Progress::SetStreamStatus(const Status& status) {
  absl::MutexLock lock(&mutex_);
  stream_status_ = status;
  changed_.SignalAll();
}

void Progress::SetApplyStatus(const Status& status) {
  absl::MutexLock lock(&mutex_);
  apply_status_ = status;
  changed_.SignalAll();
}

Status Progress::StatusLocked() const {
  return apply_status_.ok() ? stream_status_ : apply_status_;
}

void Progress::ForgetShownLocked() {
  if (ahead_.empty() || ahead_.front().leader > applied_) return;
  const uint64_t now_us = timings_ == nullptr ? 0 : SteadyMicros();
  while (!ahead_.empty() && ahead_.front().leader <= applied_) {
    if (timings_ != nullptr) {
      timings_->lag.Observe(static_cast<double>(now_us - ahead_.front().arrived_us) / 1e6);
    }
    fresh_at_us_ = std::max(fresh_at_us_, ahead_.front().arrived_us);
    ahead_.pop_front();
  }
}

void Progress::Applied(const Position& applied) {
  absl::MutexLock lock(&mutex_);
  applied_ = applied;
  received_ = std::max(received_, applied);
  ForgetShownLocked();
  ChangedLocked();
}

std::optional<HistoryReset> Progress::TakenBackByLocked(const Position& applied) const {
  if (applied_.epoch == 0 || applied_.epoch == applied.epoch) return std::nullopt;
  const auto lowest = epochs_.LowestStart(applied_.epoch, applied.epoch);
  // Without a known start, only what is missing now is certain to have been taken back.
  const uint64_t kept = lowest.value_or(applied.sequence);
  if (applied_.sequence <= kept) return std::nullopt;
  return HistoryReset{applied_, Position{applied.epoch, 0, kept}};
}

std::optional<HistoryReset> Progress::TakenBackBy(const Position& applied) const {
  absl::MutexLock lock(&mutex_);
  return TakenBackByLocked(applied);
}

std::optional<HistoryReset> Progress::AppliedNewEpoch(const Position& applied) {
  absl::MutexLock lock(&mutex_);
  const std::optional<HistoryReset> reset = TakenBackByLocked(applied);
  applied_ = applied;
  received_ = applied;
  std::erase_if(ahead_, [&](const Sighting& s) { return s.leader.epoch != applied.epoch; });
  ForgetShownLocked();
  ChangedLocked();
  return reset;
}

Position Progress::applied() const {
  absl::MutexLock lock(&mutex_);
  return applied_;
}

Status::Code Progress::CoveredLocked(const Position& position) const {
  if (position.epoch == applied_.epoch) {
    return position.offset <= applied_.offset ? Status::kOk : Status::kTimedOut;
  }
  if (position.epoch > applied_.epoch) return Status::kTimedOut;
  const auto lowest = epochs_.LowestStart(position.epoch, applied_.epoch);
  return lowest && position.sequence <= *lowest ? Status::kOk : Status::kAborted;
}

uint64_t Progress::StalenessLocked(uint64_t now_us) const {
  return now_us > fresh_at_us_ ? now_us - fresh_at_us_ : 0;
}

Status Progress::WaitFor(const Position& position, uint64_t timeout_us) {
  if (position.epoch == 0) {
    return Status::InvalidArgument("WaitFor: the position is empty, expected one of a leader");
  }
  return Wait({.position = position}, timeout_us);
}

Status Progress::WaitForFreshness(uint64_t max_staleness_us, uint64_t timeout_us) {
  return Wait({.position = {}, .max_staleness_us = max_staleness_us}, timeout_us);
}

bool Progress::IsOverLocked(const Goal& goal, bool late, Status* outcome) const {
  const uint64_t staleness_us = goal.position ? 0 : StalenessLocked(SteadyMicros());
  const Status::Code code = goal.position ? CoveredLocked(*goal.position)
                            : fresh_at_us_ != 0 && staleness_us <= goal.max_staleness_us
                                ? Status::kOk
                                : Status::kTimedOut;
  *outcome = Status::OK();
  if (code == Status::kOk) return true;
  if (code == Status::kAborted) {
    *outcome = Status::Aborted("position " + goal.position->ToString() +
                               " is not known to be in epoch " + std::to_string(applied_.epoch));
  } else if (stopped_) {
    *outcome = Status::ShutdownInProgress("the follower is closing");
  } else if (late && goal.position) {
    *outcome = Status::TimedOut("reads show " + applied_.ToString() + ", not yet " +
                                goal.position->ToString());
  } else if (late) {
    *outcome =
        Status::TimedOut("reads are " + std::to_string(staleness_us) +
                         " us old, expected at most " + std::to_string(goal.max_staleness_us));
  }
  return !outcome->ok();
}

Status Progress::Wait(const Goal& goal, uint64_t timeout_us) {
  Status outcome;
  bool over;
  uint64_t begin_us = 0;
  const SteadyTime deadline = DeadlineIn(timeout_us);
  {
    absl::MutexLock lock(&mutex_);
    over = IsOverLocked(goal, timeout_us == 0, &outcome);
    if (!over) begin_us = SteadyMicros();
    const SteadyTime unseen =
        tasks_ == nullptr ? deadline : std::min(deadline, DeadlineIn(observe::kUnseenWaitUs));
    for (bool late = false; !over && !late;) {
      late = changed_.WaitUntil(&mutex_, unseen);
      over = IsOverLocked(goal, late && unseen == deadline, &outcome);
    }
  }
  if (!over) outcome = WaitSeen(goal, deadline);
  if (timings_ != nullptr) {
    timings_->wait.Observe(begin_us == 0 ? 0
                                         : static_cast<double>(SteadyMicros() - begin_us) / 1e6);
  }
  return outcome;
}

Status Progress::WaitSeen(const Goal& goal, SteadyTime deadline) {
  observe::TaskScope task(tasks_, goal.position ? "wait_for_position" : "wait_for_freshness",
                          {{"database", database_}});
  if (goal.position) {
    task->SetAttribute("position", goal.position->ToString());
  } else {
    task->SetAttribute("max_staleness_us", std::to_string(goal.max_staleness_us));
  }
  const observe::CancellationToken token = task->token();
  Status outcome;
  {
    // Made and destroyed without the lock, which it takes.
    const observe::CancelHook hook(token, [this] {
      absl::MutexLock lock(&mutex_);
      changed_.SignalAll();
    });
    absl::MutexLock lock(&mutex_);
    observe::TaskId blocker = 0;
    for (bool late = false; !IsOverLocked(goal, late, &outcome);) {
      outcome = token.Check();
      if (!outcome.ok()) break;
      if (const observe::TaskId now = BlockerLocked(goal); now != blocker) {
        blocker = now;
        task->SetBlocker(observe::Blocker::Task(blocker));
        task->SetStatus(blocker == stream_task_ ? "waiting for the leader"
                                                : "waiting for the applier");
      }
      late = changed_.WaitUntil(&mutex_, deadline);
    }
  }
  // That the time was up is an answer and no failure.
  if (outcome.IsTimedOut()) task->SetStatus("the time is up");
  task->Finish(outcome.IsTimedOut() ? Status::OK() : outcome);
  return outcome;
}

observe::TaskId Progress::BlockerLocked(const Goal& goal) const {
  const bool arrived = goal.position ? received_ >= *goal.position : !ahead_.empty();
  return arrived ? applier_task_ : stream_task_;
}

Status Progress::status() const {
  absl::MutexLock lock(&mutex_);
  return StatusLocked();
}

void Progress::Fill(FollowerStats* stats) const {
  const uint64_t now_us = SteadyMicros();
  absl::MutexLock lock(&mutex_);
  stats->connected = connected_;
  stats->applied = applied_;
  stats->received = received_;
  stats->leader = leader_;
  if (leader_ > applied_) {
    const uint64_t shown = leader_.epoch == applied_.epoch ? applied_.offset : 0;
    stats->lag_bytes = leader_.offset - shown;
    if (leader_.sequence > applied_.sequence) {
      stats->lag_sequences = leader_.sequence - applied_.sequence;
    }
  }
  if (!ahead_.empty() && now_us > ahead_.front().arrived_us) {
    stats->lag_us = now_us - ahead_.front().arrived_us;
  }
  stats->staleness_us = StalenessLocked(now_us);
  stats->status = StatusLocked();
}

void Progress::Fill(Ack* ack) {
  absl::MutexLock lock(&mutex_);
  told_ = applied_;
  bumped_ = false;
  ack->received = received_;
  ack->applied = applied_;
  ack->serving = applied_.epoch != 0;
}

uint64_t Progress::version() const {
  absl::MutexLock lock(&mutex_);
  return version_;
}

void Progress::WaitForChange(uint64_t seen, absl::Duration timeout) const {
  const SteadyTime deadline = DeadlineIn(timeout);
  absl::MutexLock lock(&mutex_);
  while (version_ == seen && !stopped_) {
    if (changed_.WaitUntil(&mutex_, deadline)) return;
  }
}

bool Progress::WaitForUrgency(uint64_t seen, absl::Duration timeout) const {
  const SteadyTime deadline = DeadlineIn(timeout);
  absl::MutexLock lock(&mutex_);
  while ((version_ == seen || !IsUrgentLocked()) && !stopped_) {
    if (urgent_.WaitUntil(&mutex_, deadline)) return false;
  }
  return true;
}

void Progress::BumpVersion() {
  absl::MutexLock lock(&mutex_);
  bumped_ = true;
  ChangedLocked();
}

void Progress::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  changed_.SignalAll();
  urgent_.SignalAll();
}

}  // namespace slipstream
