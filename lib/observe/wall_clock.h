// Times of a task registry, which are of the steady clock, as times of day.
//
// The only place outside lib/storage where the wall clock is read: what people and other machines
// are told has no other time. Nothing waits by it.
#pragma once

#include <chrono>
#include <cstdint>

#include "slipstream/observe/task_registry.h"

namespace slipstream::observe {

// Microseconds since 1970 UTC.
inline uint64_t WallMicros() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

// One pair of readings of both clocks, so that times which are turned with it keep their distances.
class WallTime {
 public:
  explicit WallTime(const TaskRegistry& registry) : WallTime(registry.NowMicros(), WallMicros()) {}
  WallTime(uint64_t registry_now_us, uint64_t wall_now_us)
      : registry_now_us_(registry_now_us), wall_now_us_(wall_now_us) {}

  uint64_t now_us() const { return wall_now_us_; }
  // Of a time of the registry, in microseconds since 1970 UTC; 0 stays 0, which is no time.
  uint64_t Of(uint64_t registry_us) const {
    if (registry_us == 0) return 0;
    // Unsigned, so that times that are later than the reading come out right, too.
    return wall_now_us_ + (registry_us - registry_now_us_);
  }

 private:
  const uint64_t registry_now_us_;
  const uint64_t wall_now_us_;
};

}  // namespace slipstream::observe
