#include "lib/leader/leader_db.h"

#include <utility>
#include <vector>

#include "lib/core/rocksdb_release.h"
#include "lib/leader/replicable_options.h"
#include "rocksdb/metadata.h"
#include "rocksdb/utilities/stackable_db.h"
#include "rocksdb/write_batch.h"

namespace slipstream {
namespace {

using rocksdb::ColumnFamilyDescriptor;
using rocksdb::ColumnFamilyHandle;
using rocksdb::ColumnFamilyOptions;
using rocksdb::Slice;
using rocksdb::Status;
using rocksdb::WriteOptions;

class LeaderDB : public rocksdb::StackableDB {
 public:
  LeaderDB(rocksdb::DB* db, LeaderDBParts parts) : StackableDB(db), parts_(std::move(parts)) {}

  using StackableDB::Put;
  Status Put(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key,
             const Slice& value) override {
    return DoWrite(options, [&] { return db_->Put(options, cf, key, value); });
  }
  Status Put(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key, const Slice& ts,
             const Slice& value) override {
    return DoWrite(options, [&] { return db_->Put(options, cf, key, ts, value); });
  }
  using StackableDB::PutEntity;
  Status PutEntity(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key,
                   const rocksdb::WideColumns& columns) override {
    return DoWrite(options, [&] { return db_->PutEntity(options, cf, key, columns); });
  }
  using StackableDB::Delete;
  Status Delete(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key) override {
    return DoWrite(options, [&] { return db_->Delete(options, cf, key); });
  }
  Status Delete(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key,
                const Slice& ts) override {
    return DoWrite(options, [&] { return db_->Delete(options, cf, key, ts); });
  }
  using StackableDB::SingleDelete;
  Status SingleDelete(const WriteOptions& options, ColumnFamilyHandle* cf,
                      const Slice& key) override {
    return DoWrite(options, [&] { return db_->SingleDelete(options, cf, key); });
  }
  Status SingleDelete(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key,
                      const Slice& ts) override {
    return DoWrite(options, [&] { return db_->SingleDelete(options, cf, key, ts); });
  }
  using StackableDB::DeleteRange;
  Status DeleteRange(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& begin,
                     const Slice& end) override {
    return DoWrite(options, [&] { return db_->DeleteRange(options, cf, begin, end); });
  }
  Status DeleteRange(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& begin,
                     const Slice& end, const Slice& ts) override {
    return DoWrite(options, [&] { return db_->DeleteRange(options, cf, begin, end, ts); });
  }
  using StackableDB::Merge;
  Status Merge(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key,
               const Slice& value) override {
    return DoWrite(options, [&] { return db_->Merge(options, cf, key, value); });
  }
  Status Write(const WriteOptions& options, rocksdb::WriteBatch* updates) override {
    return DoWrite(options, [&] { return db_->Write(options, updates); });
  }

  Status CreateColumnFamily(const ColumnFamilyOptions& options, const std::string& name,
                            ColumnFamilyHandle** handle) override {
    *handle = nullptr;
    std::vector<ColumnFamilyDescriptor> adjusted = {{name, options}};
    Status s = Adjust(&adjusted);
    if (!s.ok()) return s;
    return DoBarrier([&] { return db_->CreateColumnFamily(adjusted[0].options, name, handle); });
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
    handles->clear();
    std::vector<ColumnFamilyDescriptor> adjusted = families;
    Status s = Adjust(&adjusted);
    if (!s.ok()) return s;
    return DoBarrier([&] { return db_->CreateColumnFamilies(adjusted, handles); });
  }
  using StackableDB::CreateColumnFamilyWithImport;
  Status CreateColumnFamilyWithImport(const ColumnFamilyOptions& options, const std::string& name,
                                      const rocksdb::ImportColumnFamilyOptions& import_options,
                                      const rocksdb::ExportImportFilesMetaData& metadata,
                                      ColumnFamilyHandle** handle) override {
    *handle = nullptr;
    std::vector<ColumnFamilyDescriptor> adjusted = {{name, options}};
    Status s = Adjust(&adjusted);
    if (!s.ok()) return s;
    return DoBarrier([&] {
      Status imported = db_->CreateColumnFamilyWithImport(adjusted[0].options, name, import_options,
                                                          metadata, handle);
      if (!imported.ok()) return imported;
      // The imported files bring sequence numbers of their own, and RocksDB raises its last one to
      // theirs in memory alone: neither a WAL record nor the manifest says so. A record without
      // entries says it, to followers and to a recovery. The column family is there; should the
      // record fail, it shows on followers with the next one.
      rocksdb::WriteBatch nothing;
      nothing.PutLogData("slipstream: import").PermitUncheckedError();
      db_->Write(WriteOptions(), &nothing).PermitUncheckedError();
      return imported;
    });
  }
  Status DropColumnFamily(ColumnFamilyHandle* cf) override {
    return DoBarrier([&] { return db_->DropColumnFamily(cf); });
  }
  Status DropColumnFamilies(const std::vector<ColumnFamilyHandle*>& families) override {
    return DoBarrier([&] { return db_->DropColumnFamilies(families); });
  }

#if SLIPSTREAM_ROCKSDB_9
  Status Merge(const WriteOptions& options, ColumnFamilyHandle* cf, const Slice& key,
               const Slice& ts, const Slice& value) override {
    return DoWrite(options, [&] { return db_->Merge(options, cf, key, ts, value); });
  }
  Status PutEntity(const WriteOptions& options, const Slice& key,
                   const rocksdb::AttributeGroups& groups) override {
    return DoWrite(options, [&] { return db_->PutEntity(options, key, groups); });
  }
  // A StackableDB does not pass this one on.
  Status WriteWithCallback(const WriteOptions& options, rocksdb::WriteBatch* updates,
                           rocksdb::UserWriteCallback* callback) override {
    return DoWrite(options, [&] { return db_->WriteWithCallback(options, updates, callback); });
  }
#endif

  using StackableDB::IngestExternalFile;
  Status IngestExternalFile(ColumnFamilyHandle* cf, const std::vector<std::string>& files,
                            const rocksdb::IngestExternalFileOptions& options) override {
    rocksdb::IngestExternalFileOptions adjusted = options;
    adjusted.write_global_seqno = false;  // objects are immutable
    return DoBarrier([&] { return db_->IngestExternalFile(cf, files, adjusted); });
  }
  using StackableDB::IngestExternalFiles;
  Status IngestExternalFiles(const std::vector<rocksdb::IngestExternalFileArg>& args) override {
    std::vector<rocksdb::IngestExternalFileArg> adjusted = args;
    for (rocksdb::IngestExternalFileArg& arg : adjusted) arg.options.write_global_seqno = false;
    return DoBarrier([&] { return db_->IngestExternalFiles(adjusted); });
  }

  Status DeleteFile(std::string name) override {
    return DoBarrier([&] { return db_->DeleteFile(std::move(name)); });
  }
  Status IncreaseFullHistoryTsLow(ColumnFamilyHandle* cf, std::string ts_low) override {
    return DoBarrier([&] { return db_->IncreaseFullHistoryTsLow(cf, std::move(ts_low)); });
  }

  // StackableDB does not pass these on; without the first a host could not recover from a full
  // disk.
  Status Resume() override { return db_->Resume(); }
  void GetAllColumnFamilyMetaData(std::vector<rocksdb::ColumnFamilyMetaData>* metadata) override {
    db_->GetAllColumnFamilyMetaData(metadata);
  }
  Status GetStatsHistory(uint64_t start_time, uint64_t end_time,
                         std::unique_ptr<rocksdb::StatsHistoryIterator>* iterator) override {
    return db_->GetStatsHistory(start_time, end_time, iterator);
  }

 private:
  // Checks the options of column families that are to be created, and sets the leader's memtable.
  Status Adjust(std::vector<ColumnFamilyDescriptor>* families) const {
    for (const ColumnFamilyDescriptor& family : *families) {
      Status s = CheckReplicable(family.name, family.options, parts_.path);
      if (!s.ok()) return s;
    }
    return parts_.replay_memtable ? SetReplayMemTable(families) : Status::OK();
  }

  // What a fenced leader writes, no follower will see.
  Status CheckLeading() const {
    return parts_.fence->fenced() ? parts_.fence->status() : Status::OK();
  }

  template <typename Call>
  Status DoWrite(const WriteOptions& options, Call call) {
    if (options.disableWAL) {
      return Status::InvalidArgument(
          "slipstream: WriteOptions::disableWAL = true: followers would never see this write; set "
          "it to false");
    }
    Status s = CheckLeading();
    if (!s.ok() || parts_.gate == nullptr) return s.ok() ? call() : s;
    parts_.gate->BeginWrite();
    s = call();
    parts_.gate->EndWrite();
    return s;
  }

  template <typename Call>
  Status DoBarrier(Call call) {
    Status s = CheckLeading();
    if (!s.ok() || parts_.gate == nullptr) return s.ok() ? call() : s;
    parts_.gate->BeginBarrier();
    s = db_->FlushWAL(/*sync=*/false);
    if (s.ok()) s = call();
    parts_.gate->EndBarrier();
    return s;
  }

  const LeaderDBParts parts_;
};

}  // namespace

std::unique_ptr<rocksdb::DB> NewLeaderDB(rocksdb::DB* db, LeaderDBParts parts) {
  return std::make_unique<LeaderDB>(db, std::move(parts));
}

}  // namespace slipstream
