// bench_stacks: how long a thread is paused when the stacks of all threads are taken.
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/benchmark.h"
#include "bench/cpu_time.h"
#include "bench/spread.h"
#include "slipstream/observe/thread_stacks.h"

namespace slipstream::bench {
namespace {

constexpr char kAbout[] =
    "Takes the stacks of all threads again and again, of 10 and of 100 threads that wait, with\n"
    "ordinary and with deep stacks, while one more thread computes.\n";

constexpr char kMethod[] =
    "pause           from the signal handler's beginning to its end, of each thread in each dump\n"
    "pause, CPU      what of it the thread ran: a machine with other work takes CPUs away, which\n"
    "                pauses a thread without us, too\n"
    "gap             the longest time in which a thread that only reads the clock did not get to\n"
    "                it during one dump: the pause with the kernel's part, and with all else that\n"
    "                the machine did; its median tells\n"
    "dump            all of it, from the call to the names\n"
    "deep            256 KiB of stack, as much as is copied\n";

struct Settings {
  uint64_t dumps = 200;
} settings;

struct Shape {
  std::string name;
  size_t threads;
  size_t stack_bytes;
};
const Shape kShapes[] = {
    {"10 threads", 10, 0},
    {"100 threads", 100, 0},
    {"10 threads, deep", 10, 256 << 10},
    {"100 threads, deep", 100, 256 << 10},
};

// Threads that wait at the end of stacks of some size.
class Waiters {
 public:
  Waiters(size_t count, size_t stack_bytes) {
    for (size_t i = 0; i < count; ++i) {
      threads_.emplace_back([this, stack_bytes] { Descend(stack_bytes); });
    }
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ == count; });
  }
  ~Waiters() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      done_ = true;
      changed_.notify_all();
    }
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  __attribute__((noinline)) void Descend(size_t left) {
    constexpr size_t kFrameBytes = 2048;
    char room[kFrameBytes];
    asm volatile("" ::"r"(room) : "memory");
    if (left > kFrameBytes) {
      Descend(left - kFrameBytes);
    } else {
      std::unique_lock<std::mutex> lock(mutex_);
      ++arrived_;
      changed_.notify_all();
      changed_.wait(lock, [this] { return done_; });
    }
    asm volatile("" ::"r"(room) : "memory");
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t arrived_ = 0;
  bool done_ = false;
  std::vector<std::thread> threads_;
};

// Reads the clock all the time, and remembers the longest time in which it did not.
class ClockReader {
 public:
  ClockReader() : thread_([this] { Run(); }) {
    while (tid_ == 0) std::this_thread::yield();
  }
  ~ClockReader() {
    stop_ = true;
    thread_.join();
  }
  uint64_t TakeLongestNs() { return longest_ns_.exchange(0); }

 private:
  void Run() {
    tid_ = gettid();
    uint64_t last = NowNs();
    while (!stop_) {
      const uint64_t now = NowNs();
      if (now - last > longest_ns_) longest_ns_ = now - last;
      last = now;
    }
  }

  std::atomic<bool> stop_{false};
  std::atomic<int> tid_{0};
  std::atomic<uint64_t> longest_ns_{0};
  std::thread thread_;
};

std::string Key(const Shape& shape, const std::string& measure) {
  return shape.name + ", " + measure;
}

void RunShape(const Shape& shape, Session* session) {
  session->Progress(shape.name);
  const Waiters waiters(shape.threads, shape.stack_bytes);
  ClockReader reader;
  std::vector<uint64_t> pauses;
  std::vector<uint64_t> cpu;
  std::vector<uint64_t> gaps;
  std::vector<uint64_t> dumps;
  for (uint64_t i = 0; i <= settings.dumps; ++i) {
    if (Interrupted()) throw Interruption();
    reader.TakeLongestNs();
    observe::ThreadStacks stacks;
    OrThrow(observe::CaptureThreadStacks({}, &stacks));
    if (i == 0) continue;  // it reads the symbols
    gaps.push_back(reader.TakeLongestNs());
    dumps.push_back(stacks.took_us * 1000);
    size_t captured = 0;
    for (const observe::ThreadStack& stack : stacks.threads) {
      if (stack.outcome != observe::StackOutcome::kCaptured) continue;
      ++captured;
      pauses.push_back(stack.pause_ns);
      cpu.push_back(stack.pause_cpu_ns);
    }
    if (captured < shape.threads) throw Failure("a dump misses threads");
  }
  const auto set = [&](const std::string& measure, std::vector<uint64_t>* ns) {
    std::sort(ns->begin(), ns->end());
    session->figures().Set(Key(shape, measure + "_p50"), PercentileUs(*ns, 0.5));
    session->figures().Set(Key(shape, measure + "_p99"), PercentileUs(*ns, 0.99));
    session->figures().Set(Key(shape, measure + "_max"), PercentileUs(*ns, 1));
  };
  set("pause", &pauses);
  set("cpu", &cpu);
  set("gap", &gaps);
  set("dump", &dumps);
}

void Round(Session* session) {
  session->Alternate(std::size(kShapes), [&](size_t i) { RunShape(kShapes[i], session); });
}

void MakeReport(Session* session) {
  const Figures& figures = session->figures();
  Report& report = session->report();
  Table table{"Stacks of all threads: how long each thread is paused, us",
              {{"", "", "p50", "p99", "max"}}};
  for (const Shape& shape : kShapes) {
    const auto row = [&](const std::string& text, const std::string& measure, int decimals) {
      const auto cell = [&](const std::string& of) {
        return ToText(figures.Of(Key(shape, measure + of)), decimals);
      };
      table.rows.push_back({shape.name, text, cell("_p50"), cell("_p99"), cell("_max")});
    };
    row("pause", "pause", 1);
    row("pause, CPU", "cpu", 1);
    row("gap", "gap", 1);
    row("dump", "dump", 0);
  }
  report.tables.push_back(std::move(table));
  for (const Shape& shape : kShapes) {
    report.AddTarget({.what = "a thread's pause, p99, " + shape.name,
                      .figure = figures.Of(Key(shape, "pause_p99")),
                      .decimals = 1,
                      .unit = "us",
                      .debian = 1000,
                      .release = 1000});
    report.AddTarget({.what = "a thread's pause, CPU, longest, " + shape.name,
                      .figure = figures.Of(Key(shape, "cpu_max")),
                      .decimals = 1,
                      .unit = "us",
                      .debian = 1000,
                      .release = 1000});
  }
}

void AddOptions(CLI::App* app) {
  app->add_option("--dumps", settings.dumps, "in each round, for each shape")
      ->check(Between(1, 100'000));
}

void MakeQuick() { settings.dumps = 5; }

}  // namespace
}  // namespace slipstream::bench

int main(int argc, char** argv) {
  using namespace slipstream::bench;
  return Main({.name = "stacks",
               .about = kAbout,
               .method = kMethod,
               .options = AddOptions,
               .quick = MakeQuick,
               .round = Round,
               .report = MakeReport},
              argc, argv);
}
