// What the receiver has read and the applier has not taken yet.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "lib/core/transport.h"
#include "lib/host/plain_mutex.h"

namespace slipstream {

// A new stream is about to be opened: the applier is asked what the follower holds, which it
// answers once it has dealt with everything before.
struct StreamStart {
  std::function<void(Hello)> answer;
};

// One receiver, one applier, and wakes from anybody.
class ReceiveQueue {
 public:
  using Item = std::variant<StreamStart, FollowerInput>;

  // limit_bytes: of payloads that wait or are being dealt with; a single one may be larger.
  explicit ReceiveQueue(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // To wake another thread costs more than to deal with a small item. Push calls `direct` if the
  // applier is blocked in Take and nothing waits; Take does not return before it has. It returns
  // false for an item that is to be taken instead, and may call Wake.
  // REQUIRES: before the first Push.
  void SetDirect(std::function<bool(Item*)> direct) { direct_ = std::move(direct); }

  // Blocks while the queue is full, and for as long as `direct` takes. False after Stop.
  bool Push(Item item);
  // Blocks until there are items, a wake, or the timeout; then takes all there are. What was taken
  // before counts as dealt with. False after Stop.
  bool Take(std::deque<Item>* items, absl::Duration timeout);
  // Makes a Take return, now or later.
  void Wake();
  void Stop();

  uint64_t bytes() const;
  // True while Push blocks: the stream is not read, but it is not dead either.
  bool full() const;

 private:
  static uint64_t SizeOf(const Item& item);
  // Deals with the item here and now, if it may: true.
  bool Deal(Item* item, uint64_t size);

  const uint64_t limit_bytes_;
  std::function<bool(Item*)> direct_;
  mutable PlainMutex mutex_;
  std::condition_variable not_empty_;
  std::condition_variable not_full_;
  std::deque<Item> items_ ABSL_GUARDED_BY(mutex_);
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t taken_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of them, by the last Take
  bool pushing_ ABSL_GUARDED_BY(mutex_) = false;
  bool taking_ ABSL_GUARDED_BY(mutex_) = false;   // Take is blocked
  bool dealing_ ABSL_GUARDED_BY(mutex_) = false;  // Push is in `direct_`
  bool late_ ABSL_GUARDED_BY(mutex_) = false;     // the time of the Take that is blocked is over
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace slipstream
