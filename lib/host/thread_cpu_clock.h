// What a thread has cost.
#pragma once

#include <time.h>

#include <cstdint>

namespace slipstream {

// CPU time of the calling thread, in microseconds; only differences mean anything.
inline uint64_t ThreadCpuMicros() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000 + static_cast<uint64_t>(time.tv_nsec) / 1000;
}

}  // namespace slipstream
