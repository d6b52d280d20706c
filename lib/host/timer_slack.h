// How exactly the library's threads wake up in time.
#pragma once

#include <sys/prctl.h>

namespace slipstream {

// Linux lets a thread sleep 50 microseconds longer than it asked for, unless it asks not to. For
// threads that sleep for some hundreds of them while others wait.
inline void WakeThisThreadInTime() { prctl(PR_SET_TIMERSLACK, 1000UL); }

}  // namespace slipstream
