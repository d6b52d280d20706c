// Makes one thread at a time copy its own stack, by a signal.
//
//            Ask                    the handler                    the handler
//   idle ----------> asked(n) ----------------> copying(n) --------------------> done(n) ---> idle
//     ^                 |                             |
//     +-----------------+  time is up: what comes     |  time is up: the slot is left to the thread
//                          later finds another n      +---> until it is done, and another one used
//
// n grows with each question and travels with the signal, so a late handler never writes into what
// belongs to another question. A thread tells its stack through a pipe: the kernel reads the stack,
// so whatever a stack pointer points to cannot make the handler fail.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "lib/host/steady_cond_var.h"
#include "lib/observe/stacks/raw_stack.h"
#include "rocksdb/status.h"
#include "slipstream/observe/task_registry.h"
#include "slipstream/observe/thread_stacks.h"

namespace slipstream::observe {

struct StackAnswer {
  StackOutcome outcome = StackOutcome::kNoAnswer;
  std::string note;
  // Nothing was sent, because it would have been queued behind others, or for ever.
  bool not_sent = false;
  RawStack raw;  // of kCaptured
  TaskId task = 0;
  uint64_t pause_ns = 0;
  uint64_t pause_cpu_ns = 0;
};

// There is one in a process, because signal handlers are the process's.
// Threads: one at a time.
class StackSampler {
 public:
  // Installs the handler, if it is not yet, and makes room for stacks of that size.
  // signal: 0 = one that is free. Returns NotSupported or IOError.
  [[nodiscard]] static rocksdb::Status Prepare(int signal, size_t max_stack_bytes,
                                               int* installed_signal);

  // REQUIRES: Prepare has returned OK for this signal and size.
  static StackAnswer Ask(pid_t tid, int signal, size_t max_stack_bytes, SteadyTime deadline);
};

}  // namespace slipstream::observe
