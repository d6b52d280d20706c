// TaskLog: the tasks of a process that have ended, as lines of JSON on the shared storage.
//
// What it writes can be read without a database: by ReadTaskLog, by `slipstream_history --storage`,
// and by whoever reads JSON. A line:
//
//   {"v":1,"instance":"search-3-8c02b1f55d9e4a71","id":17,"parent":16,"kind":"query",
//    "attrs":{"account":"42"},"began_us":1700000000000000,"ended_us":1700000000250000,
//    "outcome":"failed","error":"IO error: disk","status":"merging",
//    "history":[[1700000000000100,"reading"],[1700000000200000,"merging"]],
//    "progress":{"done":3,"total":4,"unit":"rows"}}
//
// Times are microseconds since 1970 UTC. v, instance, id, kind, began_us, ended_us and outcome are
// there always, the others where they are not empty. More fields may come without another "v".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rocksdb/status.h"
#include "slipstream/observe/history_record.h"

namespace slipstream {
class SharedStorage;
}  // namespace slipstream

namespace slipstream::observe {

class TaskRegistry;

struct TaskLogOptions {
  // Whose tasks. Required; outlives the log.
  TaskRegistry* registry = nullptr;

  // Required. Any number of processes may share it and the prefix.
  std::shared_ptr<SharedStorage> storage = nullptr;

  // The objects are named <prefix>/tasks/<time>-<instance>-<number>.jsonl. Parts of [A-Za-z0-9._-]
  // with '/' between them. Default: "observe"
  std::string prefix = "observe";

  // How often what has ended is put on the storage. A crash loses the tasks that ended within the
  // last interval, and those that were being written: with a storage that answers at once, no more
  // than these milliseconds. Each time writes the newest object as a whole, so that a short
  // interval with large objects writes much. Unit: milliseconds. Range: 10 to 3'600'000. Default:
  // one second
  uint64_t flush_interval_ms = 1000;

  // An object is finished, and the next one begun, at this size or at this age. Unit: bytes;
  // milliseconds. Range: 1 KiB to 1 GiB; 10 to 86'400'000. Default: 1 MiB, one minute
  uint64_t rotate_bytes = 1 << 20;
  uint64_t rotate_interval_ms = 60'000;

  // Memory of tasks that wait for a storage that is slow or fails; those beyond it are dropped and
  // counted. Beside it the log holds one object. Unit: bytes. Range: 64 KiB to 16 GiB. Default: 32
  // MiB
  uint64_t max_waiting_bytes = 32 << 20;

  // Objects below the prefix, of all processes, that are older than this, or beyond this many bytes
  // (the oldest first), are deleted, about once a minute. 0 of either = no limit. Unit:
  // milliseconds; bytes. Range of keep_bytes, if not 0: at least twice rotate_bytes. Default: seven
  // days, 4 GiB
  uint64_t keep_ms = UINT64_C(7) * 24 * 3600 * 1000;
  uint64_t keep_bytes = UINT64_C(4) << 30;

  // Returns InvalidArgument, naming the field, its value and what was expected.
  [[nodiscard]] rocksdb::Status Validate() const;
};

struct TaskLogStats {
  uint64_t records = 0;        // on the storage
  uint64_t bytes = 0;          // of them
  uint64_t objects = 0;        // begun
  uint64_t dropped = 0;        // for want of memory
  uint64_t waiting_bytes = 0;  // memory of those that are to be written
  uint64_t failures = 0;       // calls of the storage, of writing
  uint64_t deleted = 0;        // objects, by this process
  std::string last_error;      // of the newest failure, of writing or deleting; empty = none
};

// Writes each task that ends after Open, in a thread of its own; another one deletes. Whoever ends
// a task never waits for it. A storage that fails is tried again, after 0.1 to 10 seconds.
//
// Threads: any, calls may overlap.
class TaskLog {
 public:
  // Returns InvalidArgument as TaskLogOptions::Validate() does. Does not call the storage.
  [[nodiscard]] static rocksdb::Status Open(const TaskLogOptions& options,
                                            std::unique_ptr<TaskLog>* out);
  // As Close(0).
  ~TaskLog();
  TaskLog(const TaskLog&) = delete;
  TaskLog& operator=(const TaskLog&) = delete;

  // Blocks until all tasks that ended before the call are on the storage (or were dropped, see
  // TaskLogStats), at most `timeout_us` microseconds.
  // Returns TimedOut, with the last error of the storage; safe to retry. Aborted after Close.
  [[nodiscard]] rocksdb::Status Flush(uint64_t timeout_us);

  // Flush, then the end: nothing is written any more, whatever Flush has returned, which this
  // returns too. Only the first call counts; later ones return OK. A call of the storage that has
  // begun is waited for.
  rocksdb::Status Close(uint64_t timeout_us);

  TaskLogStats stats() const;

 private:
  class Impl;
  explicit TaskLog(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

// What reading a log has met.
struct TaskLogReading {
  uint64_t objects = 0;
  uint64_t records = 0;    // whole ones, before any filter
  uint64_t malformed = 0;  // lines that are torn or no records; skipped
  uint64_t newer = 0;      // lines of a version that this library does not know; skipped
  uint64_t vanished = 0;   // objects that were deleted meanwhile
};

// The newest `limit` records that `filter` accepts, newest first, read from the storage alone; all
// objects that may have some are read, one after another.
//
// limit: 0 = all. `reading` may be null.
// Returns InvalidArgument for a prefix that cannot be; IOError if the storage fails.
[[nodiscard]] rocksdb::Status ReadTaskLog(SharedStorage* storage, const std::string& prefix,
                                          const HistoryFilter& filter, size_t limit,
                                          std::vector<HistoryRecord>* records,
                                          TaskLogReading* reading);

}  // namespace slipstream::observe
