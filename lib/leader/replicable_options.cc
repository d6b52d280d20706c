#include "lib/leader/replicable_options.h"

#include <memory>

#include "rocksdb/utilities/stackable_db.h"
#include "rocksdb/utilities/transaction.h"
#include "rocksdb/utilities/transaction_db.h"
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
    if (p.path != path) {
      return Refuse(option, p.path, "SST files go to the shared storage; leave it empty");
    }
  }
  return Status::OK();
}

}  // namespace

Status CheckReplicable(const rocksdb::DBOptions& options, const std::string& path,
                       const std::vector<rocksdb::ColumnFamilyDescriptor>& column_families) {
  if (options.recycle_log_file_num > 0) {
    return Refuse("recycle_log_file_num", std::to_string(options.recycle_log_file_num),
                  "a recycled log file is not append-only; set it to 0");
  }
  if (options.wal_compression != rocksdb::kNoCompression) {
    return Refuse("wal_compression", std::to_string(options.wal_compression),
                  "followers read WAL records as they are written; set kNoCompression");
  }
  if (options.allow_mmap_writes) {
    return Refuse("allow_mmap_writes", "true", "appends to a mapped file cannot be seen");
  }
  if (options.two_write_queues) {
    return Refuse("two_write_queues", "true",
                  "its sequence numbers do not follow from the order of the WAL");
  }
  Status s = CheckPaths("db_paths", options.db_paths, path);
  for (const rocksdb::ColumnFamilyDescriptor& cf : column_families) {
    if (s.ok()) s = CheckPaths("cf_paths of \"" + cf.name + "\"", cf.options.cf_paths, path);
  }
  return s;
}

Status CheckReplicable(rocksdb::DB* db) {
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
