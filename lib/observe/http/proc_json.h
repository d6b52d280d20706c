// Tasks as pm shows processes, with more fields.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/observe/http/json_answer.h"
#include "lib/observe/wall_clock.h"
#include "slipstream/observe/task_registry.h"

namespace slipstream::observe {

Json ProcJson(const TaskInfo& task, const WallTime& times);
// Each below its parent, as "children", in the order of `tasks`. Those whose parent is not among
// them are at the top. Below a depth of 64 children are left out, and "omittedChildren" counts
// them.
Json ProcTreeJson(const std::vector<TaskInfo>& tasks, const WallTime& times);
Json ProcHistoryJson(const std::vector<StatusChange>& history, const WallTime& times);

}  // namespace slipstream::observe
