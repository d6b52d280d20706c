#include "lib/leader/follower_table.h"

#include <algorithm>

#include "lib/host/steady_clock.h"
#include "lib/observe/seen_wait.h"

namespace slipstream {
namespace {
// Beyond this many messages under way, the newest is merged into the one before.
constexpr size_t kMaxFlights = 4096;
// Whoever waits after each write waits again soon: messages go on asking for so long, which saves
// a message of its own for each wait.
constexpr uint64_t kAskOnUs = 50000;

double SecondsBetween(uint64_t from_us, uint64_t to_us) {
  return to_us > from_us ? static_cast<double>(to_us - from_us) / 1e6 : 0;
}
}  // namespace

uint64_t FollowerTable::Connect(const Hello& hello, const std::string& peer, const Position& now) {
  absl::MutexLock lock(&mutex_);
  Position pin = now;
  if (hello.pin.epoch != 0) pin = std::min(pin, hello.pin);
  const uint64_t stream = registry_.Connect(hello, peer, pin);
  Counters& c = counters_[hello.follower_id];
  c.flights.clear();
  c.heard_us = SteadyMicros();
  return stream;
}

bool FollowerTable::IsPresentLocked(const std::string& id, uint64_t stream) const {
  auto it = registry_.entries().find(id);
  return it != registry_.entries().end() && it->second.stream == stream;
}

void FollowerTable::SetTask(const std::string& id, uint64_t stream, observe::TaskId task) {
  absl::MutexLock lock(&mutex_);
  if (IsPresentLocked(id, stream)) counters_[id].task = task;
}

void FollowerTable::Disconnect(const std::string& id, uint64_t stream) {
  absl::MutexLock lock(&mutex_);
  registry_.Disconnect(id, stream, SteadyMicros() / 1000);
}

void FollowerTable::Confirm(const std::string& id, uint64_t stream, const Ack& ack) {
  absl::MutexLock lock(&mutex_);
  if (!registry_.Confirm(id, stream, ack)) return;
  Counters& c = counters_[id];
  c.heard_us = SteadyMicros();
  std::deque<Flight>& flights = c.flights;
  while (!flights.empty() && flights.front().end <= ack.applied) {
    confirmations_.Observe(SecondsBetween(flights.front().sent_us, c.heard_us));
    flights.pop_front();
  }
  confirmed_.SignalAll();
}

bool FollowerTable::Sent(const std::string& id, uint64_t stream, const Position& end,
                         uint64_t bytes, uint64_t now_us) {
  absl::MutexLock lock(&mutex_);
  if (!IsPresentLocked(id, stream)) return false;
  Counters& c = counters_[id];
  c.bytes_sent += bytes;
  if (c.flights.size() < kMaxFlights) {
    c.flights.push_back({end, now_us});
  } else {
    c.flights.back().end = end;
  }
  return IsAwaited(now_us);
}

void FollowerTable::ImageSent(const std::string& id, uint64_t stream, uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  if (!IsPresentLocked(id, stream)) return;
  Counters& c = counters_[id];
  ++c.images_sent;
  c.bytes_sent += bytes;
}

std::optional<Position> FollowerTable::OldestPin() {
  absl::MutexLock lock(&mutex_);
  registry_.Expire(SteadyMicros() / 1000);
  std::erase_if(counters_, [this](const auto& c) {
    mutex_.AssertHeld();
    return registry_.entries().count(c.first) == 0;
  });
  return registry_.OldestPin();
}

void FollowerTable::SetReachable(const Position& last, const rocksdb::Status& why) {
  absl::MutexLock lock(&mutex_);
  reachable_ = last;
  unreachable_why_ = why;
  confirmed_.SignalAll();
}

rocksdb::Status FollowerTable::CheckReachableLocked(const Position& position) const {
  if (position.epoch < reachable_.epoch) {
    return rocksdb::Status::Aborted("position " + position.ToString() +
                                    " is of an epoch that has ended, now is " +
                                    std::to_string(reachable_.epoch));
  }
  if (position.epoch == reachable_.epoch && position > reachable_) {
    return rocksdb::Status::Aborted("replication has stopped at " + reachable_.ToString() +
                                    ", before position " + position.ToString() + ": " +
                                    unreachable_why_.ToString());
  }
  return rocksdb::Status::OK();
}

bool FollowerTable::IsOverLocked(const Goal& goal, bool late, rocksdb::Status* outcome) const {
  *outcome = stopped_;
  if (!outcome->ok()) return true;
  const bool applied = goal.level == AckLevel::kApplied;
  const size_t have =
      applied ? registry_.CountApplied(goal.position) : registry_.CountReceived(goal.position);
  if (have >= goal.count) return true;
  *outcome = CheckReachableLocked(goal.position);
  if (!outcome->ok()) return true;
  if (late) {
    *outcome = rocksdb::Status::TimedOut(
        std::to_string(have) + " of " + std::to_string(goal.count) + " followers have confirmed " +
        goal.position.ToString() + (applied ? " as applied" : " as received"));
  }
  return late;
}

bool FollowerTable::IsAwaited(uint64_t now_us) const {
  if (waiting_ > 0) return true;
  const uint64_t waited_us = waited_us_;
  return waited_us != 0 && now_us < waited_us + kAskOnUs;
}

rocksdb::Status FollowerTable::Wait(const Position& position, size_t count, AckLevel level,
                                    uint64_t timeout_us, const std::function<void()>& ask) {
  const Goal goal{position, count, level};
  const SteadyTime deadline = DeadlineIn(timeout_us);
  rocksdb::Status outcome;
  bool asked;
  {
    absl::MutexLock lock(&mutex_);
    if (IsOverLocked(goal, false, &outcome)) {
      waits_.Observe(0);
      return outcome;
    }
    // Sent decides under this lock too, so what was sent without asking was sent before whoever was
    // the first to wait came here; that one asks.
    asked = IsAwaited(SteadyMicros());
    ++waiting_;
  }
  if (!asked) ask();
  const uint64_t begin_us = SteadyMicros();
  bool over = false;
  {
    const SteadyTime unseen =
        tasks_ == nullptr ? deadline : std::min(deadline, DeadlineIn(observe::kUnseenWaitUs));
    absl::MutexLock lock(&mutex_);
    for (bool late = timeout_us == 0;;) {
      over = IsOverLocked(goal, late && unseen == deadline, &outcome);
      if (over || late) break;
      late = confirmed_.WaitUntil(&mutex_, unseen);
    }
  }
  if (!over) outcome = WaitSeen(goal, deadline);
  const uint64_t now_us = SteadyMicros();
  waits_.Observe(SecondsBetween(begin_us, now_us));
  absl::MutexLock lock(&mutex_);
  --waiting_;
  waited_us_ = now_us;
  return outcome;
}

rocksdb::Status FollowerTable::WaitSeen(const Goal& goal, SteadyTime deadline) {
  observe::TaskScope task(tasks_, "wait_for_followers",
                          {{"level", goal.level == AckLevel::kApplied ? "applied" : "received"}});
  task->SetAttribute("position", goal.position.ToString());
  task->SetAttribute("count", std::to_string(goal.count));
  const observe::CancellationToken token = task->token();
  rocksdb::Status outcome;
  {
    // Made and destroyed without the lock, which it takes.
    const observe::CancelHook hook(token, [this] {
      absl::MutexLock lock(&mutex_);
      confirmed_.SignalAll();
    });
    absl::MutexLock lock(&mutex_);
    observe::Blocker blocker;
    for (bool late = false; !IsOverLocked(goal, late, &outcome);) {
      outcome = token.Check();
      if (!outcome.ok()) break;
      const observe::Blocker now = BlockerLocked(goal);
      if (now.kind != blocker.kind || now.task != blocker.task || now.name != blocker.name) {
        blocker = now;
        task->SetBlocker(blocker);
      }
      late = confirmed_.WaitUntil(&mutex_, deadline);
    }
  }
  // That the time was up is an answer and no failure.
  if (outcome.IsTimedOut()) task->SetStatus("the time is up");
  task->Finish(outcome.IsTimedOut() ? rocksdb::Status::OK() : outcome);
  return outcome;
}

observe::Blocker FollowerTable::BlockerLocked(const Goal& goal) const {
  const bool applied = goal.level == AckLevel::kApplied;
  size_t have = 0;
  std::vector<std::pair<Position, const FollowerRegistry::Entry*>> missing;
  for (const auto& [id, e] : registry_.entries()) {
    const Position& at = applied ? e.applied : e.received;
    if (at >= goal.position) {
      ++have;
    } else if (e.connected) {
      missing.emplace_back(at, &e);
    }
  }
  if (have >= goal.count) return {};
  if (have + missing.size() < goal.count) {
    return observe::Blocker::Peer(std::to_string(goal.count - have - missing.size()) +
                                  " more followers");
  }
  std::sort(missing.begin(), missing.end(),
            [](const auto& a, const auto& b) { return a.first > b.first; });
  const FollowerRegistry::Entry& last = *missing[goal.count - have - 1].second;
  const auto c = counters_.find(last.id);
  if (c != counters_.end() && c->second.task != 0) return observe::Blocker::Task(c->second.task);
  return observe::Blocker::Peer("follower " + (last.name.empty() ? last.id : last.name));
}

void FollowerTable::Stop(const rocksdb::Status& why) {
  absl::MutexLock lock(&mutex_);
  if (stopped_.ok()) stopped_ = why;
  confirmed_.SignalAll();
}

std::vector<FollowerInfo> FollowerTable::List(const Position& leader) const {
  const uint64_t now_us = SteadyMicros();
  std::vector<FollowerInfo> list;
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, e] : registry_.entries()) {
    FollowerInfo info;
    info.id = e.id;
    info.name = e.name;
    info.address = e.peer;
    info.observe_endpoint = e.observe_endpoint;
    info.connected = e.connected;
    info.serving = e.serving;
    info.received = e.received;
    info.applied = e.applied;
    info.pin = e.pin;
    info.live_generations = e.live_generations;
    // A follower of an older epoch lags by everything that this one has.
    const uint64_t offset = e.applied.epoch == leader.epoch ? e.applied.offset : 0;
    info.lag_bytes = leader.offset > offset ? leader.offset - offset : 0;
    info.lag_sequences =
        leader.sequence > e.applied.sequence ? leader.sequence - e.applied.sequence : 0;
    if (auto c = counters_.find(id); c != counters_.end()) {
      info.images_sent = c->second.images_sent;
      info.bytes_sent = c->second.bytes_sent;
      info.silent_us = now_us > c->second.heard_us ? now_us - c->second.heard_us : 0;
      if (!c->second.flights.empty() && now_us > c->second.flights.front().sent_us) {
        info.lag_us = now_us - c->second.flights.front().sent_us;
      }
    }
    list.push_back(std::move(info));
  }
  return list;
}

}  // namespace slipstream
