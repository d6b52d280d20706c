// What every thread of this process does now: its stack, without a debugger and without stopping
// the process.
//
//   ThreadStacks stacks;
//   Status s = CaptureThreadStacks({}, &stacks);
//   puts(StacksToText(stacks).c_str());
//
// One thread at a time is interrupted by a real-time signal that is directed at it. The handler
// copies the thread's registers and the used part of its stack, and nothing else: it takes no lock,
// allocates nothing and follows no pointer, so it does not matter what it interrupts. The copy is
// unwound afterwards, by the thread that asked.
//
// Consequences for the host: calls that no handler lets go on (poll, nanosleep, epoll_wait: see
// signal(7)) return EINTR. The handler stays installed once it is. Works on x86-64 Linux alone;
// elsewhere everything here returns NotSupported.
// Sanitizers: with the address sanitizer everything works. The thread sanitizer holds signals back
// until the thread calls something that it knows, so a thread that only computes does not answer,
// and each stack begins with the handler and the sanitizer's own frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rocksdb/status.h"
#include "slipstream/observe/task_registry.h"

namespace slipstream::observe {

struct StackFrame {
  uint64_t address = 0;        // of the instruction, or of the call that has not returned
  std::string function;        // demangled; empty = not known
  std::string module;          // the program's or library's file; empty = in none
  uint64_t module_offset = 0;  // of the address in it
  std::string file;            // of the source; empty = there is no debug information
  int line = 0;
};

enum class StackOutcome {
  kCaptured,
  kBlocked,   // it blocks the signal
  kNoAnswer,  // it did not answer in time; `note` says what it does instead
  kEnded,     // it ended meanwhile
  kNotAsked,  // the time for all threads was over
};
// "captured", "blocked", "no answer", "ended", "not asked".
const char* StackOutcomeName(StackOutcome outcome);

// The task that the thread was in: that of its innermost TaskScope.
struct StackTask {
  TaskId id = 0;  // 0 = none
  // Of the registry in the options; empty without one, or if the task has gone meanwhile.
  std::string kind;
  std::string status;
};

struct ThreadStack {
  int tid = 0;
  std::string name;
  char state = '?';     // as in /proc: R runs, S waits, D waits and cannot be interrupted, ...
  uint64_t cpu_us = 0;  // since the thread began
  StackTask task;
  StackOutcome outcome = StackOutcome::kNotAsked;
  std::string note;  // why there is no stack, or not all of it
  // How long its handler took, nanoseconds by the clock and of CPU time.
  uint64_t pause_ns = 0;
  uint64_t pause_cpu_ns = 0;
  std::vector<StackFrame> frames;  // the innermost first
  bool truncated = false;          // the outermost frames are missing
};

struct ThreadStacks {
  std::vector<ThreadStack> threads;  // by tid
  uint64_t took_us = 0;
};

struct StackOptions {
  // The signal that threads are interrupted with. A handler of the host's is still called for
  // signals that are not ours. Range: 0, SIGRTMIN to SIGRTMAX. Default: 0 = the highest one that
  // nobody handles when this is first used
  int signal_number = 0;

  // How long one thread may take to answer. Unit: milliseconds. Range: 1 to 10'000. Default: 100
  uint64_t thread_timeout_ms = 100;

  // How long all of it may take, waiting for other callers included; threads that are left then are
  // reported as kNotAsked. Unit: milliseconds. Range: 1 to 600'000. Default: 10 s
  uint64_t timeout_ms = 10'000;

  // What is copied of a stack at most, from its innermost end. A pause grows by about 0.1 ms for
  // each MiB that the stack really has (bench_stacks). Unit: bytes. Range: 4 KiB to 1 MiB.
  // Default: 256 KiB
  size_t max_stack_bytes = 256 << 10;

  // Of each stack, the innermost ones. Range: 1 to 65'536. Default: 512
  size_t max_frames = 512;

  // Looks tasks up by their ids; outlives the call. Default: nullptr = ids alone
  const TaskRegistry* registry = nullptr;

  // Returns InvalidArgument, naming the field, its value and its range.
  [[nodiscard]] rocksdb::Status Validate() const;
};

// The stacks of all threads of the process, the calling one included.
//
// Returns OK               also if some threads did not answer: see their outcomes;
//         InvalidArgument  as StackOptions::Validate();
//         TimedOut         other callers took all the time; retry;
//         NotSupported     not on this system, or no signal is free;
//         IOError          /proc cannot be read.
// Threads: any, one at a time does the work and others wait. Blocks for up to about timeout_ms; the
// first call in a process, and the first after a library was loaded, reads symbols: up to a second.
// Must not be called from a signal handler.
[[nodiscard]] rocksdb::Status CaptureThreadStacks(const StackOptions& options,
                                                  ThreadStacks* stacks);

struct StackProfileOptions {
  StackOptions stacks;  // timeout_ms: of one sample
  // Range: 1 to 1000. Default: 20
  size_t samples = 20;
  // From one sample's beginning to the next one's. samples * interval_ms is at most 60 s.
  // Unit: milliseconds. Range: 0 to 10'000. Default: 10
  uint64_t interval_ms = 10;

  [[nodiscard]] rocksdb::Status Validate() const;
};

// How often threads of one name had one stack.
struct ProfiledStack {
  std::string thread;
  std::vector<StackFrame> frames;  // the innermost first
  bool truncated = false;
  uint64_t count = 0;
};

struct StackProfile {
  std::vector<ProfiledStack> stacks;  // the most frequent first
  size_t samples = 0;
  // Threads that gave no stack, over all samples.
  uint64_t missed = 0;
  // Stacks beyond the 20'000 different ones that are kept.
  uint64_t dropped = 0;
};

// Samples the stacks of all threads but the calling one: what the process spends its time with,
// waiting included.
// Returns as CaptureThreadStacks does. Blocks for samples * interval_ms and a little.
[[nodiscard]] rocksdb::Status ProfileThreadStacks(const StackProfileOptions& options,
                                                  StackProfile* profile);

// For people.
std::string StacksToText(const ThreadStacks& stacks);
// {"threads":[{"tid","name","state","cpuMicros","outcome","note","pauseMicros","truncated",
//   "task":{"id","kind","status"} or null,
//   "frames":[{"address":"0x...","function","module","moduleOffset","file","line"}]}],"tookMicros"}
std::string StacksToJson(const ThreadStacks& stacks);
// A line for each stack, "thread;outermost;...;innermost count": what flamegraph.pl and speedscope
// read.
std::string ProfileToCollapsed(const StackProfile& profile);

struct StackSignalOptions {
  StackOptions stacks;
  // Gets the text, by a thread of its own, named ss-stacks; must not destroy the StackSignal.
  // Default: nullptr = to the standard error output
  std::function<void(const std::string& text)> log = nullptr;
};

// While it exists, the process logs the stacks of all its threads when it gets a signal.
// Threads: one creates and destroys it. Lifetime: the destructor waits for a dump under way.
class StackSignal {
 public:
  virtual ~StackSignal() = default;

  // Restores what was installed before, and ends the thread; the destructor does the same.
  // Returns OK, or Incomplete if the host has installed a handler on top of ours meanwhile, which
  // may call it: then ours stays in place, does nothing of its own, and calls what was before it.
  virtual rocksdb::Status Uninstall() = 0;
};

// signal_number: SIGUSR1, for example. What the host had installed for it is called as well, first.
// Returns OK               installed;
//         InvalidArgument  as StackOptions::Validate(), or no signal that could be used for this;
//         Busy             installed for this signal already;
//         NotSupported     as CaptureThreadStacks.
[[nodiscard]] rocksdb::Status InstallStackSignal(int signal_number,
                                                 const StackSignalOptions& options,
                                                 std::unique_ptr<StackSignal>* out);

}  // namespace slipstream::observe
