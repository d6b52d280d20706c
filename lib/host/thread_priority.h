// The priority of the library's threads against each other.
#pragma once

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace slipstream {

// This thread gives way to all others of the machine that want to run. Not to be undone.
inline void LowerThisThreadsPriority() {
  constexpr int kNice = 10;
  // To lower it takes no privilege; should it fail, the thread competes like any other.
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kNice);
}

}  // namespace slipstream
