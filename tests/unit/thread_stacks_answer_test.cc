// Threads that cannot answer, or are where a signal handler must be careful.

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "slipstream/observe/thread_stacks.h"
#include "tests/e2e/eventually.h"
#include "tests/unit/held_thread.h"

namespace slipstream {

__attribute__((noinline)) void SleepingBeauty(HeldThread* held) {
  held->Hold();
  asm volatile("" ::: "memory");
}

namespace {

using observe::CaptureThreadStacks;
using observe::StackOutcome;
using observe::ThreadStack;
using observe::ThreadStacks;

// The signal that threads are asked with in this file.
const int kSignal = SIGRTMIN + 7;

observe::StackOptions Options() {
  observe::StackOptions options = Patient();
  options.signal_number = kSignal;
  return options;
}

ThreadStacks Capture(const observe::StackOptions& options = Options()) {
  ThreadStacks stacks;
  const rocksdb::Status s = CaptureThreadStacks(options, &stacks);
  INFO(s.ToString());
  REQUIRE(s.ok());
  return stacks;
}

ThreadStack CaptureOf(int tid, const observe::StackOptions& options = Options()) {
  const ThreadStacks stacks = Capture(options);
  const ThreadStack* stack = StackOf(stacks, tid);
  REQUIRE(stack != nullptr);
  return *stack;
}

// Whether the signal waits for this thread. The number of all that wait (SigQ) is the user's, and
// other processes change it.
bool IsPending(int tid, int signal) {
  std::ifstream in("/proc/self/task/" + std::to_string(tid) + "/status");
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with("SigPnd:")) continue;
    const uint64_t pending = std::strtoull(line.c_str() + 7, nullptr, 16);
    return ((pending >> (signal - 1)) & 1) != 0;
  }
  FAIL("no SigPnd of thread " << tid);
  return false;
}

TEST_CASE("thread stacks: a thread that blocks the signal is named and blocks nobody", "[unit]") {
  HeldThread other([](HeldThread* self) { SleepingBeauty(self); });
  Gate unblock;
  Gate unblocked;
  HeldThread held([&](HeldThread* self) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    self->Arrive();
    unblock.Wait();
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, nullptr);
    unblocked.Open();
    SleepingBeauty(self);
  });
  for (int i = 0; i < 5; ++i) {
    const ThreadStacks stacks = Capture();
    const ThreadStack* stack = StackOf(stacks, held.tid());
    REQUIRE(stack != nullptr);
    CHECK(stack->outcome == StackOutcome::kBlocked);
    CHECK(stack->note == "the thread blocks signal " + std::to_string(kSignal));
    CHECK(stack->frames.empty());
    CHECK(CountFrames(*StackOf(stacks, other.tid()), "SleepingBeauty") == 1);
    CHECK(stacks.took_us < 5'000'000);
  }
  // What was sent would stay until it unblocks, and be joined by more.
  CHECK_FALSE(IsPending(held.tid(), kSignal));
  unblock.Open();
  unblocked.Wait();
  CHECK(CaptureOf(held.tid()).outcome == StackOutcome::kCaptured);
}

// Not for the thread sanitizer: it makes vfork() a fork, and with clone() it loses what orders the
// other threads.
#if !defined(__SANITIZE_THREAD__)

// A child that shares its parent's memory, and the kernel holds the parent until it ends.
int WaitForByte(void* pipe_end) {
  char byte;
  syscall(SYS_read, *static_cast<int*>(pipe_end), &byte, 1);
  return 0;
}

// Until the child of a CLONE_VFORK ends, a thread is in a wait that no signal ends.
TEST_CASE("thread stacks: a late answer goes nowhere", "[unit]") {
  int pipe_ends[2];
  REQUIRE(pipe(pipe_ends) == 0);
  HeldThread other([](HeldThread* self) { SleepingBeauty(self); });
  Gate returned;
  std::vector<char> child_stack(65'536);
  HeldThread held([&](HeldThread* self) {
    self->Arrive();
    const pid_t child = clone(WaitForByte, child_stack.data() + child_stack.size(),
                              CLONE_VM | CLONE_VFORK | SIGCHLD, &pipe_ends[0]);
    waitpid(child, nullptr, 0);
    returned.Open();
    SleepingBeauty(self);
  });
  // It has arrived, and is a moment away from that wait.
  observe::StackOptions hasty = Options();
  hasty.thread_timeout_ms = 100;
  ThreadStack stack;
  CHECK(testing::Eventually([&] {
    stack = CaptureOf(held.tid(), hasty);
    return stack.note.find("cannot be interrupted") != std::string::npos;
  }));
  CHECK(stack.outcome == StackOutcome::kNoAnswer);
  // The signal is pending, and is not sent again.
  const ThreadStacks stacks = Capture();
  CHECK(StackOf(stacks, held.tid())->outcome == StackOutcome::kNoAnswer);
  CHECK(CountFrames(*StackOf(stacks, other.tid()), "SleepingBeauty") == 1);
  CHECK(stacks.took_us < 5'000'000);
  REQUIRE(write(pipe_ends[1], "x", 1) == 1);
  // While the late handler runs, others are asked.
  for (int i = 0; i < 5; ++i) {
    const ThreadStack asked = CaptureOf(other.tid());
    CHECK(asked.outcome == StackOutcome::kCaptured);
    CHECK(CountFrames(asked, "SleepingBeauty") == 1);
  }
  returned.Wait();
  CHECK(CaptureOf(held.tid()).outcome == StackOutcome::kCaptured);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

#endif

TEST_CASE("thread stacks: threads that begin and end all the time", "[unit]") {
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> ended{0};
  std::vector<std::thread> parents;
  for (int i = 0; i < 2; ++i) {
    parents.emplace_back([&] {
      while (!stop) {
        // Stacks of several sizes, so that memory is given back and taken anew.
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 65'536 << (ended % 8));
        pthread_t child;
        const auto run = [](void*) -> void* { return nullptr; };
        if (pthread_create(&child, &attributes, run, nullptr) == 0) pthread_join(child, nullptr);
        pthread_attr_destroy(&attributes);
        ++ended;
      }
    });
  }
  uint64_t captured = 0;
  for (int i = 0; i < 40 || ended < 200; ++i) {
    for (const ThreadStack& stack : Capture().threads) {
      INFO(stack.name << ": " << stack.note);
      CHECK((stack.outcome == StackOutcome::kCaptured || stack.outcome == StackOutcome::kEnded ||
             stack.outcome == StackOutcome::kBlocked));
      if (stack.outcome == StackOutcome::kCaptured) ++captured;
    }
  }
  CHECK(captured >= 40);
  stop = true;
  for (std::thread& parent : parents) parent.join();
}

TEST_CASE("thread stacks: threads amid malloc, dlopen and throw are not held up", "[unit]") {
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> rounds[3] = {};
  const std::function<void()> works[3] = {
      [] {
        for (size_t bytes = 16; bytes < 1 << 20; bytes *= 3) {
          void* volatile memory = std::malloc(bytes);
          std::free(memory);
        }
      },
      [] {
        // One that nothing here links against.
        void* library = dlopen("libanl.so.1", RTLD_NOW | RTLD_LOCAL);
        if (library != nullptr) dlclose(library);
        dl_iterate_phdr([](dl_phdr_info*, size_t, void*) { return 0; }, nullptr);
      },
      [] {
        try {
          throw std::runtime_error("thrown on purpose");
        } catch (const std::runtime_error&) {
        }
      },
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      while (!stop) {
        works[i]();
        ++rounds[i];
      }
    });
  }
  // A thread that has just been made blocks all signals until the C library has set it up.
  REQUIRE(testing::Eventually([&] {
    return std::all_of(std::begin(rounds), std::end(rounds), [](const auto& n) { return n > 0; });
  }));
  for (int dump = 0; dump < 25; ++dump) {
    uint64_t before[3];
    for (int i = 0; i < 3; ++i) before[i] = rounds[i];
    for (const ThreadStack& stack : Capture().threads) {
      INFO(stack.name << ": " << stack.note);
      if (!kSignalsAreDelayed) CHECK(stack.outcome == StackOutcome::kCaptured);
    }
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (int i = 0; i < 3; ++i) {
      while (rounds[i] == before[i] && std::chrono::steady_clock::now() < limit) {
        std::this_thread::yield();
      }
      CHECK(rounds[i] != before[i]);
    }
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("thread stacks: reads go on, and errno is kept", "[unit]") {
  if (kSignalsAreDelayed) return;
  int pipe_ends[2];
  REQUIRE(pipe(pipe_ends) == 0);
  std::atomic<long> got{-2};
  HeldThread reader([&](HeldThread* self) {
    self->Arrive();
    char byte;
    got = read(pipe_ends[0], &byte, 1);
  });
  std::atomic<bool> stop{false};
  std::atomic<int> spoiled{0};
  HeldThread computer([&](HeldThread* self) {
    errno = 4711;
    self->Arrive();
    while (!stop) {
      if (errno != 4711) ++spoiled;
    }
  });
  for (int i = 0; i < 20; ++i) CHECK(CaptureOf(reader.tid()).outcome == StackOutcome::kCaptured);
  CHECK(got == -2);
  REQUIRE(write(pipe_ends[1], "x", 1) == 1);
  reader.LetGo();
  CHECK(got == 1);
  stop = true;
  CHECK(spoiled == 0);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

std::atomic<int> host_calls{0};
std::atomic<int> host_value{0};
void HostHandler(int, siginfo_t* info, void*) {
  host_value = info->si_value.sival_int;
  ++host_calls;
}

TEST_CASE("thread stacks: the host's handler of the same signal gets its own signals", "[unit]") {
  const int signal = SIGRTMIN + 8;
  struct sigaction action = {};
  action.sa_sigaction = HostHandler;
  action.sa_flags = SA_SIGINFO;
  REQUIRE(sigaction(signal, &action, nullptr) == 0);
  ThreadStacks stacks;
  REQUIRE(CaptureThreadStacks({.signal_number = signal}, &stacks).ok());
  CHECK(host_calls == 0);
  sigval value{};
  value.sival_int = 42;
  REQUIRE(pthread_sigqueue(pthread_self(), signal, value) == 0);
  CHECK(host_calls == 1);
  CHECK(host_value == 42);
  REQUIRE(pthread_kill(pthread_self(), signal) == 0);
  CHECK(host_calls == 2);
}

TEST_CASE("thread stacks: a forked process takes its own", "[unit]") {
  if (kSignalsAreDelayed) return;
  Capture();
  const pid_t child = fork();
  if (child == 0) {
    ThreadStacks stacks;
    const bool good = CaptureThreadStacks(Options(), &stacks).ok() && stacks.threads.size() == 1 &&
                      stacks.threads[0].outcome == StackOutcome::kCaptured;
    _exit(good ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

}  // namespace
}  // namespace slipstream
