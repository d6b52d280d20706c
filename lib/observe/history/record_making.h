// How a task that has ended becomes a record.
#pragma once

#include <string>

#include "lib/observe/wall_clock.h"
#include "slipstream/observe/finished_task_feed.h"
#include "slipstream/observe/history_record.h"

namespace slipstream::observe {

HistoryRecord MakeRecord(const FinishedTask& task, const std::string& instance,
                         const WallTime& wall);

// Replaces what is no UTF-8; see ValidUtf8. For records that did not come from MakeRecord.
void MakeTextsValid(HistoryRecord* record);

}  // namespace slipstream::observe
