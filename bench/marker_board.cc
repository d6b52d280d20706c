#include "bench/marker_board.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

namespace slipstream::bench {

using rocksdb::Status;

namespace {
Status SystemError(const char* what) {
  return Status::IOError(std::string("shared memory: ") + what, strerror(errno));
}
}  // namespace

MarkerBoard::~MarkerBoard() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
  if (fd_ >= 0) close(fd_);
}

Status MarkerBoard::Create(uint64_t markers, uint64_t readers) {
  // Without close-on-exec: the processes of the round inherit the descriptor under its number.
  fd_ = memfd_create("slipstream-markers", 0);
  if (fd_ < 0) return SystemError("memfd_create");
  const uint64_t bytes = sizeof(BoardHeader) + (readers + 1) * (markers + 1) * sizeof(Time);
  if (ftruncate(fd_, static_cast<off_t>(bytes)) != 0) return SystemError("ftruncate");
  return Map(fd_, markers, readers);
}

Status MarkerBoard::Attach(int fd, uint64_t markers, uint64_t readers) {
  return Map(fd, markers, readers);
}

Status MarkerBoard::Map(int fd, uint64_t markers, uint64_t readers) {
  markers_ = markers;
  readers_ = readers;
  bytes_ = sizeof(BoardHeader) + (readers + 1) * (markers + 1) * sizeof(Time);
  // Populated at once, so that no page fault falls into what is measured. Fresh memory of a memfd
  // is zero, which is the valid initial value of every field.
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (memory == MAP_FAILED) return SystemError("mmap");
  memory_ = memory;
  return Status::OK();
}

void MarkerBoard::Returned(uint64_t counter, uint64_t now_ns) {
  Row(0)[counter].store(now_ns, std::memory_order_release);
  Header()->last_marker.store(counter, std::memory_order_release);
}

void MarkerBoard::Seen(uint64_t reader, uint64_t first, uint64_t last, uint64_t now_ns) {
  Time* seen = Row(reader + 1);
  for (uint64_t c = first; c <= last && c <= markers_; ++c) {
    seen[c].store(now_ns, std::memory_order_release);
  }
}

MarkerBoard::Lags MarkerBoard::LagsOf(uint64_t reader) const {
  Lags lags;
  const Time* returned = Row(0);
  const Time* seen = Row(reader + 1);
  const uint64_t last = last_marker();
  lags.ns.reserve(last);
  for (uint64_t c = 1; c <= last; ++c) {
    const uint64_t from = returned[c].load(std::memory_order_acquire);
    const uint64_t to = seen[c].load(std::memory_order_acquire);
    if (to == 0) {
      ++lags.unseen;
    } else if (to < from) {
      ++lags.early;
      lags.ns.push_back(0);
    } else {
      lags.ns.push_back(to - from);
    }
  }
  return lags;
}

}  // namespace slipstream::bench
