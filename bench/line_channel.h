// LineChannel: JSON values over a pair of pipes, one on each line.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "rocksdb/status.h"

namespace slipstream::bench {

// Threads: thread-compatible.
class LineChannel {
 public:
  // Owns both descriptors.
  LineChannel(int read_fd, int write_fd) : read_fd_(read_fd), write_fd_(write_fd) {}
  LineChannel(const LineChannel&) = delete;
  LineChannel& operator=(const LineChannel&) = delete;
  ~LineChannel();

  // Returns IOError if the other side is gone. REQUIRES: SIGPIPE is ignored.
  [[nodiscard]] rocksdb::Status Send(const nlohmann::json& value);

  // Waits for the next value.
  // timeout_ms: milliseconds; negative = for ever.
  // Returns OK
  //         TimedOut   also when a signal came: look at what it asked for, then call again
  //         IOError    the other side is gone
  //         Corruption what came is not JSON
  [[nodiscard]] rocksdb::Status Receive(nlohmann::json* value, int timeout_ms);

 private:
  const int read_fd_;
  const int write_fd_;
  std::string received_;
};

}  // namespace slipstream::bench
