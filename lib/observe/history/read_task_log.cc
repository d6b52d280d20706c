#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "lib/observe/history/task_log_lines.h"
#include "lib/observe/history/task_log_name.h"
#include "slipstream/observe/task_log.h"
#include "slipstream/shared_storage.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

// Objects are named by the wall clock of their writer, which may be set meanwhile.
constexpr uint64_t kClockSlackUs = 60'000'000;

bool IsNewer(const HistoryRecord& a, const HistoryRecord& b) {
  return std::tie(a.ended_us, a.instance, a.id) > std::tie(b.ended_us, b.instance, b.id);
}

// The newest of what is added, up to a number.
class Newest {
 public:
  explicit Newest(size_t limit) : limit_(limit) {}

  void Add(HistoryRecord record) {
    if (limit_ != 0 && heap_.size() == limit_) {
      if (!IsNewer(record, heap_.front())) return;
      std::pop_heap(heap_.begin(), heap_.end(), IsNewer);
      heap_.back() = std::move(record);
    } else {
      heap_.push_back(std::move(record));
    }
    std::push_heap(heap_.begin(), heap_.end(), IsNewer);
  }
  // The end of the oldest one, once no older one would be kept; else 0.
  uint64_t floor_us() const {
    return limit_ != 0 && heap_.size() == limit_ ? heap_.front().ended_us : 0;
  }
  std::vector<HistoryRecord> Take() {
    std::sort(heap_.begin(), heap_.end(), IsNewer);
    return std::move(heap_);
  }

 private:
  const size_t limit_;
  std::vector<HistoryRecord> heap_;  // the oldest in front
};

struct NamedObject {
  std::string name;
  TaskLogObject object;
};

}  // namespace

Status ReadTaskLog(SharedStorage* storage, const std::string& prefix, const HistoryFilter& filter,
                   size_t limit, std::vector<HistoryRecord>* records, TaskLogReading* reading) {
  records->clear();
  TaskLogReading unwanted;
  if (reading == nullptr) reading = &unwanted;
  *reading = {};
  Status s = ValidateTaskLogPrefix(prefix);
  std::vector<std::string> names;
  if (s.ok()) s = storage->List(TaskLogPrefix(prefix), &names);
  if (!s.ok()) return s;
  std::vector<NamedObject> objects;
  for (std::string& name : names) {
    TaskLogObject object;
    if (ParseTaskLogName(prefix, name, &object)) objects.push_back({std::move(name), object});
  }
  // The newest first. An object's records have ended before the next one of its instance began.
  std::reverse(objects.begin(), objects.end());
  std::map<std::string, uint64_t> next_began_us;
  Newest newest(limit);
  for (const NamedObject& each : objects) {
    uint64_t& next_us = next_began_us.try_emplace(each.object.instance, UINT64_MAX).first->second;
    const uint64_t last_us =
        next_us < UINT64_MAX - kClockSlackUs ? next_us + kClockSlackUs : next_us;
    next_us = each.object.began_us;
    if (last_us < std::max(filter.from_us, newest.floor_us())) continue;
    uint64_t end = 0;
    s = ReadLines(
        storage, each.name, 0,
        [&](HistoryRecord record) {
          if (filter.Accepts(record)) newest.Add(std::move(record));
          return true;
        },
        &end, reading);
    if (s.IsNotFound()) {
      ++reading->vanished;
      continue;
    }
    if (!s.ok()) return s;
    ++reading->objects;
  }
  *records = newest.Take();
  return Status::OK();
}

}  // namespace slipstream::observe
