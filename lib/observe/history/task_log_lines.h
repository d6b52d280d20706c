// The records in one object of the task log.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "slipstream/observe/history_record.h"
#include "slipstream/observe/task_log.h"
#include "slipstream/shared_storage.h"

namespace slipstream::observe {

// Calls `visit` with each record of the object from `offset` on, in order, and sets *end to where
// its whole lines end; an unfinished line behind them is not read, as it may be finished later.
// Adds to *reading. `visit` returns false to end early; *end is then unchanged. Returns NotFound if
// there is no such object; IOError if the storage fails, some records having been visited then.
[[nodiscard]] rocksdb::Status ReadLines(SharedStorage* storage, const std::string& name,
                                        uint64_t offset,
                                        const std::function<bool(HistoryRecord)>& visit,
                                        uint64_t* end, TaskLogReading* reading);

}  // namespace slipstream::observe
