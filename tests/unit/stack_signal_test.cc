#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "slipstream/observe/thread_stacks.h"
#include "tests/unit/held_thread.h"

namespace slipstream {

__attribute__((noinline)) void CountingSheep(HeldThread* held) {
  held->Hold();
  asm volatile("" ::: "memory");
}

namespace {

using observe::InstallStackSignal;
using observe::StackSignal;

std::atomic<int> plain_calls{0};
void PlainHandler(int) { ++plain_calls; }

std::atomic<int> top_calls{0};
struct sigaction below_top = {};
// What a library does that chains.
void TopHandler(int signal, siginfo_t* info, void* context) {
  ++top_calls;
  below_top.sa_sigaction(signal, info, context);
}

// What was logged.
class Log {
 public:
  observe::StackSignalOptions Options() {
    observe::StackSignalOptions options;
    options.stacks = Patient();
    options.log = [this](const std::string& text) {
      std::lock_guard<std::mutex> lock(mutex_);
      texts_.push_back(text);
      added_.notify_all();
    };
    return options;
  }
  std::string Wait(size_t number) {
    std::unique_lock<std::mutex> lock(mutex_);
    const bool there =
        added_.wait_for(lock, std::chrono::seconds(30), [&] { return texts_.size() >= number; });
    REQUIRE(there);
    return texts_[number - 1];
  }
  size_t size() {
    std::lock_guard<std::mutex> lock(mutex_);
    return texts_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable added_;
  std::vector<std::string> texts_;
};

void SetHandler(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  REQUIRE(sigaction(signal, &action, nullptr) == 0);
}

TEST_CASE("stack signal: logs all threads, after the host's handler", "[unit]") {
  SetHandler(SIGUSR1, PlainHandler);
  plain_calls = 0;
  HeldThread held([](HeldThread* self) {
    pthread_setname_np(pthread_self(), "sheep");
    CountingSheep(self);
  });
  Log log;
  std::unique_ptr<StackSignal> signal;
  REQUIRE(InstallStackSignal(SIGUSR1, log.Options(), &signal).ok());
  CHECK(log.size() == 0);
  REQUIRE(kill(getpid(), SIGUSR1) == 0);
  const std::string text = log.Wait(1);
  CHECK(plain_calls == 1);
  CHECK(text.find("\"sheep\"") != std::string::npos);
  CHECK(text.find("CountingSheep") != std::string::npos);
  CHECK(text.find("\"ss-stacks\"") != std::string::npos);
  REQUIRE(kill(getpid(), SIGUSR1) == 0);
  log.Wait(2);
  CHECK(plain_calls == 2);

  SECTION("uninstalling restores what was there") { CHECK(signal->Uninstall().ok()); }
  SECTION("so does its end") { signal.reset(); }
  struct sigaction now = {};
  REQUIRE(sigaction(SIGUSR1, nullptr, &now) == 0);
  CHECK(now.sa_handler == PlainHandler);
  CHECK((now.sa_flags & SA_SIGINFO) == 0);
  REQUIRE(kill(getpid(), SIGUSR1) == 0);
  CHECK(plain_calls == 3);
  CHECK(log.size() == 2);
  SetHandler(SIGUSR1, SIG_DFL);
}

TEST_CASE("stack signal: there is one for each signal", "[unit]") {
  Log log;
  std::unique_ptr<StackSignal> first;
  std::unique_ptr<StackSignal> second;
  REQUIRE(InstallStackSignal(SIGUSR2, log.Options(), &first).ok());
  CHECK(InstallStackSignal(SIGUSR2, log.Options(), &second).IsBusy());
  CHECK(second == nullptr);
  REQUIRE(InstallStackSignal(SIGUSR1, log.Options(), &second).ok());
  first.reset();
  REQUIRE(InstallStackSignal(SIGUSR2, log.Options(), &first).ok());
  REQUIRE(kill(getpid(), SIGUSR2) == 0);
  log.Wait(1);
}

TEST_CASE("stack signal: a handler that was put on top keeps what is below it", "[unit]") {
  const int signal_number = SIGRTMIN + 9;
  SetHandler(signal_number, PlainHandler);
  plain_calls = 0;
  top_calls = 0;
  Log log;
  std::unique_ptr<StackSignal> signal;
  REQUIRE(InstallStackSignal(signal_number, log.Options(), &signal).ok());
  struct sigaction top = {};
  top.sa_sigaction = TopHandler;
  top.sa_flags = SA_SIGINFO;
  REQUIRE(sigaction(signal_number, &top, &below_top) == 0);
  REQUIRE(kill(getpid(), signal_number) == 0);
  log.Wait(1);
  CHECK(top_calls == 1);
  CHECK(plain_calls == 1);

  CHECK(signal->Uninstall().IsIncomplete());
  REQUIRE(kill(getpid(), signal_number) == 0);
  CHECK(top_calls == 2);
  CHECK(plain_calls == 2);
  // Installed again, it is where it was, and calls itself in no circle.
  REQUIRE(InstallStackSignal(signal_number, log.Options(), &signal).ok());
  REQUIRE(kill(getpid(), signal_number) == 0);
  log.Wait(2);
  CHECK(log.size() == 2);
  CHECK(top_calls == 3);
  CHECK(plain_calls == 3);
  REQUIRE(sigaction(signal_number, &below_top, nullptr) == 0);
  CHECK(signal->Uninstall().ok());
  struct sigaction now = {};
  REQUIRE(sigaction(signal_number, nullptr, &now) == 0);
  CHECK(now.sa_handler == PlainHandler);
}

TEST_CASE("stack signal: signals that mean something else are refused", "[unit]") {
  std::unique_ptr<StackSignal> signal;
  for (const int number : {0, -1, 65, SIGSEGV, SIGKILL, SIGSTOP, 32}) {
    INFO(number);
    CHECK(InstallStackSignal(number, {}, &signal).IsInvalidArgument());
  }
  observe::StackSignalOptions options;
  options.stacks.max_frames = 0;
  CHECK(InstallStackSignal(SIGUSR1, options, &signal).IsInvalidArgument());
  CHECK(signal == nullptr);
}

}  // namespace
}  // namespace slipstream
