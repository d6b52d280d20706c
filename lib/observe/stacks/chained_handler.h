// Calls the signal handler that was installed before one of ours.
#pragma once

#include <signal.h>

namespace slipstream::observe {

// May be called by a signal handler.
inline void CallHandler(const struct sigaction& action, int signal, siginfo_t* info,
                        void* context) {
  // SIG_DFL and SIG_IGN are in the same place of both kinds.
  if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) return;
  if ((action.sa_flags & SA_SIGINFO) != 0) {
    action.sa_sigaction(signal, info, context);
  } else {
    action.sa_handler(signal);
  }
}

}  // namespace slipstream::observe
