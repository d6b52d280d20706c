#include "lib/leader/leader_db.h"

#include "lib/leader/replicable_options.h"
#include "rocksdb/utilities/stackable_db.h"

namespace slipstream {
namespace {

using rocksdb::ColumnFamilyDescriptor;
using rocksdb::ColumnFamilyHandle;
using rocksdb::ColumnFamilyOptions;
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
  LeaderDB(rocksdb::DB* db, bool replay_memtable)
      : StackableDB(db), replay_memtable_(replay_memtable) {}

  Status CreateColumnFamily(const ColumnFamilyOptions& options, const std::string& name,
                            ColumnFamilyHandle** handle) override {
    std::vector<ColumnFamilyDescriptor> adjusted = {{name, options}};
    const Status s = Adjust(&adjusted);
    return s.ok() ? db_->CreateColumnFamily(adjusted[0].options, name, handle) : s;
  }
  Status CreateColumnFamilies(const ColumnFamilyOptions& options,
                              const std::vector<std::string>& names,
                              std::vector<ColumnFamilyHandle*>* handles) override {
    std::vector<ColumnFamilyDescriptor> families;
    for (const std::string& name : names) families.emplace_back(name, options);
    return CreateColumnFamilies(families, handles);
  }
  Status CreateColumnFamilies(const std::vector<ColumnFamilyDescriptor>& families,
                              std::vector<ColumnFamilyHandle*>* handles) override {
    std::vector<ColumnFamilyDescriptor> adjusted = families;
    const Status s = Adjust(&adjusted);
    return s.ok() ? db_->CreateColumnFamilies(adjusted, handles) : s;
  }
  using StackableDB::CreateColumnFamilyWithImport;
  Status CreateColumnFamilyWithImport(const ColumnFamilyOptions& options, const std::string& name,
                                      const rocksdb::ImportColumnFamilyOptions& import_options,
                                      const rocksdb::ExportImportFilesMetaData& metadata,
                                      ColumnFamilyHandle** handle) override {
    std::vector<ColumnFamilyDescriptor> adjusted = {{name, options}};
    const Status s = Adjust(&adjusted);
    if (!s.ok()) return s;
    return db_->CreateColumnFamilyWithImport(adjusted[0].options, name, import_options, metadata,
                                             handle);
  }

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

 private:
  Status Adjust(std::vector<ColumnFamilyDescriptor>* families) const {
    return replay_memtable_ ? SetReplayMemTable(families) : Status::OK();
  }

  const bool replay_memtable_;
};

}  // namespace

std::unique_ptr<rocksdb::DB> NewLeaderDB(rocksdb::DB* db, bool replay_memtable) {
  return std::make_unique<LeaderDB>(db, replay_memtable);
}

}  // namespace slipstream
