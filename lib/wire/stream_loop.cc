#include "lib/wire/stream_loop.h"

#include <grpc/support/time.h>

#include <algorithm>
#include <utility>

#include "lib/host/steady_cond_var.h"

namespace slipstream {
namespace {

using NextStatus = grpc::CompletionQueue::NextStatus;

// gRPC counts in milliseconds.
constexpr uint64_t kPollUs = 1000;
constexpr uint64_t kDeafUs = 2000;
// Between two rounds of sending.
constexpr int kMaxEvents = 1000;

gpr_timespec DeadlineOf(uint64_t after_us) {
  if (after_us == 0) return gpr_time_0(GPR_CLOCK_MONOTONIC);
  constexpr uint64_t kLongestUs = UINT64_C(3600) * 1000 * 1000;
  const auto us = static_cast<int64_t>(std::min(after_us, kLongestUs));
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_micros(us, GPR_TIMESPAN));
}

}  // namespace

StreamLoop::StreamLoop(std::unique_ptr<grpc::ServerCompletionQueue> queue)
    : queue_(std::move(queue)) {
  alarm_event_.loop = this;
}

void StreamLoop::Alarm::Complete(bool) {
  PlainLock lock(&loop->mutex_);
  loop->alarm_set_ = false;
}

uint64_t StreamLoop::Pause(const StreamWait& wait) {
  PlainLock lock(&mutex_);
  if (woken_ || wait.after_us == 0) return 0;
  if (wait.after_us >= kPollUs && !wait.may_be_deaf()) {
    state_ = State::kPolling;
    return wait.after_us;
  }
  state_ = State::kPausing;
  const SteadyTime deadline = DeadlineIn(std::min(wait.after_us, kDeafUs));
  for (bool late = false; !woken_ && !late;) late = lock.WaitUntil(&woken_or_late_, deadline);
  return 0;
}

bool StreamLoop::Wait(const StreamWait& wait) {
  gpr_timespec deadline = DeadlineOf(Pause(wait));
  for (int i = 0; i < kMaxEvents; ++i) {
    void* tag = nullptr;
    bool ok = false;
    const NextStatus status = queue_->AsyncNext(&tag, &ok, deadline);
    if (i == 0) {
      // What comes from here on is news to the caller's next round.
      PlainLock lock(&mutex_);
      state_ = State::kRunning;
      woken_ = false;
      deadline = DeadlineOf(0);
    }
    if (status == NextStatus::SHUTDOWN) return false;
    if (status == NextStatus::TIMEOUT) return true;
    static_cast<StreamEvent*>(tag)->Complete(ok);
  }
  return true;
}

void StreamLoop::Shutdown() {
  PlainLock lock(&mutex_);
  if (std::exchange(shut_down_, true)) return;
  queue_->Shutdown();
}

void StreamLoop::Wake() {
  {
    PlainLock lock(&mutex_);
    if (std::exchange(woken_, true)) return;
    if (state_ == State::kPolling && !shut_down_ && !std::exchange(alarm_set_, true)) {
      alarm_.Set(queue_.get(), DeadlineOf(0), static_cast<StreamEvent*>(&alarm_event_));
    }
    if (state_ != State::kPausing) return;
  }
  // Without the lock, which the thread would only wait for again.
  woken_or_late_.notify_one();
}

}  // namespace slipstream
