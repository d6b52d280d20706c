#include "lib/follower/receive_queue.h"

#include <utility>

namespace slipstream {

uint64_t ReceiveQueue::SizeOf(const Item& item) {
  const FollowerInput* input = std::get_if<FollowerInput>(&item);
  return input == nullptr ? 0 : input->payload.size();
}

bool ReceiveQueue::Push(Item item) {
  const uint64_t size = SizeOf(item);
  bool first;
  {
    absl::MutexLock lock(&mutex_);
    pushing_ = true;
    while (!stopped_ && bytes_ != 0 && bytes_ + size > limit_bytes_) not_full_.Wait(&mutex_);
    pushing_ = false;
    if (stopped_) return false;
    bytes_ += size;
    items_.push_back(std::move(item));
    first = items_.size() == 1;
  }
  // Without the lock, which whoever wakes up would only wait for again.
  if (first) not_empty_.Signal();
  return true;
}

bool ReceiveQueue::Take(std::deque<Item>* items, absl::Duration timeout) {
  items->clear();
  const SteadyTime deadline = DeadlineIn(timeout);
  absl::MutexLock lock(&mutex_);
  bytes_ -= std::exchange(taken_bytes_, 0);
  not_full_.Signal();
  while (!stopped_ && !woken_ && items_.empty()) {
    if (not_empty_.WaitUntil(&mutex_, deadline)) break;
  }
  woken_ = false;
  if (stopped_) return false;
  items->swap(items_);
  taken_bytes_ = bytes_;
  return true;
}

void ReceiveQueue::Wake() {
  absl::MutexLock lock(&mutex_);
  woken_ = true;
  not_empty_.Signal();
}

void ReceiveQueue::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  not_empty_.SignalAll();
  not_full_.SignalAll();
}

uint64_t ReceiveQueue::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

bool ReceiveQueue::full() const {
  absl::MutexLock lock(&mutex_);
  return pushing_;
}

}  // namespace slipstream
