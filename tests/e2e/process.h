// A child process that is spoken to in lines.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/e2e/eventually.h"

namespace slipstream::testing {

// One socket is the child's standard input and output; its standard error is the test's own.
// Threads: the test's only, as failures are reported through Catch.
// Lifetime: the destructor kills the child.
class Process {
 public:
  // arguments: without the program's name.
  Process(const std::string& program, const std::vector<std::string>& arguments);
  ~Process();
  Process(Process&& other) noexcept;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Does nothing if the child is gone: what it does not answer shows at the next read.
  void WriteLine(const std::string& line);
  // Fails the test if no whole line arrives within `patience`, or the child ends before.
  std::string ReadLine(std::chrono::milliseconds patience = kPatience);

  void Kill();      // SIGKILL, and waits until it is gone
  void Suspend();   // SIGSTOP, and waits until it stands still
  void Continue();  // SIGCONT
  // Blocks until the child ends by itself. Returns its exit status.
  int Wait();

 private:
  int socket_ = -1;
  pid_t pid_ = -1;
  std::string unread_;
};

}  // namespace slipstream::testing
