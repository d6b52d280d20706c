// History: the tasks that have ended, of many processes, in a RocksDB database with indexes.
//
// The database is one of its own, and an ordinary one: a host opens it as a leader and gives
// Leader::db() to a HistoryKeeper or HistoryWriter; any process reads it through a History, on the
// leader or on Follower::db(). It can be made anew from the task logs (see task_log.h) at any time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/status.h"
#include "slipstream/observe/history_record.h"

namespace slipstream {
class SharedStorage;
}  // namespace slipstream

namespace slipstream::observe {

class TaskRegistry;

struct HistoryQuery {
  HistoryFilter filter = {};

  // Records of one page. Range: 1 to 10'000. Default: 100
  size_t limit = 100;

  // Where an earlier page has ended: its `next`. Default: empty = from the newest on
  std::string after = "";

  // Entries of indexes, and records, that are looked at for one page at most. A page that ends for
  // it may have few records, or none; its `next` says where to go on. Range: 1 to 100'000'000.
  // Default: 100'000, which takes about a tenth of a second
  uint64_t max_steps = 100'000;

  // Returns InvalidArgument, naming the field, its value and what was expected.
  [[nodiscard]] rocksdb::Status Validate() const;
};

struct HistoryPage {
  std::vector<HistoryRecord> records;  // those that ended last first
  std::string next;                    // for HistoryQuery::after; empty = there are no more
  uint64_t steps = 0;                  // entries and records that were looked at
};

// A query in the words of URLs and command lines, by name and value:
//
//   kind=, status=, outcome=ok|failed|cancelled, instance=, attr.NAME= (of several attributes: all)
//   from=, to=   a moment: 2026-11-25T21:30:00Z; 1764106200 or 1764106200.25, seconds since 1970;
//   or
//                -90s, -15m, -2h, -7d before `now_us` (microseconds since 1970)
//   limit=, after=
//
// Sets what is named and leaves the rest. Returns InvalidArgument, naming what is not understood.
[[nodiscard]] rocksdb::Status ParseHistoryParameters(
    const std::vector<std::pair<std::string, std::string>>& parameters, uint64_t now_us,
    HistoryQuery* query);

// As /history answers: {"records": [...], "next": "..."}; see task_log.h for a record.
std::string ToJson(const HistoryPage& page);

// Reads.
//
// A filter is answered from indexes: of kind, status, outcome, instance, and of each attribute (of
// a record, of the first 64), each in order of time; and of the kinds of what
// has failed. The conditions' entries are merged, so that what a query costs follows from the
// rarest of them; with none, records are read in order of time.
//
// Threads: any, calls may overlap. Lifetime: `db` outlives it.
class History {
 public:
  explicit History(rocksdb::DB* db) : db_(db) {}

  // Records that the filter accepts, as of one moment.
  // Returns InvalidArgument as HistoryQuery::Validate() does; NotSupported if the database is a
  // history of a newer version; Corruption if it is none; what `db` returns.
  [[nodiscard]] rocksdb::Status Query(const HistoryQuery& query, HistoryPage* page) const;

  // One task. Returns NotFound, or as Query does.
  [[nodiscard]] rocksdb::Status Get(const std::string& instance, TaskId id,
                                    HistoryRecord* record) const;

 private:
  rocksdb::DB* const db_;
};

struct HistoryWriterStats {
  uint64_t added = 0;          // records
  uint64_t known = 0;          // that were there already
  uint64_t expired = 0;        // that were too old to be added
  uint64_t skipped_lines = 0;  // of task logs: torn, no records, or of a newer version
};

// Writes. A record that is added again changes nothing, so it does not matter how often, and on how
// many ways, one comes.
//
// Threads: one at a time. Lifetime: `db` outlives it.
class HistoryWriter {
 public:
  explicit HistoryWriter(rocksdb::DB* db) : db_(db) {}

  // Options that suit the database, to be set before it is opened: filters for looking records up,
  // and compression. What else is in `options` stays as it is.
  static void TuneOptions(rocksdb::Options* options);

  // All of them at once. Returns what the database does, as History::Query.
  [[nodiscard]] rocksdb::Status Add(const std::vector<HistoryRecord>& records);

  // Adds what is new in the task logs below `prefix`; see TaskLogOptions. How far each object was
  // read is in the database, too. A torn or unknown line is passed over. Returns IOError if the
  // storage fails: call it again.
  [[nodiscard]] rocksdb::Status Import(SharedStorage* storage, const std::string& prefix);

  // Deletes what ended more than `keep_us` microseconds before `now_us` (since 1970), and the
  // oldest while there is about more than `keep_bytes` on disk; 0 of either = no limit. In units of
  // six hours, so that it costs nearly nothing: a record goes when all of its six hours may go.
  [[nodiscard]] rocksdb::Status Expire(uint64_t now_us, uint64_t keep_us, uint64_t keep_bytes);

  const HistoryWriterStats& stats() const { return stats_; }

 private:
  [[nodiscard]] rocksdb::Status Start();
  // From *extent on, and moves that.
  [[nodiscard]] rocksdb::Status ImportObject(SharedStorage* storage, const std::string& name,
                                             uint64_t* extent);

  rocksdb::DB* const db_;
  bool started_ = false;
  uint64_t first_bucket_ = 0;  // what is before it has expired
  HistoryWriterStats stats_;
};

struct HistoryKeeperOptions {
  // Required. The database, as its leader has opened it; outlives the keeper.
  rocksdb::DB* db = nullptr;

  // The tasks of this process, without a way round by the storage. Default: nullptr = none;
  // outlives the keeper
  TaskRegistry* registry = nullptr;

  // The task logs of other processes. Default: nullptr = none
  std::shared_ptr<SharedStorage> storage = nullptr;
  std::string prefix = "observe";

  // How late records are: of the registry, and of the logs in addition to what those are late
  // themselves. Unit: milliseconds. Range: 10 to 3'600'000. Default: 0.2 s, 2 s
  uint64_t write_interval_ms = 200;
  uint64_t import_interval_ms = 2000;

  // As HistoryWriter::Expire, about once a minute. Unit: milliseconds; bytes. Default: 30 days, 16
  // GiB
  uint64_t keep_ms = UINT64_C(30) * 24 * 3600 * 1000;
  uint64_t keep_bytes = UINT64_C(16) << 30;

  // Memory of tasks of the registry that wait for the database; those beyond it are dropped and
  // counted. Unit: bytes. Range: 64 KiB to 16 GiB. Default: 32 MiB
  uint64_t max_waiting_bytes = 32 << 20;

  // Returns InvalidArgument, naming the field, its value and what was expected.
  [[nodiscard]] rocksdb::Status Validate() const;
};

struct HistoryKeeperStats {
  HistoryWriterStats writer;
  uint64_t dropped = 0;    // tasks of the registry, for want of memory
  uint64_t failures = 0;   // of writes, imports and deletions; they are tried again
  uint64_t imports = 0;    // rounds over the logs that have succeeded
  std::string last_error;  // of the newest failure; empty = none
};

// Keeps the database up to date, in a thread of its own.
//
// Threads: any, calls may overlap.
class HistoryKeeper {
 public:
  // Returns InvalidArgument as HistoryKeeperOptions::Validate() does. Does not use the database.
  [[nodiscard]] static rocksdb::Status Open(const HistoryKeeperOptions& options,
                                            std::unique_ptr<HistoryKeeper>* out);
  // As Close(0).
  ~HistoryKeeper();
  HistoryKeeper(const HistoryKeeper&) = delete;
  HistoryKeeper& operator=(const HistoryKeeper&) = delete;

  // Blocks until all tasks of the registry that ended before the call, and what was in the logs,
  // are in the database, at most `timeout_us` microseconds. Returns TimedOut, with the last error;
  // safe to retry. Aborted after Close.
  [[nodiscard]] rocksdb::Status Flush(uint64_t timeout_us);

  // Flush, then the end; returns what Flush has. Only the first call counts; later ones return OK.
  // A call of the database or storage that has begun is waited for.
  rocksdb::Status Close(uint64_t timeout_us);

  HistoryKeeperStats stats() const;

 private:
  class Impl;
  explicit HistoryKeeper(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace slipstream::observe
