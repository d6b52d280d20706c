#include "slipstream/observe/thread_stacks.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "slipstream/observe/task.h"
#include "tests/e2e/eventually.h"
#include "tests/unit/held_thread.h"

namespace slipstream {

// Not in an unnamed namespace, so that their names are told by any symbol table.
__attribute__((noinline)) void StairStep(int left, HeldThread* held) {
  if (left > 0) {
    StairStep(left - 1, held);
  } else {
    held->Hold();
  }
  asm volatile("" ::: "memory");  // no jump in the place of the call
}

__attribute__((noinline)) void CellarStairs(HeldThread* held) {
  StairStep(7, held);
  asm volatile("" ::: "memory");
}

__attribute__((noinline)) void WideStep(int left, HeldThread* held) {
  char room[8192];
  asm volatile("" ::"r"(room) : "memory");
  if (left > 0) {
    WideStep(left - 1, held);
  } else {
    held->Hold();
  }
  asm volatile("" ::"r"(room) : "memory");
}

__attribute__((noinline)) uint64_t GrindCoffee(HeldThread* held) {
  volatile uint64_t sum = 0;
  held->Arrive();
  while (!held->is_let_go()) {
    for (int i = 0; i < 100; ++i) sum = sum + static_cast<uint64_t>(i);
  }
  return sum;
}

namespace {

using observe::CaptureThreadStacks;
using observe::StackOutcome;
using observe::ThreadStack;
using observe::ThreadStacks;

ThreadStacks Capture(const observe::StackOptions& options = Patient()) {
  ThreadStacks stacks;
  const rocksdb::Status s = CaptureThreadStacks(options, &stacks);
  INFO(s.ToString());
  REQUIRE(s.ok());
  return stacks;
}

ThreadStack CaptureOf(int tid, const observe::StackOptions& options = Patient()) {
  const ThreadStacks stacks = Capture(options);
  const ThreadStack* stack = StackOf(stacks, tid);
  REQUIRE(stack != nullptr);
  INFO(observe::StacksToText(stacks));
  CHECK(stack->outcome == StackOutcome::kCaptured);
  return *stack;
}

// Of a thread that has said that it is there: it is about to wait.
ThreadStack CaptureWaiting(int tid) {
  ThreadStack stack;
  REQUIRE(testing::Eventually([&] {
    stack = CaptureOf(tid);
    return stack.state == 'S' && CountFrames(stack, "__futex_abstimed_wait") > 0;
  }));
  return stack;
}

TEST_CASE("thread stacks: a recursion is seen call by call, by name, file and line", "[unit]") {
  HeldThread held([](HeldThread* self) {
    pthread_setname_np(pthread_self(), "stairs");
    CellarStairs(self);
  });
  const ThreadStack stack = CaptureWaiting(held.tid());
  CHECK(stack.name == "stairs");
  CHECK_FALSE(stack.truncated);
  CHECK(stack.pause_ns > 0);
  CHECK(CountFrames(stack, "StairStep(") == 8);
  CHECK(CountFrames(stack, "CellarStairs(") == 1);
  // The innermost first, and Hold is inside of the last step.
  const auto position = [&](const std::string& function) {
    size_t i = 0;
    while (i < stack.frames.size() &&
           stack.frames[i].function.find(function) == std::string::npos) {
      ++i;
    }
    return i;
  };
  CHECK(position("StairStep(") < position("CellarStairs("));
  CHECK(position("HeldThread::Hold") < position("StairStep("));
  CHECK(position("__futex_abstimed_wait") < position("HeldThread::Hold"));
  const observe::StackFrame& step = stack.frames[position("CellarStairs(")];
  CHECK(step.file.ends_with("thread_stacks_test.cc"));
  CHECK(step.line > 20);
  CHECK(step.line < 60);
  CHECK(step.module.find("tests") != std::string::npos);
}

TEST_CASE("thread stacks: the calling thread is in it, and one that computes", "[unit]") {
  HeldThread grinder([](HeldThread* self) { GrindCoffee(self); });
  const ThreadStacks stacks = Capture();
  const ThreadStack* own = StackOf(stacks, gettid());
  REQUIRE(own != nullptr);
  CHECK(CountFrames(*own, "CaptureThreadStacks") == 1);
  CHECK(CountFrames(*own, "main") >= 1);
  const ThreadStack* other = StackOf(stacks, grinder.tid());
  REQUIRE(other != nullptr);
  CHECK(CountFrames(*other, "GrindCoffee") == 1);
  CHECK(other->cpu_us > 0);
  CHECK(stacks.took_us > 0);
}

TEST_CASE("thread stacks: the running task stands beside the stack", "[unit]") {
  std::unique_ptr<observe::TaskRegistry> registry;
  REQUIRE(observe::TaskRegistry::Create({}, &registry).ok());
  observe::TaskId id = 0;
  HeldThread held([&](HeldThread* self) {
    observe::TaskScope task(registry.get(), "baking");
    task->SetStatus("kneading");
    id = task->id();
    self->Hold();
  });
  CHECK(CaptureOf(held.tid()).task.id == id);
  CHECK(CaptureOf(held.tid()).task.kind.empty());
  observe::StackOptions options = Patient();
  options.registry = registry.get();
  const ThreadStacks stacks = Capture(options);
  CHECK(StackOf(stacks, held.tid())->task.kind == "baking");
  CHECK(StackOf(stacks, held.tid())->task.status == "kneading");
  CHECK(StackOf(stacks, gettid())->task.id == 0);
  const std::string text = observe::StacksToText(stacks);
  CHECK(text.find("task " + std::to_string(id) + " baking (kneading)") != std::string::npos);
}

TEST_CASE("thread stacks: what is too deep is cut, and says so", "[unit]") {
  HeldThread held([](HeldThread* self) { WideStep(20, self); });
  observe::StackOptions options = Patient();
  CHECK(CountFrames(CaptureOf(held.tid(), options), "WideStep") == 21);
  options.max_stack_bytes = 65'536;
  ThreadStack stack = CaptureOf(held.tid(), options);
  CHECK(stack.truncated);
  CHECK(stack.note == "it is larger than what was copied");
  CHECK(CountFrames(stack, "WideStep") >= 7);
  CHECK(CountFrames(stack, "WideStep") <= 8);
  options = Patient();
  options.max_frames = 6;
  stack = CaptureOf(held.tid(), options);
  CHECK(stack.truncated);
  CHECK(stack.note == "it has more frames");
  CHECK(stack.frames.size() == 6);
}

// A fiber's stack is not where the thread's is, and ends where no memory is.
struct Fiber {
  static constexpr size_t kBytes = 65'536;
  ucontext_t thread{};
  ucontext_t fiber{};
  HeldThread* held = nullptr;
  static Fiber* current;

  static void Run() {
    StairStep(3, current->held);
    swapcontext(&current->fiber, &current->thread);
  }
};
Fiber* Fiber::current = nullptr;

TEST_CASE("thread stacks: a fiber is seen, and its stack's end is not passed", "[unit]") {
  HeldThread held([](HeldThread* self) {
    Fiber fiber;
    fiber.held = self;
    Fiber::current = &fiber;
    auto* memory = static_cast<char*>(
        mmap(nullptr, 2 * Fiber::kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(memory, Fiber::kBytes, PROT_READ | PROT_WRITE);
    getcontext(&fiber.fiber);
    fiber.fiber.uc_stack.ss_sp = memory;
    fiber.fiber.uc_stack.ss_size = Fiber::kBytes;
    fiber.fiber.uc_link = nullptr;
    makecontext(&fiber.fiber, Fiber::Run, 0);
    swapcontext(&fiber.thread, &fiber.fiber);
    munmap(memory, 2 * Fiber::kBytes);
  });
  CHECK(CountFrames(CaptureOf(held.tid()), "StairStep(") == 4);
}

TEST_CASE("thread stacks: callers at the same time all get them, one after the other", "[unit]") {
  HeldThread held([](HeldThread* self) { CellarStairs(self); });
  std::atomic<int> good{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 6; ++i) {
    callers.emplace_back([&] {
      ThreadStacks stacks;
      if (!CaptureThreadStacks(Patient(), &stacks).ok()) return;
      const ThreadStack* stack = StackOf(stacks, held.tid());
      if (stack != nullptr && CountFrames(*stack, "StairStep(") == 8) ++good;
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(good == 6);
}

TEST_CASE("thread stacks: a profile counts each thread once a sample", "[unit]") {
  HeldThread stairs([](HeldThread* self) {
    pthread_setname_np(pthread_self(), "stairs;1");
    CellarStairs(self);
  });
  HeldThread grinder([](HeldThread* self) {
    pthread_setname_np(pthread_self(), "grinder");
    GrindCoffee(self);
  });
  observe::StackProfileOptions options;
  options.stacks = Patient();
  options.samples = 5;
  options.interval_ms = 2;
  CaptureWaiting(stairs.tid());
  observe::StackProfile profile;
  REQUIRE(observe::ProfileThreadStacks(options, &profile).ok());
  CHECK(profile.samples == 5);
  if (!kSignalsAreDelayed) CHECK(profile.missed == 0);
  uint64_t stairs_count = 0;
  uint64_t grinder_count = 0;
  for (const observe::ProfiledStack& stack : profile.stacks) {
    if (stack.thread == "stairs;1") stairs_count += stack.count;
    if (stack.thread == "grinder") grinder_count += stack.count;
    for (const observe::StackFrame& frame : stack.frames) {
      CHECK(frame.function.find("ProfileThreadStacks") == std::string::npos);
    }
  }
  CHECK(stairs_count == 5);
  CHECK(grinder_count == 5);
  // "thread;outermost;...;innermost count"
  std::istringstream lines(observe::ProfileToCollapsed(profile));
  std::string line;
  bool stairs_seen = false;
  while (std::getline(lines, line)) {
    const size_t space = line.rfind(' ');
    REQUIRE(space != std::string::npos);
    CHECK(std::stoull(line.substr(space + 1)) > 0);
    if (!line.starts_with("stairs:1;")) continue;
    stairs_seen = true;
    CHECK(line.ends_with(" 5"));
    CHECK(line.find("CellarStairs") < line.find("StairStep"));
    CHECK(line.find("StairStep") < line.find("HeldThread::Hold"));
  }
  CHECK(stairs_seen);
}

TEST_CASE("thread stacks: JSON has what the structs have, whatever the names hold", "[unit]") {
  HeldThread held([](HeldThread* self) {
    pthread_setname_np(pthread_self(), "\"\x1b[2J\xff");
    CellarStairs(self);
  });
  const ThreadStacks stacks = Capture();
  const nlohmann::json json = nlohmann::json::parse(observe::StacksToJson(stacks));
  REQUIRE(json.at("threads").size() == stacks.threads.size());
  CHECK(json.at("tookMicros") == stacks.took_us);
  for (const nlohmann::json& thread : json.at("threads")) {
    if (thread.at("tid") != held.tid()) continue;
    CHECK(thread.at("outcome") == "captured");
    CHECK(thread.at("task").is_null());
    CHECK(thread.at("frames").size() == StackOf(stacks, held.tid())->frames.size());
    CHECK(thread.at("frames").at(0).at("address").get<std::string>().starts_with("0x"));
  }
  CHECK(observe::StacksToText(stacks).find('\x1b') == std::string::npos);
}

TEST_CASE("thread stacks: options out of range are refused by name", "[unit]") {
  const auto refused = [](const observe::StackOptions& options, const std::string& field) {
    ThreadStacks stacks;
    const rocksdb::Status s = CaptureThreadStacks(options, &stacks);
    INFO(s.ToString());
    return s.IsInvalidArgument() && s.ToString().find("StackOptions::" + field) < 60;
  };
  CHECK(refused({.signal_number = SIGUSR1}, "signal_number"));
  CHECK(refused({.thread_timeout_ms = 0}, "thread_timeout_ms"));
  CHECK(refused({.timeout_ms = 600'001}, "timeout_ms"));
  CHECK(refused({.max_stack_bytes = 4095}, "max_stack_bytes"));
  CHECK(refused({.max_frames = 0}, "max_frames"));
  observe::StackProfile profile;
  observe::StackProfileOptions options;
  options.samples = 1001;
  CHECK(observe::ProfileThreadStacks(options, &profile).IsInvalidArgument());
  options.samples = 100;
  options.interval_ms = 601;
  CHECK(observe::ProfileThreadStacks(options, &profile).IsInvalidArgument());
}

}  // namespace
}  // namespace slipstream
