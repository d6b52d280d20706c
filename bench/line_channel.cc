#include "bench/line_channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

namespace slipstream::bench {

using rocksdb::Status;

LineChannel::~LineChannel() {
  close(read_fd_);
  close(write_fd_);
}

Status LineChannel::Send(const nlohmann::json& value) {
  const std::string line = value.dump() + "\n";
  for (size_t done = 0; done < line.size();) {
    const ssize_t n = write(write_fd_, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::IOError("pipe", strerror(errno));
    done += static_cast<size_t>(n);
  }
  return Status::OK();
}

Status LineChannel::Receive(nlohmann::json* value, int timeout_ms) {
  for (;;) {
    if (const size_t end = received_.find('\n'); end != std::string::npos) {
      *value = nlohmann::json::parse(received_.substr(0, end), nullptr, false);
      received_.erase(0, end + 1);
      return value->is_discarded() ? Status::Corruption("pipe: a line that is not JSON")
                                   : Status::OK();
    }
    pollfd p{read_fd_, POLLIN, 0};
    const int ready = poll(&p, 1, timeout_ms);
    if (ready == 0 || (ready < 0 && errno == EINTR)) return Status::TimedOut("pipe");
    if (ready < 0) return Status::IOError("pipe", strerror(errno));
    char buffer[4096];
    const ssize_t n = read(read_fd_, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::IOError("pipe", strerror(errno));
    if (n == 0) return Status::IOError("pipe", "closed by the other side");
    received_.append(buffer, static_cast<size_t>(n));
  }
}

}  // namespace slipstream::bench
