// The threads of this process, as /proc tells.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "rocksdb/status.h"

namespace slipstream::observe {

struct ThreadStatus {
  std::string name;
  char state = '?';
  // A bit for each signal, from signal 1 on.
  uint64_t blocked = 0;
  uint64_t pending = 0;  // of those sent to this thread alone

  bool Blocks(int signal) const { return ((blocked >> (signal - 1)) & 1) != 0; }
  bool HasPending(int signal) const { return ((pending >> (signal - 1)) & 1) != 0; }
};

// All threads, in order, and at most `limit`. Returns IOError.
[[nodiscard]] rocksdb::Status ListThreads(size_t limit, std::vector<pid_t>* tids);

// False if the thread has ended.
bool ReadThreadStatus(pid_t tid, ThreadStatus* status);

// CPU time of any thread of this process, in microseconds; 0 if it has ended.
uint64_t CpuMicrosOf(pid_t tid);

}  // namespace slipstream::observe
