// When the next message may be sent: at once after a pause, together with others under load.
// Pure: time is passed in. Threads: thread-compatible.
#pragma once

#include <algorithm>
#include <cstdint>

namespace slipstream {

// A bucket of tokens: each message takes one, and one comes back every kRefill delays. While there
// are tokens a message goes at once; without, it waits until `delay_us` after the one before. Under
// load tokens hardly come back: to send at once the sender is woken by the thread that writes.
class SendPacer {
 public:
  explicit SendPacer(uint64_t delay_us) : delay_us_(delay_us) {}

  // Microseconds from `now_us` until a message may be sent; 0 = now.
  uint64_t Delay(uint64_t now_us) const {
    if (delay_us_ == 0 || Tokens(now_us) >= 1) return 0;
    const uint64_t at = last_send_us_ + delay_us_;
    return at > now_us ? at - now_us : 0;
  }

  void OnSend(uint64_t now_us) {
    gap_us_ = now_us > last_send_us_ ? now_us - last_send_us_ : 0;
    tokens_ = std::max(0.0, Tokens(now_us) - 1);
    last_send_us_ = now_us;
  }

  // The sender has looked whether there is something to send.
  void OnLook(uint64_t now_us, bool is_something) {
    if (is_something && Delay(now_us) > 0) busy_ = true;
    if (!is_something && now_us >= last_send_us_ + delay_us_) busy_ = false;
  }

  // Whether something is expected to come within the delay after a message, as it last did: then to
  // be woken by it, and to wait for the rest of the delay, is once too often.
  bool IsBusy() const { return busy_; }

  // Whether, as far as the last two messages tell, the next one is a few milliseconds away at most.
  bool IsNextNear(uint64_t now_us) const {
    return gap_us_ < kNearUs && now_us < last_send_us_ + kNearUs;
  }

 private:
  static constexpr double kBurst = 8;
  static constexpr double kRefill = 32;
  static constexpr uint64_t kNearUs = 3000;

  double Tokens(uint64_t now_us) const {
    if (delay_us_ == 0) return kBurst;
    const uint64_t passed = now_us > last_send_us_ ? now_us - last_send_us_ : 0;
    return std::min(
        kBurst, tokens_ + static_cast<double>(passed) / (kRefill * static_cast<double>(delay_us_)));
  }

  const uint64_t delay_us_;
  double tokens_ = kBurst;
  uint64_t last_send_us_ = 0;
  uint64_t gap_us_ = UINT64_MAX;  // between the last two
  bool busy_ = false;
};

}  // namespace slipstream
