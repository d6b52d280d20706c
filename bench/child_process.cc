#include "bench/child_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "bench/cpu_time.h"

namespace slipstream::bench {

using nlohmann::json;
using rocksdb::Status;

namespace {

constexpr int kTickMs = 100;

volatile sig_atomic_t signalled = 0;

void OnSignal(int) { signalled = 1; }

Status SystemError(const std::string& what) { return Status::IOError(what, strerror(errno)); }

}  // namespace

bool Interrupted() { return signalled != 0; }

void CatchSignals() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

Status ChildProcess::Start(const std::string& name, const json& settings,
                           std::unique_ptr<ChildProcess>* out) {
  int to_child[2];
  int from_child[2];
  if (pipe2(to_child, O_CLOEXEC) != 0) return SystemError("pipe");
  if (pipe2(from_child, O_CLOEXEC) != 0) {
    close(to_child[0]);
    close(to_child[1]);
    return SystemError("pipe");
  }
  std::string program = "bench";
  std::string option = kChildArgument;
  std::string value =
      json{{"read_fd", to_child[0]}, {"write_fd", from_child[1]}, {"settings", settings}}.dump();
  char* const arguments[] = {program.data(), option.data(), value.data(), nullptr};
  const pid_t pid = fork();
  if (pid == 0) {
    // Only calls that are safe between fork and exec. A child that inherited the pipes of another
    // one would keep them open after that one has died.
    fcntl(to_child[0], F_SETFD, 0);
    fcntl(from_child[1], F_SETFD, 0);
    execv("/proc/self/exe", arguments);
    _exit(127);
  }
  const int fork_error = errno;
  close(to_child[0]);
  close(from_child[1]);
  if (pid < 0) {
    close(to_child[1]);
    close(from_child[0]);
    errno = fork_error;
    return SystemError("fork");
  }
  out->reset(new ChildProcess(name, pid, from_child[0], to_child[1]));
  return Status::OK();
}

void ChildProcess::Stop() {
  kill(pid_, SIGSTOP);
  // It has stopped once it says so to its parent.
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WEXITED | WNOWAIT) < 0 &&
         errno == EINTR) {
  }
}

void ChildProcess::Continue() { kill(pid_, SIGCONT); }

ChildProcess::~ChildProcess() {
  if (reaped_) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, &wait_status_, 0) < 0 && errno == EINTR) {
  }
}

bool ChildProcess::Reap(uint64_t timeout_ms) {
  const uint64_t deadline_ns = NowNs() + timeout_ms * 1'000'000;
  while (!reaped_) {
    const pid_t pid = waitpid(pid_, &wait_status_, WNOHANG);
    reaped_ = pid == pid_ || (pid < 0 && errno != EINTR);
    if (reaped_ || NowNs() >= deadline_ns) break;
    usleep(1000);
  }
  return reaped_;
}

Status ChildProcess::Died() const {
  if (WIFSIGNALED(wait_status_)) {
    const int signal = WTERMSIG(wait_status_);
    return Status::Aborted(name_ + " process", "killed by signal " + std::to_string(signal) + " (" +
                                                   std::string(strsignal(signal)) + ")");
  }
  return Status::Aborted(name_ + " process", "ended by itself with exit code " +
                                                 std::to_string(WEXITSTATUS(wait_status_)));
}

Status ChildProcess::CheckAlive() { return Reap(0) ? Died() : Status::OK(); }

Status ChildProcess::Send(const json& command) {
  if (channel_.Send(command).ok()) return Status::OK();
  Reap(1000);
  return Died();
}

Status ChildProcess::Receive(uint64_t timeout_ms, const std::function<Status()>& tick,
                             json* answer) {
  const uint64_t deadline_ns = NowNs() + timeout_ms * 1'000'000;
  for (;;) {
    if (Interrupted()) return Status::Incomplete("interrupted");
    Status s = channel_.Receive(answer, kTickMs);
    if (s.ok()) break;
    if (!s.IsTimedOut()) {
      return Reap(1000) ? Died() : Status::Aborted(name_ + " process", s.ToString());
    }
    if (tick) s = tick();
    if (!s.ok() && !s.IsTimedOut()) return s;
    if (NowNs() >= deadline_ns) {
      return Status::TimedOut(name_ + " process",
                              "no answer within " + std::to_string(timeout_ms) + " ms");
    }
  }
  if (answer->contains("error")) {
    return Status::Aborted(name_ + " process", answer->at("error").get<std::string>());
  }
  return Status::OK();
}

Status ChildProcess::Quit(uint64_t timeout_ms) {
  Status s = Send({{"do", "quit"}});
  if (!s.ok()) return s;
  json answer;
  s = Receive(timeout_ms, nullptr, &answer);
  if (!s.ok()) return s;
  if (!Reap(timeout_ms)) {
    return Status::TimedOut(name_ + " process",
                            "still there after " + std::to_string(timeout_ms) + " ms");
  }
  return WIFEXITED(wait_status_) && WEXITSTATUS(wait_status_) == 0 ? Status::OK() : Died();
}

Status ChildEnd::Open(const std::string& json_text, std::unique_ptr<ChildEnd>* out) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Ctrl-C reaches the whole process group; the parent ends its children itself.
  signal(SIGINT, SIG_IGN);
  json start = json::parse(json_text, nullptr, false);
  if (!start.is_object() || !start.contains("settings")) {
    return Status::InvalidArgument(std::string(kChildArgument) +
                                   " is used by this program itself only");
  }
  out->reset(
      new ChildEnd(start["settings"], start["read_fd"].get<int>(), start["write_fd"].get<int>()));
  return Status::OK();
}

}  // namespace slipstream::bench
