#include "lib/observe/stacks/stack_engine.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

namespace slipstream::observe {
namespace {

using rocksdb::Status;

constexpr size_t kMaxThreads = 20'000;
// Copies that wait to be unwound. Then that is done before others are asked.
constexpr size_t kMaxCopiedBytes = 64 << 20;
// The C library blocks signals for moments: a thread that does is asked once more.
constexpr auto kAskAgainAfter = std::chrono::milliseconds(10);

bool Over(SteadyTime deadline) { return std::chrono::steady_clock::now() >= deadline; }

}  // namespace

StackEngine& StackEngine::OfProcess() {
  static auto* const engine = new StackEngine;  // handlers may come until the process's very end
  return *engine;
}

Status StackEngine::Turn::Take(SteadyTime deadline) {
  absl::MutexLock lock(&engine_->mutex_);
  // In a forked process the caller is not there.
  while (engine_->user_ == getpid()) {
    if (engine_->left_.WaitUntil(&engine_->mutex_, deadline) && engine_->user_ == getpid()) {
      return Status::TimedOut("thread stacks", "another caller takes them");
    }
  }
  engine_->user_ = getpid();
  taken_ = true;
  return Status::OK();
}

void StackEngine::Leave() {
  absl::MutexLock lock(&mutex_);
  user_ = 0;
  left_.Signal();
}

void StackEngine::Ask(const StackOptions& options, int signal, SteadyTime deadline,
                      UnnamedStack* stack) {
  if (Over(deadline)) {
    stack->answer.outcome = StackOutcome::kNotAsked;
    stack->answer.note = "the time for all threads was over";
    return;
  }
  const SteadyTime own = DeadlineIn(options.thread_timeout_ms * 1000);
  stack->answer =
      StackSampler::Ask(stack->tid, signal, options.max_stack_bytes, std::min(own, deadline));
}

Status StackEngine::Unwind(const StackOptions& options, SteadyTime deadline,
                           std::vector<UnnamedStack>* stacks) {
  // After the copies were made: it knows all libraries that they come from.
  const Status s = image_.Refresh();
  if (!s.ok()) return s;
  for (UnnamedStack& stack : *stacks) {
    if (stack.answer.outcome != StackOutcome::kCaptured || !stack.addresses.empty()) continue;
    if (Over(deadline)) {
      stack.answer.note = "the time for all threads was over";
      stack.truncated = true;
    } else {
      stack.truncated = !image_.Unwind(stack.answer.raw, options.max_frames, &stack.addresses);
    }
    if (stack.addresses.empty()) stack.addresses.push_back(stack.answer.raw.registers.back());
    if (stack.truncated && stack.answer.note.empty()) {
      if (stack.addresses.size() >= options.max_frames) {
        stack.answer.note = "it has more frames";
      } else if (stack.answer.raw.cut) {
        stack.answer.note = "it is larger than what was copied";
      } else {
        stack.answer.note = "what lies further out could not be unwound";
      }
    }
    stack.answer.raw.bytes = std::string();
  }
  return s;
}

Status StackEngine::Sample(const StackOptions& options, SteadyTime deadline,
                           std::vector<UnnamedStack>* stacks) {
  stacks->clear();
  int signal = 0;
  Status s = StackSampler::Prepare(options.signal_number, options.max_stack_bytes, &signal);
  if (!s.ok()) return s;
  std::vector<pid_t> tids;
  s = ListThreads(kMaxThreads, &tids);
  if (!s.ok()) return s;
  stacks->resize(tids.size());
  size_t copied_bytes = 0;
  const auto ask = [&](UnnamedStack* stack) {
    Ask(options, signal, deadline, stack);
    copied_bytes += stack->answer.raw.bytes.size();
    if (copied_bytes < kMaxCopiedBytes) return Status::OK();
    copied_bytes = 0;
    return Unwind(options, deadline, stacks);
  };
  bool again = false;
  for (size_t i = 0; i < tids.size() && s.ok(); ++i) {
    UnnamedStack& stack = (*stacks)[i];
    stack.tid = tids[i];
    ReadThreadStatus(stack.tid, &stack.status);
    s = ask(&stack);
    again = again || stack.answer.not_sent;
  }
  if (again && s.ok()) {
    std::this_thread::sleep_until(
        std::min(deadline, std::chrono::steady_clock::now() + kAskAgainAfter));
    for (UnnamedStack& stack : *stacks) {
      if (stack.answer.not_sent && !Over(deadline) && s.ok()) s = ask(&stack);
    }
  }
  return s.ok() ? Unwind(options, deadline, stacks) : s;
}

std::vector<StackFrame> StackEngine::Name(const std::vector<uint64_t>& addresses) {
  std::vector<StackFrame> frames;
  frames.reserve(addresses.size());
  for (const uint64_t address : addresses) frames.push_back(image_.Describe(address));
  return frames;
}

}  // namespace slipstream::observe
