#include "slipstream/observe/thread_stacks.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include "lib/host/steady_clock.h"
#include "lib/host/steady_cond_var.h"
#include "lib/observe/stacks/stack_engine.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

constexpr size_t kMaxProfiledStacks = 20'000;
constexpr uint64_t kMaxProfileMs = 60'000;

Status OutOfRange(const std::string& field, uint64_t value, const std::string& range) {
  return Status::InvalidArgument(field, "is " + std::to_string(value) + ", expected " + range);
}

Status CheckRange(const std::string& field, uint64_t value, uint64_t least, uint64_t most) {
  if (value >= least && value <= most) return Status::OK();
  return OutOfRange(field, value, std::to_string(least) + " to " + std::to_string(most));
}

StackTask TaskOf(TaskId id, const TaskRegistry* registry) {
  StackTask task{.id = id, .kind = {}, .status = {}};
  TaskInfo info;
  if (id == 0 || registry == nullptr || !registry->Get(id, &info).ok()) return task;
  task.kind = std::move(info.kind);
  task.status = std::move(info.status);
  return task;
}

// All but the frames and the task.
ThreadStack Describe(UnnamedStack* stack) {
  ThreadStack described;
  described.tid = stack->tid;
  described.name = std::move(stack->status.name);
  described.state = stack->status.state;
  described.cpu_us = CpuMicrosOf(stack->tid);
  described.task.id = stack->answer.task;
  described.outcome = stack->answer.outcome;
  described.note = std::move(stack->answer.note);
  described.pause_ns = stack->answer.pause_ns;
  described.pause_cpu_ns = stack->answer.pause_cpu_ns;
  described.truncated = stack->truncated;
  return described;
}

// Stacks are the same if they are of threads of one name and have the same addresses.
using StackKey = std::tuple<std::string, std::vector<uint64_t>, bool>;

// Different addresses can have the same names.
void Merge(std::vector<ProfiledStack>* stacks) {
  const auto key = [](const ProfiledStack& stack) {
    std::string text = stack.thread + (stack.truncated ? ";..." : ";");
    for (const StackFrame& frame : stack.frames) {
      text += frame.function.empty() ? std::to_string(frame.address) : frame.function;
      text += ';';
    }
    return text;
  };
  std::map<std::string, ProfiledStack> merged;
  for (ProfiledStack& stack : *stacks) {
    const auto [it, is_new] = merged.try_emplace(key(stack));
    if (is_new) {
      it->second = std::move(stack);
    } else {
      it->second.count += stack.count;
    }
  }
  stacks->clear();
  for (auto& [text, stack] : merged) stacks->push_back(std::move(stack));
  std::stable_sort(stacks->begin(), stacks->end(),
                   [](const auto& a, const auto& b) { return a.count > b.count; });
}

}  // namespace

Status StackOptions::Validate() const {
  if (signal_number != 0 && (signal_number < SIGRTMIN || signal_number > SIGRTMAX)) {
    return Status::InvalidArgument(
        "StackOptions::signal_number",
        "is " + std::to_string(signal_number) + ", expected 0 or a real-time signal, " +
            std::to_string(SIGRTMIN) + " to " + std::to_string(SIGRTMAX));
  }
  Status s = CheckRange("StackOptions::thread_timeout_ms", thread_timeout_ms, 1, 10'000);
  if (s.ok()) s = CheckRange("StackOptions::timeout_ms", timeout_ms, 1, 600'000);
  if (s.ok()) s = CheckRange("StackOptions::max_stack_bytes", max_stack_bytes, 4096, 1 << 20);
  if (s.ok()) s = CheckRange("StackOptions::max_frames", max_frames, 1, 65'536);
  return s;
}

Status StackProfileOptions::Validate() const {
  Status s = stacks.Validate();
  if (s.ok()) s = CheckRange("StackProfileOptions::samples", samples, 1, 1000);
  if (s.ok()) s = CheckRange("StackProfileOptions::interval_ms", interval_ms, 0, 10'000);
  if (s.ok() && samples * interval_ms > kMaxProfileMs) {
    s = OutOfRange("StackProfileOptions::samples * interval_ms", samples * interval_ms,
                   "at most " + std::to_string(kMaxProfileMs) + " ms");
  }
  return s;
}

const char* StackOutcomeName(StackOutcome outcome) {
  switch (outcome) {
    case StackOutcome::kCaptured:
      return "captured";
    case StackOutcome::kBlocked:
      return "blocked";
    case StackOutcome::kNoAnswer:
      return "no answer";
    case StackOutcome::kEnded:
      return "ended";
    case StackOutcome::kNotAsked:
      return "not asked";
  }
  return "unknown";
}

Status CaptureThreadStacks(const StackOptions& options, ThreadStacks* stacks) {
  *stacks = {};
  Status s = options.Validate();
  if (!s.ok()) return s;
  const uint64_t begin_us = SteadyMicros();
  const SteadyTime deadline = DeadlineIn(options.timeout_ms * 1000);
  StackEngine& engine = StackEngine::OfProcess();
  {
    StackEngine::Turn turn(&engine);
    s = turn.Take(deadline);
    if (!s.ok()) return s;
    std::vector<UnnamedStack> unnamed;
    s = engine.Sample(options, deadline, &unnamed);
    if (!s.ok()) return s;
    for (UnnamedStack& stack : unnamed) {
      stacks->threads.push_back(Describe(&stack));
      stacks->threads.back().frames = engine.Name(stack.addresses);
    }
  }
  for (ThreadStack& stack : stacks->threads) stack.task = TaskOf(stack.task.id, options.registry);
  stacks->took_us = SteadyMicros() - begin_us;
  return s;
}

Status ProfileThreadStacks(const StackProfileOptions& options, StackProfile* profile) {
  *profile = {};
  Status s = options.Validate();
  if (!s.ok()) return s;
  StackEngine& engine = StackEngine::OfProcess();
  const pid_t own_tid = gettid();
  std::map<StackKey, uint64_t> counts;
  SteadyTime next = std::chrono::steady_clock::now();
  for (size_t i = 0; i < options.samples; ++i) {
    std::this_thread::sleep_until(next);
    next = std::max(next + std::chrono::milliseconds(options.interval_ms),
                    std::chrono::steady_clock::now());
    const SteadyTime deadline = DeadlineIn(options.stacks.timeout_ms * 1000);
    StackEngine::Turn turn(&engine);
    s = turn.Take(deadline);
    std::vector<UnnamedStack> stacks;
    if (s.ok()) s = engine.Sample(options.stacks, deadline, &stacks);
    if (!s.ok()) return s;
    ++profile->samples;
    for (UnnamedStack& stack : stacks) {
      if (stack.tid == own_tid) continue;
      if (stack.answer.outcome != StackOutcome::kCaptured) {
        ++profile->missed;
        continue;
      }
      StackKey key{std::move(stack.status.name), std::move(stack.addresses), stack.truncated};
      const auto it = counts.find(key);
      if (it != counts.end()) {
        ++it->second;
      } else if (counts.size() < kMaxProfiledStacks) {
        counts.emplace(std::move(key), 1);
      } else {
        ++profile->dropped;
      }
    }
  }
  {
    StackEngine::Turn turn(&engine);
    s = turn.Take(DeadlineIn(options.stacks.timeout_ms * 1000));
    if (!s.ok()) return s;
    for (const auto& [key, count] : counts) {
      const auto& [thread, addresses, truncated] = key;
      profile->stacks.push_back({thread, engine.Name(addresses), truncated, count});
    }
  }
  Merge(&profile->stacks);
  return s;
}

}  // namespace slipstream::observe
