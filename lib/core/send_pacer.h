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
    if (delay_us_ == 0) return;
    tokens_ = std::max(0.0, Tokens(now_us) - 1);
    last_send_us_ = now_us;
  }

 private:
  static constexpr double kBurst = 8;
  static constexpr double kRefill = 32;

  double Tokens(uint64_t now_us) const {
    const uint64_t passed = now_us > last_send_us_ ? now_us - last_send_us_ : 0;
    return std::min(
        kBurst, tokens_ + static_cast<double>(passed) / (kRefill * static_cast<double>(delay_us_)));
  }

  const uint64_t delay_us_;
  double tokens_ = kBurst;
  uint64_t last_send_us_ = 0;
};

}  // namespace slipstream
