#ifndef SLIPSTREAM_TESTS_ASSUMPTIONS_HIDDEN_TEST_H_
#define SLIPSTREAM_TESTS_ASSUMPTIONS_HIDDEN_TEST_H_

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "catch2/catch.hpp"
#include "tests/assumptions/scratch_dir.h"

namespace slipstream {

// Runs the test case `name` of this program in a process of its own, because it may abort, and
// returns how that process ended, as waitpid does. A forked child would not do: it lacks the
// background threads of its parent, so it cannot use a database. Tag the test case [.] to keep it
// out of ordinary runs.
inline int RunHiddenTest(const std::string& name) {
  // The process cannot remove its directories if it aborts, so it makes them inside this one.
  const ScratchDir scratch;
  std::string temporary = "TMPDIR=" + scratch.path();
  std::string program = "/proc/self/exe";
  std::string test = name;
  char* const arguments[] = {program.data(), test.data(), nullptr};
  char* const environment[] = {temporary.data(), nullptr};

  // What it prints about its abort is no failure of the test that expects it.
  posix_spawn_file_actions_t silence;
  REQUIRE(::posix_spawn_file_actions_init(&silence) == 0);
  for (const int descriptor : {STDOUT_FILENO, STDERR_FILENO}) {
    REQUIRE(::posix_spawn_file_actions_addopen(&silence, descriptor, "/dev/null", O_WRONLY, 0) ==
            0);
  }
  pid_t child = 0;
  const int error =
      ::posix_spawn(&child, program.c_str(), &silence, nullptr, arguments, environment);
  ::posix_spawn_file_actions_destroy(&silence);
  REQUIRE(error == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

}  // namespace slipstream

#endif  // SLIPSTREAM_TESTS_ASSUMPTIONS_HIDDEN_TEST_H_
