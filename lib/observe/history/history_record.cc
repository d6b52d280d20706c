#include "slipstream/observe/history_record.h"

#include <algorithm>
#include <array>

#include "lib/observe/history/record_making.h"
#include "lib/observe/history/valid_utf8.h"

namespace slipstream::observe {
namespace {

constexpr std::array<const char*, 4> kOutcomes = {"running", "ok", "failed", "cancelled"};

}  // namespace

std::string ToString(TaskOutcome outcome) { return kOutcomes[static_cast<size_t>(outcome)]; }

bool ParseTaskOutcome(const std::string& text, TaskOutcome* outcome) {
  const auto at = std::find(kOutcomes.begin(), kOutcomes.end(), text);
  if (at == kOutcomes.end()) return false;
  *outcome = static_cast<TaskOutcome>(at - kOutcomes.begin());
  return true;
}

bool HistoryFilter::Accepts(const HistoryRecord& r) const {
  const auto is = [](const std::string& wanted, const std::string& found) {
    return wanted.empty() || wanted == found;
  };
  return r.ended_us >= from_us && r.ended_us < to_us && is(instance, r.instance) &&
         is(kind, r.kind) && is(status, r.status) && (!outcome || *outcome == r.outcome) &&
         std::all_of(attributes.begin(), attributes.end(), [&](const auto& wanted) {
           return std::find(r.attributes.begin(), r.attributes.end(), wanted) != r.attributes.end();
         });
}

void MakeTextsValid(HistoryRecord* r) {
  for (std::string* text : {&r->kind, &r->error, &r->status, &r->progress.unit}) {
    *text = ValidUtf8(*text);
  }
  for (auto& [key, value] : r->attributes) {
    key = ValidUtf8(key);
    value = ValidUtf8(value);
  }
  for (StatusChange& change : r->history) change.text = ValidUtf8(change.text);
}

HistoryRecord MakeRecord(const FinishedTask& task, const std::string& instance,
                         const WallTime& wall) {
  const TaskInfo& info = task.info;
  HistoryRecord record;
  record.instance = instance;
  record.id = info.id;
  record.parent = info.parent;
  record.kind = info.kind;
  record.attributes = info.attributes;
  record.began_us = wall.Of(info.began_us);
  record.ended_us = wall.Of(info.ended_us);
  record.outcome = info.outcome;
  record.error = info.error;
  record.status = info.status;
  record.history = task.history;
  for (StatusChange& change : record.history) change.at_us = wall.Of(change.at_us);
  record.progress = info.progress;
  MakeTextsValid(&record);
  return record;
}

}  // namespace slipstream::observe
