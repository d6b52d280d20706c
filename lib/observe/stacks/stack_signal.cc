// InstallStackSignal: stacks to the log on a signal.
#include <semaphore.h>
#include <signal.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "lib/host/thread_name.h"
#include "lib/observe/stacks/chained_handler.h"
#include "slipstream/observe/thread_stacks.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

constexpr int kMaxSignals = 65;

struct Before {
  struct sigaction action = {};
  const Before* older = nullptr;
};

// Handlers may come late, from another thread, so nothing here is ever destroyed.
struct Installed {
  Installed() { sem_init(&requested, 0, 0); }
  std::atomic<bool> in_use{false};
  // Whether ours is somewhere in the chain of handlers.
  std::atomic<bool> in_chain{false};
  std::atomic<bool> armed{false};
  // What was there before; each one is kept, as a handler may be about to call it.
  std::atomic<const Before*> before{nullptr};
  sem_t requested;
};
Installed installed[kMaxSignals];

// Calls nothing that may not be called here: see signal-safety(7).
void Handle(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  Installed& own = installed[signal];
  const Before* before = own.before.load();
  if (before != nullptr) CallHandler(before->action, signal, info, context);
  if (own.armed.load()) sem_post(&own.requested);
  errno = saved_errno;
}

bool IsOurs(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == Handle;
}

Status CheckSignal(int signal) {
  const bool fault = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE ||
                     signal == SIGILL || signal == SIGTRAP || signal == SIGABRT || signal == SIGSYS;
  const bool reserved = signal > SIGSYS && signal < SIGRTMIN;
  if (signal > 0 && signal <= SIGRTMAX && !fault && !reserved && signal != SIGKILL &&
      signal != SIGSTOP) {
    return Status::OK();
  }
  return Status::InvalidArgument("signal_number", "is " + std::to_string(signal) +
                                                      ", expected one like SIGUSR1 that a program "
                                                      "can handle and that means no fault");
}

class StackSignalImpl final : public StackSignal {
 public:
  StackSignalImpl(int signal, StackSignalOptions options)
      : signal_(signal), options_(std::move(options)) {}
  ~StackSignalImpl() override { Uninstall().PermitUncheckedError(); }

  Status Install() {
    Installed& own = installed[signal_];
    if (own.in_use.exchange(true)) {
      return Status::Busy("signal " + std::to_string(signal_), "logs stacks already");
    }
    uninstalled_ = false;
    const Status s = PutInChain();
    if (!s.ok()) {
      own.in_use.store(false);
      uninstalled_ = true;
      return s;
    }
    thread_ = std::thread([this] { Run(); });
    own.armed.store(true);
    return s;
  }

  Status Uninstall() override {
    if (uninstalled_) return Status::OK();
    uninstalled_ = true;
    Installed& own = installed[signal_];
    own.armed.store(false);
    const Status s = TakeFromChain();
    stop_.store(true);
    sem_post(&own.requested);
    thread_.join();
    own.in_use.store(false);
    return s;
  }

 private:
  Status PutInChain() {
    Installed& own = installed[signal_];
    if (own.in_chain.load()) return Status::OK();  // the host has kept it
    auto before = std::make_unique<Before>();
    if (sigaction(signal_, nullptr, &before->action) != 0) return Failed();
    struct sigaction action = {};
    action.sa_sigaction = Handle;
    // Of the one that it calls: what may interrupt it.
    action.sa_mask = before->action.sa_mask;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | (before->action.sa_flags & SA_NODEFER);
    before->older = own.before.load();
    own.before.store(before.release());
    if (sigaction(signal_, &action, nullptr) != 0) return Failed();
    own.in_chain.store(true);
    return Status::OK();
  }

  Status TakeFromChain() {
    Installed& own = installed[signal_];
    struct sigaction now = {};
    if (sigaction(signal_, nullptr, &now) != 0) return Failed();
    if (!IsOurs(now)) {
      return Status::Incomplete("signal " + std::to_string(signal_),
                                "another handler was installed meanwhile; ours stays below it");
    }
    if (sigaction(signal_, &own.before.load()->action, nullptr) != 0) return Failed();
    own.in_chain.store(false);
    return Status::OK();
  }

  Status Failed() const {
    return Status::IOError("signal " + std::to_string(signal_), std::strerror(errno));
  }

  void Run() {
    NameThisThread("ss-stacks");
    sem_t* requested = &installed[signal_].requested;
    while (true) {
      while (sem_wait(requested) != 0) {
      }
      // However many signals came meanwhile, one answer is as good as many.
      while (sem_trywait(requested) == 0) {
      }
      if (stop_.load()) return;
      ThreadStacks stacks;
      const Status s = CaptureThreadStacks(options_.stacks, &stacks);
      Log(s.ok() ? StacksToText(stacks) : "thread stacks: " + s.ToString() + "\n");
    }
  }

  void Log(const std::string& text) {
    if (options_.log != nullptr) {
      options_.log(text);
    } else {
      std::fwrite(text.data(), 1, text.size(), stderr);
    }
  }

  const int signal_;
  const StackSignalOptions options_;
  bool uninstalled_ = true;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace

Status InstallStackSignal(int signal_number, const StackSignalOptions& options,
                          std::unique_ptr<StackSignal>* out) {
  out->reset();
  Status s = CheckSignal(signal_number);
  if (s.ok()) s = options.stacks.Validate();
  if (!s.ok()) return s;
#if !defined(__x86_64__)
  return Status::NotSupported("thread stacks", "of x86-64 alone");
#endif
  auto signal = std::make_unique<StackSignalImpl>(signal_number, options);
  s = signal->Install();
  if (s.ok()) *out = std::move(signal);
  return s;
}

}  // namespace slipstream::observe
