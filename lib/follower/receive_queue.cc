#include "lib/follower/receive_queue.h"

#include <utility>

#include "lib/host/steady_cond_var.h"

namespace slipstream {

uint64_t ReceiveQueue::SizeOf(const Item& item) {
  const FollowerInput* input = std::get_if<FollowerInput>(&item);
  return input == nullptr ? 0 : input->payload.size();
}

bool ReceiveQueue::Push(Item item) {
  const uint64_t size = SizeOf(item);
  if (Deal(&item, size)) return true;
  bool first;
  {
    PlainLock lock(&mutex_);
    pushing_ = true;
    while (!stopped_ && bytes_ != 0 && bytes_ + size > limit_bytes_) lock.Wait(&not_full_);
    pushing_ = false;
    if (stopped_) return false;
    bytes_ += size;
    items_.push_back(std::move(item));
    first = items_.size() == 1;
  }
  // Without the lock, which whoever wakes up would only wait for again.
  if (first) not_empty_.notify_one();
  return true;
}

bool ReceiveQueue::Deal(Item* item, uint64_t size) {
  {
    PlainLock lock(&mutex_);
    if (!direct_ || !taking_ || woken_ || stopped_ || !items_.empty()) return false;
    pushing_ = true;
    dealing_ = true;
    bytes_ += size;
  }
  const bool dealt = direct_(item);
  bool awaited;
  {
    PlainLock lock(&mutex_);
    pushing_ = false;
    dealing_ = false;
    bytes_ -= size;
    awaited = woken_ || stopped_ || late_;
  }
  if (awaited) not_empty_.notify_one();
  return dealt;
}

bool ReceiveQueue::Take(std::deque<Item>* items, absl::Duration timeout) {
  items->clear();
  const SteadyTime deadline = DeadlineIn(timeout);
  PlainLock lock(&mutex_);
  bytes_ -= std::exchange(taken_bytes_, 0);
  not_full_.notify_one();
  taking_ = true;
  while (dealing_ || (!stopped_ && !woken_ && !late_ && items_.empty())) {
    // Without a limit while Push deals with an item, which says when it has.
    if (deadline == SteadyTime::max() || late_) {
      lock.Wait(&not_empty_);
    } else {
      late_ = lock.WaitUntil(&not_empty_, deadline);
    }
  }
  taking_ = false;
  woken_ = false;
  late_ = false;
  if (stopped_) return false;
  items->swap(items_);
  taken_bytes_ = bytes_;
  return true;
}

void ReceiveQueue::Wake() {
  PlainLock lock(&mutex_);
  woken_ = true;
  if (!dealing_) not_empty_.notify_one();
}

void ReceiveQueue::Stop() {
  PlainLock lock(&mutex_);
  stopped_ = true;
  not_empty_.notify_all();
  not_full_.notify_all();
}

uint64_t ReceiveQueue::bytes() const {
  PlainLock lock(&mutex_);
  return bytes_;
}

bool ReceiveQueue::full() const {
  PlainLock lock(&mutex_);
  return pushing_;
}

}  // namespace slipstream
