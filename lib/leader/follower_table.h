// The leader's followers: the registry with its lock, the waits for confirmations, and counters.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/core/follower_registry.h"
#include "lib/host/steady_cond_var.h"
#include "slipstream/leader.h"
#include "slipstream/observe/metrics.h"
#include "slipstream/observe/task.h"

namespace slipstream {

// Threads: any.
class FollowerTable {
 public:
  // tasks: waits that last are tasks of it. Borrowed; may be null.
  explicit FollowerTable(uint64_t lease_ms, observe::TaskRegistry* tasks = nullptr)
      : tasks_(tasks), registry_(lease_ms) {}

  // Registers a follower and, in the same step, the pin that its image needs: `now` is the leader's
  // position, which no later cut is before. A pin of the follower's own counts if everything
  // removed since is still on the storage.
  uint64_t Connect(const Hello& hello, const std::string& peer, const Position& now);
  // The task of its present stream, which waits are blocked by.
  void SetTask(const std::string& id, uint64_t stream, observe::TaskId task);
  void Disconnect(const std::string& id, uint64_t stream);
  void Confirm(const std::string& id, uint64_t stream, const Ack& ack);

  // A message up to `end` is about to be handed to the transport at `now_us`. True if it should ask
  // for a confirmation: somebody waits for one, or did a moment ago and is likely to do so again.
  bool Sent(const std::string& id, uint64_t stream, const Position& end, uint64_t bytes,
            uint64_t now_us);
  // An image of so many bytes of log files was begun.
  void ImageSent(const std::string& id, uint64_t stream, uint64_t bytes);

  // Drops those whose lease is over; then the oldest pin of the others.
  std::optional<Position> OldestPin();

  // No follower will ever confirm a position of an older epoch than that of `last`, or beyond it
  // within its epoch, for which `why` is the reason: waits for those end, now and later, with
  // Aborted.
  void SetReachable(const Position& last, const rocksdb::Status& why);
  // What Leader::WaitForFollowers says. Followers confirm in their own time unless they are asked:
  // `ask` is called, without a lock, if what was sent may not have asked them.
  rocksdb::Status Wait(const Position& position, size_t count, AckLevel level, uint64_t timeout_us,
                       const std::function<void()>& ask);
  // Whether somebody waits for a confirmation, or did a moment ago.
  bool IsAwaited(uint64_t now_us) const;
  // Ends all waits, now and later, with `why`; the first call counts.
  void Stop(const rocksdb::Status& why);

  std::vector<FollowerInfo> List(const Position& leader) const;

  // Seconds from each message to its confirmation as applied, and of each Wait.
  observe::HistogramSnapshot confirmations() const { return confirmations_.Snapshot(); }
  observe::HistogramSnapshot waits() const { return waits_.Snapshot(); }

 private:
  // Messages that are not confirmed yet, oldest first.
  struct Flight {
    Position end;
    uint64_t sent_us;
  };
  struct Counters {
    std::deque<Flight> flights;
    uint64_t heard_us = 0;  // when it last said something
    uint64_t images_sent = 0;
    uint64_t bytes_sent = 0;
    observe::TaskId task = 0;  // of its present stream
  };

  // What is awaited: confirmations of `position` by `count` followers.
  struct Goal {
    Position position;
    size_t count;
    AckLevel level;
  };
  // A wait that lasts, as a task.
  rocksdb::Status WaitSeen(const Goal& goal, SteadyTime deadline) ABSL_LOCKS_EXCLUDED(mutex_);
  // Who keeps it: the follower that would be the last one needed.
  observe::Blocker BlockerLocked(const Goal& goal) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // True if there is nothing more to wait for, with the outcome.
  bool IsOverLocked(const Goal& goal, bool late, rocksdb::Status* outcome) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  rocksdb::Status CheckReachableLocked(const Position& position) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsPresentLocked(const std::string& id, uint64_t stream) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  observe::TaskRegistry* const tasks_;
  observe::Histogram confirmations_{observe::Histogram::DurationBounds()};
  observe::Histogram waits_{observe::Histogram::DurationBounds()};

  // Both change under the lock.
  std::atomic<int> waiting_{0};
  std::atomic<uint64_t> waited_us_{0};  // when the last wait ended

  mutable absl::Mutex mutex_;
  SteadyCondVar confirmed_;
  FollowerRegistry registry_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Counters> counters_ ABSL_GUARDED_BY(mutex_);
  Position reachable_ ABSL_GUARDED_BY(mutex_){0, UINT64_MAX, 0};
  rocksdb::Status unreachable_why_ ABSL_GUARDED_BY(mutex_);
  rocksdb::Status stopped_ ABSL_GUARDED_BY(mutex_);  // OK until Stop
};

}  // namespace slipstream
