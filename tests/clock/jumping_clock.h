// A wall clock that a test sets, for the whole process: the kernel's own cannot be touched.
#pragma once

#include <cstdint>

namespace slipstream::testing {

// From here on CLOCK_REALTIME is this many seconds ahead of the kernel's, or behind it. Linked into
// a program, this file takes the place of the C library's clock_gettime, and of its syscall for
// Abseil's waits until a moment of the wall clock: those end when this clock says so.
// Threads: any.
void SetWallClockAhead(int64_t seconds);

}  // namespace slipstream::testing
