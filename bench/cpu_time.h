// CPU time and wake-ups of this process and of single threads.
#pragma once

#include <sys/resource.h>
#include <time.h>

#include <cstdint>

namespace slipstream::bench {

// Nanoseconds of CLOCK_MONOTONIC, which is one clock for all processes of a machine.
inline uint64_t NowNs() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

// Nanoseconds of CPU that the calling thread has used.
inline uint64_t ThreadCpuNs() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

// Both as short as asked for only with a timer slack below the default of 50 us.
inline void SleepUs(uint64_t us) {
  const timespec t{static_cast<time_t>(us / 1'000'000), static_cast<long>(us % 1'000'000) * 1000};
  nanosleep(&t, nullptr);
}
inline void SleepUntil(uint64_t at_ns) {
  const timespec at{static_cast<time_t>(at_ns / 1'000'000'000),
                    static_cast<long>(at_ns % 1'000'000'000)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
}

struct CpuTime {
  double seconds = 0;        // user and system
  uint64_t switches = 0;     // how often a thread went to sleep by itself
  uint64_t preemptions = 0;  // how often one was taken off a core: a sign of a busy machine

  CpuTime operator-(const CpuTime& o) const {
    return {seconds - o.seconds, switches - o.switches, preemptions - o.preemptions};
  }

  // who: RUSAGE_SELF for the process with the threads that have ended, RUSAGE_THREAD for the
  // caller.
  static CpuTime Of(int who) {
    rusage u{};
    getrusage(who, &u);
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return {seconds(u.ru_utime) + seconds(u.ru_stime), static_cast<uint64_t>(u.ru_nvcsw),
            static_cast<uint64_t>(u.ru_nivcsw)};
  }
};

}  // namespace slipstream::bench
