// HistoryRecord: a task that has ended, as the task log and the history keep it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "slipstream/observe/task_registry.h"

namespace slipstream::observe {

// All times are microseconds since 1970 UTC, of the wall clock of the machine that the task ran on.
// Texts are UTF-8; what was not is replaced by U+FFFD.
struct HistoryRecord {
  std::string instance;  // of the registry: with `id` it names the task everywhere
  TaskId id = 0;
  TaskId parent = 0;  // of the same instance; 0 = none
  std::string kind;
  std::vector<std::pair<std::string, std::string>> attributes;  // in the order they were set
  uint64_t began_us = 0;
  uint64_t ended_us = 0;
  TaskOutcome outcome = TaskOutcome::kOk;
  std::string error;   // of a task that did not succeed
  std::string status;  // the last one
  std::vector<StatusChange> history;
  Progress progress;
};

// Which records are meant. What is left empty is not asked for.
struct HistoryFilter {
  std::string instance = "";
  std::string kind = "";
  std::vector<std::pair<std::string, std::string>> attributes = {};  // all of them
  std::string status = "";                                           // the last one of the task
  std::optional<TaskOutcome> outcome = std::nullopt;
  // Tasks that ended at `from_us` or later, and before `to_us`.
  uint64_t from_us = 0;
  uint64_t to_us = UINT64_MAX;

  bool Accepts(const HistoryRecord& record) const;
};

// As a line of a task log has it, without its end.
std::string ToJson(const HistoryRecord& record);

// "running", "ok", "failed", "cancelled".
std::string ToString(TaskOutcome outcome);
// False, and *outcome as it was, for another text.
[[nodiscard]] bool ParseTaskOutcome(const std::string& text, TaskOutcome* outcome);

}  // namespace slipstream::observe
