// How far a follower is: what its host asks, waits for and is told.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/core/epoch_table.h"
#include "lib/core/messages.h"
#include "lib/follower/follower_report.h"
#include "lib/host/steady_cond_var.h"
#include "slipstream/follower.h"
#include "slipstream/observe/task.h"
#include "slipstream/position.h"

namespace slipstream {

// Threads: any.
class Progress {
 public:
  Progress() = default;
  // Both may be null; borrowed. Waits that last are tasks of `tasks`.
  Progress(FollowerTimings* timings, observe::TaskRegistry* tasks, std::string database)
      : timings_(timings), tasks_(tasks), database_(std::move(database)) {}

  // The tasks that waits are blocked by: what brings news, and what shows it.
  void SetStreamTask(observe::TaskId id) { stream_task_ = id; }
  void SetApplierTask(observe::TaskId id) { applier_task_ = id; }
  observe::TaskId applier_task() const { return applier_task_; }

  // ---- Told by the stream.
  void SetEpochs(const EpochTable& epochs);
  // The leader stood at `leader`; this arrived at `now_us`.
  void LeaderAt(const Position& leader, uint64_t now_us);
  void Received(const Position& received);
  // The leader waits to hear that everything up to there is received, and then applied.
  void ConfirmUpTo(const Position& end);
  void SetConnected(bool connected);
  // Why there is no stream at present, or OK.
  void SetStreamStatus(const rocksdb::Status& status);

  // ---- Told by the applier.
  // Why what arrives cannot be shown, or OK.
  void SetApplyStatus(const rocksdb::Status& status);
  // Reads show everything up to here.
  void Applied(const Position& applied);
  // What is taken back, if anything, when the first generation of a new epoch shows `applied`.
  std::optional<HistoryReset> TakenBackBy(const Position& applied) const;
  // It shows `applied`. Returns what TakenBackBy said before.
  std::optional<HistoryReset> AppliedNewEpoch(const Position& applied);

  // ---- Asked.
  Position applied() const;
  rocksdb::Status WaitFor(const Position& position, uint64_t timeout_us);
  rocksdb::Status WaitForFreshness(uint64_t max_staleness_us, uint64_t timeout_us);
  // The applier's trouble if it has any, else the stream's.
  rocksdb::Status status() const;
  void Fill(FollowerStats* stats) const;
  // What an acknowledgement says; from then on the leader counts as knowing it.
  void Fill(Ack* ack);

  // Counts changes that the leader should hear of.
  uint64_t version() const;
  // Blocks until version() != seen, Stop, or the timeout.
  void WaitForChange(uint64_t seen, absl::Duration timeout) const;
  // Blocks until the leader should hear of a change since `seen` at once, as it waits for it, or
  // Stop: true. False after the timeout.
  bool WaitForUrgency(uint64_t seen, absl::Duration timeout) const;
  // A change that the leader should hear of at once.
  void BumpVersion();

  // Ends all waits, now and later, with ShutdownInProgress.
  void Stop();

 private:
  // What a reader waits for: a position, or freshness.
  struct Goal {
    std::optional<Position> position;
    uint64_t max_staleness_us = 0;
  };
  rocksdb::Status Wait(const Goal& goal, uint64_t timeout_us);
  // The same as a task, until `deadline`.
  rocksdb::Status WaitSeen(const Goal& goal, SteadyTime deadline);
  // True if there is nothing more to wait for, with the outcome.
  bool IsOverLocked(const Goal& goal, bool late, rocksdb::Status* outcome) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  observe::TaskId BlockerLocked(const Goal& goal) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // kOk: covered; kTimedOut: not yet; kAborted: never.
  rocksdb::Status::Code CoveredLocked(const Position& position) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsUrgentLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ChangedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  rocksdb::Status StatusLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<HistoryReset> TakenBackByLocked(const Position& applied) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetShownLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t StalenessLocked(uint64_t now_us) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  struct Sighting {
    Position leader;
    uint64_t arrived_us;
  };

  FollowerTimings* const timings_ = nullptr;
  observe::TaskRegistry* const tasks_ = nullptr;
  const std::string database_;
  std::atomic<observe::TaskId> stream_task_{0};
  std::atomic<observe::TaskId> applier_task_{0};

  mutable absl::Mutex mutex_;
  mutable SteadyCondVar changed_;
  EpochTable epochs_ ABSL_GUARDED_BY(mutex_);
  Position applied_ ABSL_GUARDED_BY(mutex_);
  Position received_ ABSL_GUARDED_BY(mutex_);
  Position leader_ ABSL_GUARDED_BY(mutex_);
  // What the leader was known to have and reads do not show yet, oldest first.
  std::deque<Sighting> ahead_ ABSL_GUARDED_BY(mutex_);
  uint64_t fresh_at_us_ ABSL_GUARDED_BY(mutex_) = 0;  // reads show what the leader had then
  bool connected_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  rocksdb::Status stream_status_ ABSL_GUARDED_BY(mutex_);
  rocksdb::Status apply_status_ ABSL_GUARDED_BY(mutex_);
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 0;
  // The leader waits until it hears that everything up to `asked_` is applied; what it has heard.
  Position asked_ ABSL_GUARDED_BY(mutex_);
  Position told_ ABSL_GUARDED_BY(mutex_);
  bool bumped_ ABSL_GUARDED_BY(mutex_) = false;
  mutable SteadyCondVar urgent_;
};

}  // namespace slipstream
