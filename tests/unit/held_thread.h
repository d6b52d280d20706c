// A thread that is somewhere until it is let go.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "slipstream/observe/thread_stacks.h"

namespace slipstream {

// The thread sanitizer holds signals back while a thread calls nothing that it knows, or reads from
// a file; it has a thread of its own that blocks all signals, and a fork leaves it behind.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kSignalsAreDelayed = true;
#else
inline constexpr bool kSignalsAreDelayed = false;
#endif

// Opened once.
class Gate {
 public:
  void Open() {
    std::lock_guard<std::mutex> lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    opened_.wait(lock, [this] { return open_; });
  }
  bool is_open() {
    std::lock_guard<std::mutex> lock(mutex_);
    return open_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

// Runs `work`, which calls Hold() where it is to be found.
class HeldThread {
 public:
  explicit HeldThread(std::function<void(HeldThread*)> work)
      : thread_([this, work = std::move(work)] {
          tid_ = gettid();
          work(this);
          arrived_.Open();
        }) {
    arrived_.Wait();
  }
  ~HeldThread() { LetGo(); }

  // Of the thread: says that it is there, and waits.
  __attribute__((noinline)) void Hold() {
    arrived_.Open();
    let_go_.Wait();
  }
  // Of the thread: says that it is there, and goes on.
  void Arrive() { arrived_.Open(); }
  bool is_let_go() { return let_go_.is_open(); }

  void LetGo() {
    let_go_.Open();
    if (thread_.joinable()) thread_.join();
  }
  int tid() const { return tid_; }

 private:
  Gate arrived_;
  Gate let_go_;
  int tid_ = 0;
  std::thread thread_;
};

// A machine that runs other things lets threads answer late, and must not fail a test.
inline observe::StackOptions Patient() {
  observe::StackOptions options;
  options.thread_timeout_ms = 10'000;
  options.timeout_ms = 60'000;
  return options;
}

// Null if it is not there.
inline const observe::ThreadStack* StackOf(const observe::ThreadStacks& stacks, int tid) {
  const auto it = std::find_if(stacks.threads.begin(), stacks.threads.end(),
                               [tid](const auto& thread) { return thread.tid == tid; });
  return it == stacks.threads.end() ? nullptr : &*it;
}

inline size_t CountFrames(const observe::ThreadStack& stack, const std::string& function) {
  return static_cast<size_t>(std::count_if(
      stack.frames.begin(), stack.frames.end(),
      [&](const auto& frame) { return frame.function.find(function) != std::string::npos; }));
}

}  // namespace slipstream
