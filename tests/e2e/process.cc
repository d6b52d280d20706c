#include "tests/e2e/process.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "catch2/catch.hpp"

namespace slipstream::testing {

Process::Process(const std::string& program, const std::vector<std::string>& arguments) {
  int ends[2];
  // Closed on exec, so that no other child keeps this one's socket open.
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  socket_ = ends[0];
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  const int error = posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  INFO("starting " << program);
  REQUIRE(error == 0);
}

Process::Process(Process&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      pid_(std::exchange(other.pid_, -1)),
      unread_(std::move(other.unread_)) {}

Process::~Process() {
  Kill();
  if (socket_ >= 0) close(socket_);
}

void Process::WriteLine(const std::string& line) {
  const std::string bytes = line + "\n";
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = send(socket_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (n <= 0) return;
    done += static_cast<size_t>(n);
  }
}

std::string Process::ReadLine(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    if (const size_t end = unread_.find('\n'); end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd p{socket_, POLLIN, 0};
    const int ready = left.count() > 0 ? poll(&p, 1, static_cast<int>(left.count())) : 0;
    if (ready == 0) FAIL("the child did not answer in time; it has said \"" << unread_ << "\"");
    char buffer[4096];
    const ssize_t n = read(socket_, buffer, sizeof(buffer));
    if (n <= 0) FAIL("the child ended; its last words were \"" << unread_ << "\"");
    unread_.append(buffer, static_cast<size_t>(n));
  }
}

void Process::Kill() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  Wait();
}

void Process::Suspend() {
  kill(pid_, SIGSTOP);
  int status = 0;
  REQUIRE(waitpid(pid_, &status, WUNTRACED) == pid_);
  REQUIRE(WIFSTOPPED(status));
}

void Process::Continue() { kill(pid_, SIGCONT); }

int Process::Wait() {
  int status = 0;
  if (pid_ >= 0) waitpid(std::exchange(pid_, -1), &status, 0);
  return status;
}

}  // namespace slipstream::testing
