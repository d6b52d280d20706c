#include "lib/leader/leader_db.h"

#include "lib/core/rocksdb_release.h"
#include "rocksdb/utilities/stackable_db.h"
#include "rocksdb/write_batch.h"

namespace slipstream {
namespace {

using rocksdb::ColumnFamilyHandle;
using rocksdb::Slice;
using rocksdb::Status;
using rocksdb::WriteOptions;

Status CheckWrite(const WriteOptions& options) {
  if (!options.disableWAL) return Status::OK();
  return Status::InvalidArgument(
      "slipstream: WriteOptions::disableWAL = true: followers would never see this write; set it "
      "to false");
}

class LeaderDB : public rocksdb::StackableDB {
 public:
  explicit LeaderDB(rocksdb::DB* db) : StackableDB(db) {}

  // StackableDB does not pass this on, and a host could not recover from a full disk.
  Status Resume() override { return db_->Resume(); }

  using StackableDB::Put;
  Status Put(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key,
             const Slice& value) override {
    Status s = CheckWrite(options);
    return s.ok() ? db_->Put(options, cf, key, value) : s;
  }
  Status Put(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key, const Slice& ts,
             const Slice& value) override {
    Status s = CheckWrite(options);
    return s.ok() ? db_->Put(options, cf, key, ts, value) : s;
  }
  using StackableDB::PutEntity;
  Status PutEntity(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key,
                   const rocksdb::WideColumns& columns) override {
    Status s = CheckWrite(options);
    return s.ok() ? db_->PutEntity(options, cf, key, columns) : s;
  }
  using StackableDB::Delete;
  Status Delete(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key) override {
    Status s = CheckWrite(options);
    return s.ok() ? db_->Delete(options, cf, key) : s;
  }
  Status Delete(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key,
                const Slice& ts) override {
    Status s = CheckWrite(options);
    return s.ok() ? db_->Delete(options, cf, key, ts) : s;
  }
  using StackableDB::SingleDelete;
  Status SingleDelete(const WriteOptions& options, ColumnFamilyHandle* cf,
                      const Slice& key) override {
    Status s = CheckWrite(options);
    return s.ok() ? db_->SingleDelete(options, cf, key) : s;
  }
  Status SingleDelete(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key,
                      const Slice& ts) override {
    Status s = CheckWrite(options);
    return s.ok() ? db_->SingleDelete(options, cf, key, ts) : s;
  }
  using StackableDB::DeleteRange;
  Status DeleteRange(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& begin,
                     const Slice& end) override {
    Status s = CheckWrite(options);
    return s.ok() ? db_->DeleteRange(options, cf, begin, end) : s;
  }
  using StackableDB::Merge;
  Status Merge(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key,
               const Slice& value) override {
    Status s = CheckWrite(options);
    return s.ok() ? db_->Merge(options, cf, key, value) : s;
  }
  Status Write(const WriteOptions& options, rocksdb::WriteBatch* updates) override {
    Status s = CheckWrite(options);
    return s.ok() ? db_->Write(options, updates) : s;
  }

  // The imported files bring sequence numbers of their own, and RocksDB raises its last one to
  // theirs in memory alone: neither a WAL record nor the manifest says so. A record without entries
  // says it, to followers and to a recovery.
  Status CreateColumnFamilyWithImport(const rocksdb::ColumnFamilyOptions& options,
                                      const std::string& name,
                                      const rocksdb::ImportColumnFamilyOptions& import_options,
                                      const rocksdb::ExportImportFilesMetaData& metadata,
                                      ColumnFamilyHandle** handle) override {
    Status s = db_->CreateColumnFamilyWithImport(options, name, import_options, metadata, handle);
    if (!s.ok()) return s;
    rocksdb::WriteBatch batch;
    s = batch.PutLogData("slipstream: import");
    if (s.ok()) s = db_->Write(WriteOptions(), &batch);
    // The column family is there; should the record fail, it shows on followers with the next one.
    s.PermitUncheckedError();
    return Status::OK();
  }

#if SLIPSTREAM_ROCKSDB_9
  Status Merge(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key,
               const Slice& ts, const Slice& value) override {
    Status s = CheckWrite(options);
    return s.ok() ? db_->Merge(options, cf, key, ts, value) : s;
  }
  Status PutEntity(const WriteOptions& options, const Slice& key,
                   const rocksdb::AttributeGroups& groups) override {
    Status s = CheckWrite(options);
    return s.ok() ? db_->PutEntity(options, key, groups) : s;
  }
  // A StackableDB does not pass this one on.
  Status WriteWithCallback(const WriteOptions& options, rocksdb::WriteBatch* updates,
                           rocksdb::UserWriteCallback* callback) override {
    Status s = CheckWrite(options);
    return s.ok() ? db_->WriteWithCallback(options, updates, callback) : s;
  }
#endif

  using StackableDB::IngestExternalFile;
  Status IngestExternalFile(ColumnFamilyHandle* cf, const std::vector<std::string>& files,
                            const rocksdb::IngestExternalFileOptions& options) override {
    rocksdb::IngestExternalFileOptions adjusted = options;
    adjusted.write_global_seqno = false;  // objects are immutable
    return db_->IngestExternalFile(cf, files, adjusted);
  }
  using StackableDB::IngestExternalFiles;
  Status IngestExternalFiles(const std::vector<rocksdb::IngestExternalFileArg>& args) override {
    std::vector<rocksdb::IngestExternalFileArg> adjusted = args;
    for (rocksdb::IngestExternalFileArg& arg : adjusted) arg.options.write_global_seqno = false;
    return db_->IngestExternalFiles(adjusted);
  }
};

}  // namespace

std::unique_ptr<rocksdb::DB> NewLeaderDB(rocksdb::DB* db) { return std::make_unique<LeaderDB>(db); }

}  // namespace slipstream
