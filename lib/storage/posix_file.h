// POSIX files for the storage: descriptors that are closed, and errors as statuses.
#pragma once

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "rocksdb/status.h"

namespace slipstream {

// Names the operation, the path and the error. NotFound for a path that does not exist, NoSpace for
// a full disk or quota, else IOError.
inline rocksdb::Status PathStatus(const std::string& operation, const std::string& path,
                                  int error) {
  char buffer[128];
  // The GNU variant returns the text; it may or may not be in `buffer`.
  const char* text = strerror_r(error, buffer, sizeof(buffer));
  const std::string message = operation + " " + path + ": " + text;
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return rocksdb::Status::NotFound(message);
    case ENOSPC:
    case EDQUOT:
      return rocksdb::Status::NoSpace(message);
    default:
      return rocksdb::Status::IOError(message);
  }
}

// For operations where a missing file is not an answer but a fault of the storage: never NotFound.
inline rocksdb::Status FaultStatus(const std::string& operation, const std::string& path,
                                   int error) {
  const rocksdb::Status s = PathStatus(operation, path, error);
  return s.IsNotFound() ? rocksdb::Status::IOError(s.getState()) : s;
}

// Calls again what a signal has interrupted. `call` returns less than zero and sets errno if it
// fails.
template <typename Call>
auto RetryInterrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

class UniqueFd {
 public:
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { Close(); }
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&&) = delete;

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

  // Returns 0 or the error. An interrupted close has closed the descriptor on Linux all the same.
  int Close() {
    if (fd_ < 0) return 0;
    const int result = ::close(std::exchange(fd_, -1));
    return result < 0 && errno != EINTR ? errno : 0;
  }

 private:
  int fd_;
};

}  // namespace slipstream
