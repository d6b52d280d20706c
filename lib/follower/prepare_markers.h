// Transactions in two phases leave markers in the WAL that an ordinary instance must not see.
#pragma once

#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace slipstream {

// Returns NotSupported if the write batch in `record` prepares, commits or rolls back a named
// transaction; OK if it does not.
[[nodiscard]] rocksdb::Status RefusePrepareMarkers(rocksdb::Slice record);

}  // namespace slipstream
