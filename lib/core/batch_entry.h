// The entries of a write batch, which is what a WAL record is.
// Pure. Threads: any.
#pragma once

#include <cstdint>
#include <string>

#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace slipstream {

enum class BatchEntryKind {
  kData,     // a put, delete, merge, ...: is counted by the header and consumes a sequence number
  kComment,  // log data and no-operations
  // Markers of transactions in two phases; see PreparedTransactions.
  kBeginPrepare,
  kBeginPersistedPrepare,  // of TxnDBWritePolicy WRITE_PREPARED
  kBeginUnprepare,         // of WRITE_UNPREPARED
  kEndPrepare,
  kCommit,
  kCommitWithTimestamp,
  kRollback,
};

struct BatchEntry {
  BatchEntryKind kind = BatchEntryKind::kComment;
  uint32_t column_family = 0;   // of data
  bool range_deletion = false;  // data that may turn out to be nothing, and then consumes nothing
  rocksdb::Slice bytes;         // the whole entry
  rocksdb::Slice name;          // of the transaction that a marker ends; else empty
};

// Takes the entry that `*input` begins with off its front.
// REQUIRES: !input->empty().
// Returns Corruption if the entry is cut off or of a type that is not known; `*input` is then left
// as it was.
[[nodiscard]] rocksdb::Status TakeBatchEntry(rocksdb::Slice* input, BatchEntry* entry);

// Makes `*record`, a whole batch, the same without the no-operations that transactions leave in it.
// If there are any, it then points into `*buffer`.
// Returns Corruption if the batch cannot be read.
[[nodiscard]] rocksdb::Status LeaveOutNoOperations(rocksdb::Slice* record, std::string* buffer);

}  // namespace slipstream
