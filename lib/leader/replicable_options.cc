#include "lib/leader/replicable_options.h"

#include <memory>
#include <string_view>

#include "rocksdb/table.h"
#include "rocksdb/utilities/stackable_db.h"
#include "rocksdb/utilities/transaction.h"
#include "rocksdb/utilities/transaction_db.h"
#include "rocksdb/wal_filter.h"
#include "slipstream/replay_memtable.h"

namespace slipstream {
namespace {

using rocksdb::Status;

Status Refuse(const std::string& option, const std::string& value, const std::string& reason) {
  return Status::InvalidArgument("slipstream: " + option + " = " + value +
                                 " is not supported: " + reason);
}

Status CheckPaths(const std::string& option, const std::vector<rocksdb::DbPath>& paths,
                  const std::string& path) {
  for (const rocksdb::DbPath& p : paths) {
    // An opened database has its own path here as the host wrote it.
    std::string_view found = p.path;
    while (found.size() > 1 && found.back() == '/') found.remove_suffix(1);
    if (found != path) {
      return Refuse(option, p.path, "SST files go to the shared storage; leave it empty");
    }
  }
  return Status::OK();
}

// What changes how log files are written, or recovered.
Status CheckLogs(const rocksdb::DBOptions& options) {
  if (options.recycle_log_file_num > 0) {
    return Refuse("recycle_log_file_num", std::to_string(options.recycle_log_file_num),
                  "a recycled log file is not append-only; set it to 0");
  }
  if (options.wal_compression != rocksdb::kNoCompression) {
    return Refuse("wal_compression", std::to_string(options.wal_compression),
                  "followers read WAL records as they are written; set kNoCompression");
  }
  if (options.two_write_queues) {
    return Refuse("two_write_queues", "true",
                  "its sequence numbers do not follow from the order of the WAL");
  }
  if (options.unordered_write && options.manual_wal_flush) {
    return Refuse("unordered_write", "true",
                  "with manual_wal_flush, RocksDB's first write waits for a lock that it holds");
  }
  if (options.wal_filter != nullptr) {
    return Refuse("wal_filter", options.wal_filter->Name(),
                  "what it drops or changes at a recovery, followers would still show");
  }
  if (options.best_efforts_recovery) {
    return Refuse("best_efforts_recovery", "true",
                  "it recovers less than the log files say, and followers go by those");
  }
  return Status::OK();
}

Status CheckTransactionRecovery(const rocksdb::DBOptions& options) {
  if (options.allow_2pc &&
      options.wal_recovery_mode == rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords) {
    return Refuse(
        "wal_recovery_mode", "kSkipAnyCorruptedRecords",
        "with allow_2pc, which a TransactionDB sets, it recovers transactions from behind "
        "damage, and followers do not read past that");
  }
  return Status::OK();
}

// What would go past the leader's file system.
Status CheckFiles(const rocksdb::DBOptions& options) {
  if (options.allow_mmap_writes) {
    return Refuse("allow_mmap_writes", "true", "appends to a mapped file cannot be seen");
  }
  if (options.allow_mmap_reads) {
    return Refuse("allow_mmap_reads", "true", "objects on the shared storage cannot be mapped");
  }
  if (options.sst_file_manager != nullptr) {
    return Refuse(
        "sst_file_manager", "(set)",
        "it deletes files by a file system of its own, so that SST files would stay on the "
        "shared storage for ever; leave it empty");
  }
  if (options.compaction_service != nullptr) {
    return Refuse("compaction_service", options.compaction_service->Name(),
                  "it brings SST files by a rename, and objects cannot be renamed");
  }
  return Status::OK();
}

}  // namespace

Status CheckReplicable(const rocksdb::DBOptions& options, const std::string& path,
                       const std::vector<rocksdb::ColumnFamilyDescriptor>& column_families) {
  Status s = CheckLogs(options);
  if (s.ok()) s = CheckTransactionRecovery(options);
  if (s.ok()) s = CheckFiles(options);
  if (s.ok()) s = CheckPaths("db_paths", options.db_paths, path);
  for (const rocksdb::ColumnFamilyDescriptor& cf : column_families) {
    if (s.ok()) s = CheckReplicable(cf.name, cf.options, path);
  }
  return s;
}

Status CheckReplicable(const std::string& name, const rocksdb::ColumnFamilyOptions& options,
                       const std::string& path) {
  const std::string of_name = " of \"" + name + "\"";
  Status s = CheckPaths("cf_paths" + of_name, options.cf_paths, path);
  if (!s.ok()) return s;
  if (options.inplace_callback != nullptr) {
    return Refuse("inplace_callback" + of_name, "(set)",
                  "the WAL holds what it was given, not what it made of that");
  }
  if (options.table_factory != nullptr &&
      options.table_factory->IsInstanceOf(rocksdb::TableFactory::kCuckooTableName())) {
    return Refuse("table_factory" + of_name, rocksdb::TableFactory::kCuckooTableName(),
                  "it reads mapped files only, and objects on the shared storage cannot be mapped");
  }
  return s;
}

Status CheckMemoryWal(const rocksdb::DBOptions& options) {
  if (options.avoid_flush_during_recovery) {
    return Refuse("avoid_flush_during_recovery", "true",
                  "a WAL from disk that is kept beside lost ones makes the next open fail "
                  "(SST file is ahead of WALs), under LeaderOptions::wal = kMemoryOnly");
  }
  if (options.track_and_verify_wals_in_manifest) {
    return Refuse("track_and_verify_wals_in_manifest", "true",
                  "WALs are gone after a crash, under LeaderOptions::wal = kMemoryOnly");
  }
  if (options.WAL_ttl_seconds > 0 || options.WAL_size_limit_MB > 0) {
    return Refuse(
        "WAL_ttl_seconds or WAL_size_limit_MB",
        std::to_string(options.WAL_ttl_seconds) + ", " + std::to_string(options.WAL_size_limit_MB),
        "there is no archive of WALs, under LeaderOptions::wal = kMemoryOnly");
  }
  return Status::OK();
}

Status CheckReplicable(rocksdb::DB* db) {
  // A TransactionDB has set allow_2pc.
  Status s = CheckTransactionRecovery(db->GetDBOptions());
  if (!s.ok()) return s;
  auto* transactions = dynamic_cast<rocksdb::TransactionDB*>(db);
  while (transactions == nullptr) {
    auto* stacked = dynamic_cast<rocksdb::StackableDB*>(db);
    if (stacked == nullptr) return Status::OK();
    db = stacked->GetBaseDB();
    transactions = dynamic_cast<rocksdb::TransactionDB*>(db);
  }
  // The policy cannot be asked for. Of the three only transactions of WRITE_COMMITTED take a commit
  // timestamp; the others inherit a refusal.
  const std::unique_ptr<rocksdb::Transaction> probe(
      transactions->BeginTransaction(rocksdb::WriteOptions()));
  if (probe->SetCommitTimestamp(1).ok()) return Status::OK();
  return Refuse("TransactionDBOptions::write_policy", "WRITE_PREPARED or WRITE_UNPREPARED",
                "its sequence numbers do not count keys; set WRITE_COMMITTED");
}

Status CheckReplayMemTable(const rocksdb::DBOptions& options,
                           const std::vector<rocksdb::ColumnFamilyDescriptor>& column_families) {
  if (options.unordered_write) {
    return Status::InvalidArgument(
        "slipstream: unordered_write = true, expected false: LeaderOptions::replay_memtable takes "
        "one insert at a time");
  }
  for (const rocksdb::ColumnFamilyDescriptor& cf : column_families) {
    const auto* factory = cf.options.memtable_factory.get();
    const std::string found = factory == nullptr ? "nullptr" : factory->GetId();
    const std::string expected = NewReplayMemTableFactory({cf.options.comparator})->GetId();
    if (found != expected && found != NewReplayMemTableFactory()->GetId()) {
      return Status::InvalidArgument("slipstream: memtable_factory of \"" + cf.name +
                                     "\" = " + found + ", expected " + expected +
                                     " with LeaderOptions::replay_memtable; see UseReplayMemTable");
    }
  }
  return Status::OK();
}

Status SetReplayMemTable(std::vector<rocksdb::ColumnFamilyDescriptor>* column_families) {
  for (rocksdb::ColumnFamilyDescriptor& cf : *column_families) {
    const Status s = UseReplayMemTable(&cf.options);
    if (!s.ok()) {
      return Status::InvalidArgument("slipstream: LeaderOptions::replay_memtable = true: \"" +
                                     cf.name + "\": " + s.getState());
    }
  }
  return Status::OK();
}

}  // namespace slipstream
