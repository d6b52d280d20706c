#include "lib/observe/stacks/thread_list.h"

#include <dirent.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <memory>
#include <string_view>

namespace slipstream::observe {
namespace {

constexpr char kTasks[] = "/proc/self/task";

// The value behind "Key:\t".
bool TakeField(std::string_view line, std::string_view key, std::string_view* value) {
  if (!line.starts_with(key)) return false;
  line.remove_prefix(key.size());
  const size_t begin = line.find_first_not_of(" \t");
  *value = begin == std::string_view::npos ? std::string_view() : line.substr(begin);
  return true;
}

uint64_t ParseMask(std::string_view text) {
  uint64_t mask = 0;
  std::from_chars(text.data(), text.data() + text.size(), mask, 16);
  return mask;
}

}  // namespace

rocksdb::Status ListThreads(size_t limit, std::vector<pid_t>* tids) {
  tids->clear();
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(kTasks), closedir);
  if (directory == nullptr) return rocksdb::Status::IOError(kTasks, std::strerror(errno));
  while (const dirent* entry = readdir(directory.get())) {
    pid_t tid = 0;
    const std::string_view name = entry->d_name;
    std::from_chars(name.data(), name.data() + name.size(), tid);
    if (tid > 0 && tids->size() < limit) tids->push_back(tid);
  }
  std::sort(tids->begin(), tids->end());
  return rocksdb::Status::OK();
}

bool ReadThreadStatus(pid_t tid, ThreadStatus* status) {
  std::ifstream in(std::string(kTasks) + "/" + std::to_string(tid) + "/status");
  std::string line;
  bool any = false;
  while (std::getline(in, line)) {
    std::string_view value;
    if (TakeField(line, "Name:", &value)) {
      status->name = value;
      any = true;
    } else if (TakeField(line, "State:", &value)) {
      status->state = value.empty() ? '?' : value.front();
    } else if (TakeField(line, "SigPnd:", &value)) {
      status->pending = ParseMask(value);
    } else if (TakeField(line, "SigBlk:", &value)) {
      status->blocked = ParseMask(value);
      break;
    }
  }
  // X and Z: it is on its way out.
  return any && status->state != 'X' && status->state != 'Z';
}

uint64_t CpuMicrosOf(pid_t tid) {
  // What pthread_getcpuclockid makes of a thread; the kernel takes it for any of the process.
  constexpr int kPerThread = 4;
  constexpr int kScheduled = 2;
  const auto clock = static_cast<clockid_t>((~static_cast<unsigned>(tid) << 3) |
                                            static_cast<unsigned>(kPerThread | kScheduled));
  timespec time{};
  if (clock_gettime(clock, &time) != 0) return 0;
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000 +
         static_cast<uint64_t>(time.tv_nsec) / 1000;
}

}  // namespace slipstream::observe
