// Records as JSON: lines of the task log, values of the history, and what clients are answered.
// include/slipstream/observe/task_log.h shows one.
//
// Required are v, instance, id, kind, ended_us and outcome; what is empty is left out. Readers
// ignore fields that they do not know, so fields are added without a new "v"; that means that the
// line must not be read as one of 1.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "slipstream/observe/history_record.h"

namespace slipstream::observe {

// With the keys of an object in the order in which they were set.
using Json = nlohmann::ordered_json;

Json RecordToJson(const HistoryRecord& record);
enum class LineKind {
  kRecord,
  kMalformed,  // torn, or no record
  kNewer,      // of another "v"
};
// Leaves *record in any state unless it is one.
[[nodiscard]] LineKind ParseLine(std::string_view line, HistoryRecord* record);

}  // namespace slipstream::observe
