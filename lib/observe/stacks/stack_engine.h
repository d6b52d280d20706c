// What one process has once to take stacks, and one caller at a time uses.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/host/steady_cond_var.h"
#include "lib/observe/stacks/process_image.h"
#include "lib/observe/stacks/stack_sampler.h"
#include "lib/observe/stacks/thread_list.h"
#include "rocksdb/status.h"
#include "slipstream/observe/thread_stacks.h"

namespace slipstream::observe {

// A stack by its addresses.
struct UnnamedStack {
  pid_t tid = 0;
  ThreadStatus status;
  StackAnswer answer;
  std::vector<uint64_t> addresses;
  bool truncated = false;
};

class StackEngine {
 public:
  static StackEngine& OfProcess();

  // The right to use it, until it is destroyed.
  class Turn {
   public:
    explicit Turn(StackEngine* engine) : engine_(engine) {}
    ~Turn() {
      if (taken_) engine_->Leave();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    [[nodiscard]] rocksdb::Status Take(SteadyTime deadline);

   private:
    StackEngine* const engine_;
    bool taken_ = false;
  };

  // REQUIRES, of both: the caller has its turn.
  [[nodiscard]] rocksdb::Status Sample(const StackOptions& options, SteadyTime deadline,
                                       std::vector<UnnamedStack>* stacks);
  std::vector<StackFrame> Name(const std::vector<uint64_t>& addresses);

 private:
  void Leave();
  void Ask(const StackOptions& options, int signal, SteadyTime deadline, UnnamedStack* stack);
  [[nodiscard]] rocksdb::Status Unwind(const StackOptions& options, SteadyTime deadline,
                                       std::vector<UnnamedStack>* stacks);

  absl::Mutex mutex_;
  SteadyCondVar left_;
  pid_t user_ ABSL_GUARDED_BY(mutex_) = 0;  // the process of the caller whose turn it is
  ProcessImage image_;                      // of the caller whose turn it is
};

}  // namespace slipstream::observe
