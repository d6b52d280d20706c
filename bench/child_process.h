// ChildProcess: this program once more, in a process of its own, told what to do through a pipe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/line_channel.h"
#include "rocksdb/status.h"

namespace slipstream::bench {

// The first argument of a child; the second is what it needs to know, as JSON.
inline constexpr char kChildArgument[] = "--child";

// Ctrl-C and the like were seen; see CatchSignals.
bool Interrupted();

// From here on SIGINT, SIGTERM and SIGHUP only make Interrupted() true, and SIGPIPE does nothing.
void CatchSignals();

// The side of the process that started it.
// Threads: one. Destroying it kills the process.
class ChildProcess {
 public:
  // name: for messages.
  // settings: what the child's ChildEnd gets.
  [[nodiscard]] static rocksdb::Status Start(const std::string& name,
                                             const nlohmann::json& settings,
                                             std::unique_ptr<ChildProcess>* out);
  ~ChildProcess();

  [[nodiscard]] rocksdb::Status Send(const nlohmann::json& command);

  // Waits for the child's next answer.
  // tick: called about every 100 ms meanwhile; what it returns, if not OK, ends the wait.
  // Returns Incomplete  interrupted
  //         TimedOut    nothing came within timeout_ms
  //         Aborted     the child died, or answered with an error; the message says which
  [[nodiscard]] rocksdb::Status Receive(uint64_t timeout_ms,
                                        const std::function<rocksdb::Status()>& tick,
                                        nlohmann::json* answer);

  // Returns Aborted, saying how, if the child is dead.
  [[nodiscard]] rocksdb::Status CheckAlive();

  // SIGSTOP, until it has stopped; and SIGCONT.
  void Stop();
  void Continue();

  // Tells the child to end and waits until it has, without an error of its own.
  [[nodiscard]] rocksdb::Status Quit(uint64_t timeout_ms);

 private:
  ChildProcess(std::string name, pid_t pid, int read_fd, int write_fd)
      : name_(std::move(name)), pid_(pid), channel_(read_fd, write_fd) {}

  // Waits for the end of the child for at most timeout_ms. Returns false if it still runs.
  bool Reap(uint64_t timeout_ms);
  rocksdb::Status Died() const;

  const std::string name_;
  const pid_t pid_;
  LineChannel channel_;
  bool reaped_ = false;
  int wait_status_ = 0;
};

// The side of the child.
class ChildEnd {
 public:
  // json_text: the argument behind kChildArgument. Arranges that the child dies with its parent.
  // Returns InvalidArgument for a text that ChildProcess did not make.
  [[nodiscard]] static rocksdb::Status Open(const std::string& json_text,
                                            std::unique_ptr<ChildEnd>* out);

  const nlohmann::json& settings() const { return settings_; }

  [[nodiscard]] rocksdb::Status Send(const nlohmann::json& answer) { return channel_.Send(answer); }
  // Blocks. IOError if the parent is gone.
  [[nodiscard]] rocksdb::Status Receive(nlohmann::json* command) {
    return channel_.Receive(command, -1);
  }

 private:
  ChildEnd(nlohmann::json settings, int read_fd, int write_fd)
      : settings_(std::move(settings)), channel_(read_fd, write_fd) {}

  const nlohmann::json settings_;
  LineChannel channel_;
};

}  // namespace slipstream::bench
