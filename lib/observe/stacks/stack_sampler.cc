#include "lib/observe/stacks/stack_sampler.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "lib/observe/stacks/chained_handler.h"
#include "lib/observe/stacks/thread_list.h"
#include "slipstream/observe/task.h"

#if defined(__SANITIZE_THREAD__)
#define SLIPSTREAM_SIGNALS_ARE_DELAYED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SLIPSTREAM_SIGNALS_ARE_DELAYED 1
#endif
#endif

// Where the main thread's stack ends; the C library's.
extern "C" void* __libc_stack_end __attribute__((weak));

namespace slipstream::observe {
namespace {

using rocksdb::Status;

// Slots that wait for a thread that was stopped while it copied; beyond it nobody is asked.
constexpr size_t kSlots = 8;
constexpr size_t kPageBytes = 4096;
// What a function may use below its stack pointer.
constexpr uint64_t kRedZoneBytes = 128;
constexpr int kMaxSignals = 65;
constexpr auto kLookEvery = std::chrono::milliseconds(5);
// Once a handler runs, only a scheduler that does not run it makes it slow.
constexpr auto kCopyLimit = std::chrono::seconds(1);

enum Phase : uint64_t { kIdle, kAsked, kCopying, kDone };
constexpr uint64_t State(uint64_t question, Phase phase) { return question << 2 | phase; }
constexpr Phase PhaseOf(uint64_t state) { return static_cast<Phase>(state & 3); }

struct Slot {
  std::atomic<uint64_t> state{kIdle};
  // Written before it is asked.
  pid_t tid = 0;
  uint64_t limit = 0;
  int pipe_in = -1;
  int pipe_out = -1;
  size_t pipe_bytes = 0;
  sem_t answered;
  // Written by the thread that copies.
  StackRegisters registers{};
  uint64_t begin = 0;
  uint64_t copied = 0;
  bool cut = false;
  TaskId task = 0;
  uint64_t pause_ns = 0;
  uint64_t pause_cpu_ns = 0;
};

// Handlers may come at any time, also while static objects are destroyed: none of this is.
Slot slots[kSlots];
std::atomic<bool> handled[kMaxSignals];
struct sigaction previous[kMaxSignals];  // written before `handled`, and never again
int free_signal = 0;
uint64_t last_question = 0;
pid_t owner = 0;  // of the pipes: a forked process makes its own

// What travels with a signal: that it is ours, the slot, and the question.
constexpr uint64_t kOursShift = 48;
constexpr uint64_t kOurs = UINT64_C(0x5354) << kOursShift;
constexpr uint64_t kSlotShift = 44;
constexpr uint64_t kQuestionMask = (UINT64_C(1) << kSlotShift) - 1;

uint64_t NanosOf(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

#if defined(__x86_64__)
void TakeRegisters(const ucontext_t& context, StackRegisters* registers) {
  constexpr int kOrder[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                            REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                            REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
  for (size_t i = 0; i < registers->size(); ++i) {
    (*registers)[i] = static_cast<uint64_t>(context.uc_mcontext.gregs[kOrder[i]]);
  }
}
constexpr size_t kStackPointer = 7;
#endif

// How much of the stack is in use. The C library keeps what describes a thread at the end of the
// thread's stack. Neither end may belong to this stack (fibers have their own): then it is a limit
// only, and the kernel stops where there is no memory.
uint64_t UsedBytes(uint64_t begin, uint64_t limit) {
  const auto thread_end = static_cast<uint64_t>(pthread_self());
  const auto main_end =
      &__libc_stack_end == nullptr ? 0 : reinterpret_cast<uint64_t>(__libc_stack_end) + 64;
  uint64_t used = UINT64_MAX;
  if (thread_end > begin) used = std::min(used, thread_end - begin);
  if (main_end > begin) used = std::min(used, main_end - begin);
  return std::min(used, limit);
}

// Returns the number of bytes that there are in the pipe now.
uint64_t CopyThroughPipe(int pipe, uint64_t begin, uint64_t bytes) {
  uint64_t done = 0;
  while (done < bytes) {
    // Up to the end of a page first: of what lies across the end of memory, the kernel takes none.
    const uint64_t address = begin + done;
    uint64_t want = bytes - done;
    if (address % kPageBytes != 0) want = std::min(want, kPageBytes - address % kPageBytes);
    // Not by write(): sanitizers look into what it is given.
    const long written = syscall(SYS_write, pipe, address, want);
    if (written <= 0) break;
    done += static_cast<uint64_t>(written);
  }
  return done;
}

void CopyStack(Slot* slot, void* context) {
  const uint64_t begin_ns = NanosOf(CLOCK_MONOTONIC);
  const uint64_t begin_cpu_ns = NanosOf(CLOCK_THREAD_CPUTIME_ID);
#if defined(__x86_64__)
  const auto* interrupted = static_cast<const ucontext_t*>(context);
#if defined(SLIPSTREAM_SIGNALS_ARE_DELAYED)
  // The thread has gone on since it was interrupted: what is true of it is true here.
  ucontext_t here;
  getcontext(&here);
  interrupted = &here;
#endif
  TakeRegisters(*interrupted, &slot->registers);
  slot->begin = slot->registers[kStackPointer] - kRedZoneBytes;
  const uint64_t used = UsedBytes(slot->begin, UINT64_MAX);
  const uint64_t wanted = std::min(used, slot->limit);
  slot->copied = CopyThroughPipe(slot->pipe_in, slot->begin, wanted);
  slot->cut = slot->copied < used;
#endif
  slot->task = TaskScope::Current();
  slot->pause_cpu_ns = NanosOf(CLOCK_THREAD_CPUTIME_ID) - begin_cpu_ns;
  slot->pause_ns = NanosOf(CLOCK_MONOTONIC) - begin_ns;
}

// Calls nothing that may not be called here: see signal-safety(7).
void Handle(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const auto token = reinterpret_cast<uint64_t>(info->si_value.sival_ptr);
  if (info->si_code != SI_QUEUE || token >> kOursShift != kOurs >> kOursShift) {
    if (handled[signal].load()) CallHandler(previous[signal], signal, info, context);
    errno = saved_errno;
    return;
  }
  Slot* slot = &slots[(token >> kSlotShift) % kSlots];
  const uint64_t question = token & kQuestionMask;
  uint64_t expected = State(question, kAsked);
  if (slot->state.compare_exchange_strong(expected, State(question, kCopying))) {
    CopyStack(slot, context);
    slot->state.store(State(question, kDone));
    sem_post(&slot->answered);
  }
  errno = saved_errno;
}

Status IOError(const char* what) { return Status::IOError(what, std::strerror(errno)); }

Status OpenPipe(Slot* slot) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return IOError("thread stacks: pipe");
  slot->pipe_out = ends[0];
  slot->pipe_in = ends[1];
  const int bytes = fcntl(slot->pipe_in, F_GETPIPE_SZ);
  slot->pipe_bytes = bytes > 0 ? static_cast<size_t>(bytes) : kPageBytes;
  sem_init(&slot->answered, 0, 0);
  return Status::OK();
}

// What a forked process inherits is its parent's.
void ForgetParent() {
  if (owner == getpid()) return;
  owner = getpid();
  for (Slot& slot : slots) {
    slot.state.store(kIdle);
    if (slot.pipe_in < 0) continue;
    close(slot.pipe_in);
    close(slot.pipe_out);
    slot.pipe_in = slot.pipe_out = -1;
  }
}

bool IsFree(const Slot& slot) {
  const Phase phase = PhaseOf(slot.state.load());
  return phase == kIdle || phase == kDone;
}

Slot* FreeSlot() {
  const auto it = std::find_if(std::begin(slots), std::end(slots), IsFree);
  return it == std::end(slots) ? nullptr : it;
}

// Reads as many bytes as `out` has room for, or fewer if there are fewer.
void Drain(const Slot& slot, std::string* out) {
  size_t at = 0;
  while (at < out->size()) {
    const ssize_t got = read(slot.pipe_out, out->data() + at, out->size() - at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    at += static_cast<size_t>(got);
  }
  out->resize(at);
}

Status MakeRoom(Slot* slot, size_t max_stack_bytes) {
  if (slot->pipe_in < 0) {
    const Status s = OpenPipe(slot);
    if (!s.ok()) return s;
  }
  if (slot->pipe_bytes < max_stack_bytes) {
    // More than the system allows is refused; then stacks are cut earlier.
    const int bytes = fcntl(slot->pipe_in, F_SETPIPE_SZ, static_cast<int>(max_stack_bytes));
    if (bytes > 0) slot->pipe_bytes = static_cast<size_t>(bytes);
  }
  if (PhaseOf(slot->state.load()) == kDone) {  // an answer that came too late
    std::string unread(slot->pipe_bytes, '\0');
    Drain(*slot, &unread);
  }
  return Status::OK();
}

Status InstallHandler(int signal) {
  if (handled[signal].load()) return Status::OK();
  struct sigaction action = {};
  action.sa_sigaction = Handle;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  if (sigaction(signal, nullptr, &previous[signal]) != 0)
    return IOError("thread stacks: sigaction");
  handled[signal].store(true);
  if (sigaction(signal, &action, nullptr) != 0) return IOError("thread stacks: sigaction");
  return Status::OK();
}

Status FindFreeSignal(int* signal) {
  for (*signal = SIGRTMAX; *signal >= SIGRTMIN; --*signal) {
    struct sigaction now = {};
    if (sigaction(*signal, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
        now.sa_handler == SIG_DFL) {
      return Status::OK();
    }
  }
  return Status::NotSupported("thread stacks", "all real-time signals have handlers");
}

// 0, or the error.
int Send(pid_t tid, int signal, uint64_t token) {
  siginfo_t info = {};
  info.si_signo = signal;
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value.sival_ptr = reinterpret_cast<void*>(token);
  return syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, signal, &info) == 0 ? 0 : errno;
}

timespec AsTimespec(SteadyTime time) {
  const auto ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
  return {.tv_sec = static_cast<time_t>(ns / 1'000'000'000),
          .tv_nsec = static_cast<long>(ns % 1'000'000'000)};
}

// True if the slot is done. Looks every few milliseconds whether the thread is there at all.
bool WaitUntilDone(Slot* slot, uint64_t question, SteadyTime deadline) {
  while (slot->state.load() != State(question, kDone)) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now >= deadline) return false;
    const timespec until = AsTimespec(std::min(deadline, now + kLookEvery));
    if (sem_clockwait(&slot->answered, CLOCK_MONOTONIC, &until) == 0) continue;
    ThreadStatus status;
    if (PhaseOf(slot->state.load()) == kAsked && !ReadThreadStatus(slot->tid, &status))
      return false;
  }
  return true;
}

StackAnswer WhyNot(const ThreadStatus& status, int signal) {
  StackAnswer answer;
  if (status.Blocks(signal)) {
    answer.outcome = StackOutcome::kBlocked;
    answer.note = "the thread blocks signal " + std::to_string(signal);
  } else if (status.state == 'D') {
    answer.note = "the thread is in a wait of the kernel that cannot be interrupted";
  } else if (status.state == 'T' || status.state == 't') {
    answer.note = "the thread is stopped";
  } else {
    answer.note = std::string("no answer in time; the thread's state is ") + status.state;
  }
  return answer;
}

StackAnswer Ended() {
  StackAnswer answer;
  answer.outcome = StackOutcome::kEnded;
  answer.note = "the thread has ended";
  return answer;
}

StackAnswer NoAnswer(pid_t tid, int signal) {
  ThreadStatus status;
  return ReadThreadStatus(tid, &status) ? WhyNot(status, signal) : Ended();
}

StackAnswer TakeAnswer(Slot* slot) {
  StackAnswer answer;
  answer.outcome = StackOutcome::kCaptured;
  answer.raw.registers = slot->registers;
  answer.raw.begin = slot->begin;
  answer.raw.bytes.resize(slot->copied);
  answer.raw.cut = slot->cut;
  answer.task = slot->task;
  answer.pause_ns = slot->pause_ns;
  answer.pause_cpu_ns = slot->pause_cpu_ns;
  Drain(*slot, &answer.raw.bytes);
  slot->state.store(kIdle);
  return answer;
}

}  // namespace

Status StackSampler::Prepare(int signal, size_t max_stack_bytes, int* installed_signal) {
#if !defined(__x86_64__)
  return Status::NotSupported("thread stacks", "of x86-64 alone");
#endif
  ForgetParent();
  if (signal == 0 && free_signal == 0) {
    const Status s = FindFreeSignal(&free_signal);
    if (!s.ok()) {
      free_signal = 0;
      return s;
    }
  }
  *installed_signal = signal == 0 ? free_signal : signal;
  Slot* slot = FreeSlot();
  if (slot == nullptr) {
    return Status::Busy("thread stacks",
                        std::to_string(kSlots) + " threads were stopped while they were asked");
  }
  const Status s = MakeRoom(slot, max_stack_bytes);
  return s.ok() ? InstallHandler(*installed_signal) : s;
}

StackAnswer StackSampler::Ask(pid_t tid, int signal, size_t max_stack_bytes, SteadyTime deadline) {
  ThreadStatus status;
  // A signal that stays pending would be queued once more with each question.
  if (!ReadThreadStatus(tid, &status)) return Ended();
  if (status.Blocks(signal) || status.HasPending(signal)) {
    StackAnswer answer = WhyNot(status, signal);
    answer.not_sent = true;
    return answer;
  }
  Slot* slot = FreeSlot();
  if (slot == nullptr || !MakeRoom(slot, max_stack_bytes).ok()) {
    StackAnswer answer;
    answer.outcome = StackOutcome::kNotAsked;
    answer.note = "no room for its stack";
    return answer;
  }
  const uint64_t question = ++last_question & kQuestionMask;
  slot->tid = tid;
  slot->limit = max_stack_bytes;
  slot->state.store(State(question, kAsked));
  const auto index = static_cast<uint64_t>(slot - slots);
  const int error = Send(tid, signal, kOurs | index << kSlotShift | question);
  if (error != 0) {
    slot->state.store(kIdle);
    if (error == ESRCH) return Ended();
    StackAnswer answer;
    answer.note = std::string("the thread cannot be signalled: ") + std::strerror(error);
    return answer;
  }
  if (WaitUntilDone(slot, question, deadline)) return TakeAnswer(slot);
  uint64_t expected = State(question, kAsked);
  if (slot->state.compare_exchange_strong(expected, kIdle)) return NoAnswer(tid, signal);
  if (WaitUntilDone(slot, question, std::chrono::steady_clock::now() + kCopyLimit)) {
    return TakeAnswer(slot);
  }
  return NoAnswer(tid, signal);
}

}  // namespace slipstream::observe
