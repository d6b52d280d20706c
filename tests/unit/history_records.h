// Records for tests of the task log and the history.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "slipstream/observe/history_record.h"

namespace slipstream::observe {

constexpr uint64_t kSomeTimeUs = UINT64_C(1'700'000'000'000'000);

inline HistoryRecord RecordOf(TaskId id, uint64_t ended_us, const std::string& kind = "query") {
  HistoryRecord record;
  record.instance = "one-0123456789abcdef";
  record.id = id;
  record.kind = kind;
  record.began_us = ended_us - 10;
  record.ended_us = ended_us;
  return record;
}

// One of everything.
inline HistoryRecord FullRecord() {
  HistoryRecord record = RecordOf(17, kSomeTimeUs);
  record.parent = 16;
  record.attributes = {{"z", "1"}, {"a", "x\n\"y\""}, {"", ""}, {"k", "\xC3\xA4"}};
  record.outcome = TaskOutcome::kFailed;
  record.error = "IO error: disk";
  record.status = "merging";
  record.history = {{kSomeTimeUs - 9, "reading"}, {kSomeTimeUs - 5, "merging"}};
  record.progress = {3, 4, "rows"};
  return record;
}

// Few values of each field, so that conditions meet; ends within `span_us`.
inline HistoryRecord RandomRecord(std::mt19937_64* random, TaskId id, uint64_t span_us) {
  const auto below = [&](uint64_t n) { return (*random)() % n; };
  HistoryRecord record = RecordOf(id, kSomeTimeUs + below(span_us));
  record.instance = "i-" + std::to_string(below(3));
  record.kind = "kind" + std::to_string(below(4));
  record.outcome = static_cast<TaskOutcome>(1 + below(10) * below(3) / 9);
  if (below(3) != 0) record.status = "status" + std::to_string(below(3));
  if (below(2) == 0) record.attributes.push_back({"rare", std::to_string(below(50))});
  if (below(2) == 0) record.attributes.push_back({"common", std::to_string(below(2))});
  if (below(2) == 0) record.attributes.push_back({"commo", "n" + std::to_string(below(2))});
  return record;
}

inline bool SameRecord(const HistoryRecord& a, const HistoryRecord& b) {
  if (a.history.size() != b.history.size()) return false;
  for (size_t i = 0; i < a.history.size(); ++i) {
    if (a.history[i].at_us != b.history[i].at_us || a.history[i].text != b.history[i].text) {
      return false;
    }
  }
  return a.instance == b.instance && a.id == b.id && a.parent == b.parent && a.kind == b.kind &&
         a.attributes == b.attributes && a.began_us == b.began_us && a.ended_us == b.ended_us &&
         a.outcome == b.outcome && a.error == b.error && a.status == b.status &&
         a.progress.done == b.progress.done && a.progress.total == b.progress.total &&
         a.progress.unit == b.progress.unit;
}

}  // namespace slipstream::observe
