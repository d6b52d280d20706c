#include "tests/clock/jumping_clock.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include <atomic>
#include <cstdarg>

namespace slipstream::testing {
namespace {

std::atomic<int64_t> ahead_s{0};

using ClockGettime = int (*)(clockid_t, timespec*);
using Syscall = long (*)(long, ...);

ClockGettime RealClockGettime() {
  static const auto real = reinterpret_cast<ClockGettime>(dlsym(RTLD_NEXT, "clock_gettime"));
  return real;
}

Syscall RealSyscall() {
  static const auto real = reinterpret_cast<Syscall>(dlsym(RTLD_NEXT, "syscall"));
  return real;
}

bool Before(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

// Waits in slices of the kernel's clock and looks at ours in between, as the kernel does when its
// clock is set.
long WaitUntilWallClock(const long* arguments, const timespec& deadline) {
  constexpr long kSliceNs = 10000000;
  for (;;) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    if (!Before(now, deadline)) {
      errno = ETIMEDOUT;
      return -1;
    }
    timespec end{};
    RealClockGettime()(CLOCK_REALTIME, &end);
    end.tv_nsec += kSliceNs;
    if (end.tv_nsec >= 1000000000) {
      end.tv_nsec -= 1000000000;
      ++end.tv_sec;
    }
    const long result = RealSyscall()(SYS_futex, arguments[0], arguments[1], arguments[2],
                                      reinterpret_cast<long>(&end), arguments[4], arguments[5]);
    if (result != -1 || errno != ETIMEDOUT) return result;
  }
}

}  // namespace

void SetWallClockAhead(int64_t seconds) { ahead_s = seconds; }

}  // namespace slipstream::testing

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) {
  const int result = slipstream::testing::RealClockGettime()(clock, time);
  if (result == 0 && clock == CLOCK_REALTIME) time->tv_sec += slipstream::testing::ahead_s;
  return result;
}

long syscall(long number, ...) {
  long arguments[6];
  va_list list;
  va_start(list, number);
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  constexpr long kByWallClock = FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME;
  if (number == SYS_futex && (arguments[1] & ~FUTEX_PRIVATE_FLAG) == kByWallClock &&
      arguments[3] != 0) {
    const timespec deadline = *reinterpret_cast<const timespec*>(arguments[3]);
    return slipstream::testing::WaitUntilWallClock(arguments, deadline);
  }
  return slipstream::testing::RealSyscall()(number, arguments[0], arguments[1], arguments[2],
                                            arguments[3], arguments[4], arguments[5]);
}

}  // extern "C"
