// A rocksdb::DB that refuses every call that would change data, files or the way RocksDB runs.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/core/rocksdb_release.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/status.h"

namespace slipstream {

// Reads stay pure: a subclass defines them. It derives from rocksdb::DB rather than from
// StackableDB, so that there is no instance underneath to which a call that was forgotten here
// could go.
//
// Every refusal is NotSupported and names the call. Overloads without a column family come from
// rocksdb::DB, which calls the ones with it.
class WriteRefusingDB : public rocksdb::DB {
 public:
  using Status = rocksdb::Status;
  using Slice = rocksdb::Slice;
  using ColumnFamilyHandle = rocksdb::ColumnFamilyHandle;
  using WriteOptions = rocksdb::WriteOptions;
  using ColumnFamilyOptions = rocksdb::ColumnFamilyOptions;
  using OptionsMap = std::unordered_map<std::string, std::string>;

  using rocksdb::DB::CompactFiles;
  using rocksdb::DB::CompactRange;
  using rocksdb::DB::Delete;
  using rocksdb::DB::Flush;
  using rocksdb::DB::IngestExternalFile;
  using rocksdb::DB::Merge;
  using rocksdb::DB::Put;
  using rocksdb::DB::SetOptions;
  using rocksdb::DB::SingleDelete;

  // Data.

  Status Put(const WriteOptions&, ColumnFamilyHandle*, const Slice&, const Slice&) override {
    return Refused("Put");
  }
  Status Put(const WriteOptions&, ColumnFamilyHandle*, const Slice&, const Slice&,
             const Slice&) override {
    return Refused("Put");
  }
  Status PutEntity(const WriteOptions&, ColumnFamilyHandle*, const Slice&,
                   const rocksdb::WideColumns&) override {
    return Refused("PutEntity");
  }
  Status Delete(const WriteOptions&, ColumnFamilyHandle*, const Slice&) override {
    return Refused("Delete");
  }
  Status Delete(const WriteOptions&, ColumnFamilyHandle*, const Slice&, const Slice&) override {
    return Refused("Delete");
  }
  Status SingleDelete(const WriteOptions&, ColumnFamilyHandle*, const Slice&) override {
    return Refused("SingleDelete");
  }
  Status SingleDelete(const WriteOptions&, ColumnFamilyHandle*, const Slice&,
                      const Slice&) override {
    return Refused("SingleDelete");
  }
  Status DeleteRange(const WriteOptions&, ColumnFamilyHandle*, const Slice&,
                     const Slice&) override {
    return Refused("DeleteRange");
  }
  Status DeleteRange(const WriteOptions&, ColumnFamilyHandle*, const Slice&, const Slice&,
                     const Slice&) override {
    return Refused("DeleteRange");
  }
  Status Merge(const WriteOptions&, ColumnFamilyHandle*, const Slice&, const Slice&) override {
    return Refused("Merge");
  }
  Status Merge(const WriteOptions&, ColumnFamilyHandle*, const Slice&, const Slice&,
               const Slice&) override {
    return Refused("Merge");
  }
  Status Write(const WriteOptions&, rocksdb::WriteBatch*) override { return Refused("Write"); }

  // Column families. Out-parameters are emptied, as hosts delete what they find there.

  Status CreateColumnFamily(const ColumnFamilyOptions&, const std::string&,
                            ColumnFamilyHandle** handle) override {
    *handle = nullptr;
    return Refused("CreateColumnFamily", kOnLeader);
  }
  Status CreateColumnFamilies(const ColumnFamilyOptions&, const std::vector<std::string>&,
                              std::vector<ColumnFamilyHandle*>* handles) override {
    handles->clear();
    return Refused("CreateColumnFamilies", kOnLeader);
  }
  Status CreateColumnFamilies(const std::vector<rocksdb::ColumnFamilyDescriptor>&,
                              std::vector<ColumnFamilyHandle*>* handles) override {
    handles->clear();
    return Refused("CreateColumnFamilies", kOnLeader);
  }
  Status CreateColumnFamilyWithImport(const ColumnFamilyOptions&, const std::string&,
                                      const rocksdb::ImportColumnFamilyOptions&,
                                      const rocksdb::ExportImportFilesMetaData&,
                                      ColumnFamilyHandle** handle) override {
    *handle = nullptr;
    return Refused("CreateColumnFamilyWithImport", kOnLeader);
  }
  Status DropColumnFamily(ColumnFamilyHandle*) override {
    return Refused("DropColumnFamily", kOnLeader);
  }
  Status DropColumnFamilies(const std::vector<ColumnFamilyHandle*>&) override {
    return Refused("DropColumnFamilies", kOnLeader);
  }

  // Files that come and go.

  Status IngestExternalFile(ColumnFamilyHandle*, const std::vector<std::string>&,
                            const rocksdb::IngestExternalFileOptions&) override {
    return Refused("IngestExternalFile");
  }
  Status IngestExternalFiles(const std::vector<rocksdb::IngestExternalFileArg>&) override {
    return Refused("IngestExternalFiles");
  }
// rocksdb/db.h undefines the Windows macro of this name too.
#undef DeleteFile
  Status DeleteFile(std::string) override { return Refused("DeleteFile", kOnLeader); }
  Status Flush(const rocksdb::FlushOptions&, ColumnFamilyHandle*) override {
    return Refused("Flush", kOnLeader);
  }
  Status Flush(const rocksdb::FlushOptions&, const std::vector<ColumnFamilyHandle*>&) override {
    return Refused("Flush", kOnLeader);
  }
  Status FlushWAL(bool) override { return Refused("FlushWAL", kOnLeader); }
  Status SyncWAL() override { return Refused("SyncWAL", kOnLeader); }
  Status LockWAL() override { return Refused("LockWAL", kOnLeader); }
  Status UnlockWAL() override { return Refused("UnlockWAL", kOnLeader); }
  Status CompactRange(const rocksdb::CompactRangeOptions&, ColumnFamilyHandle*, const Slice*,
                      const Slice*) override {
    return Refused("CompactRange", kOnLeader);
  }
  Status CompactFiles(const rocksdb::CompactionOptions&, ColumnFamilyHandle*,
                      const std::vector<std::string>&, int, int, std::vector<std::string>*,
                      rocksdb::CompactionJobInfo*) override {
    return Refused("CompactFiles", kOnLeader);
  }
  Status SuggestCompactRange(ColumnFamilyHandle*, const Slice*, const Slice*) override {
    return Refused("SuggestCompactRange", kOnLeader);
  }
  Status PromoteL0(ColumnFamilyHandle*, int) override { return Refused("PromoteL0", kOnLeader); }
  Status IncreaseFullHistoryTsLow(ColumnFamilyHandle*, std::string) override {
    return Refused("IncreaseFullHistoryTsLow", kOnLeader);
  }

  // The way RocksDB runs. A setting made here would be gone with the next generation.

  Status SetOptions(ColumnFamilyHandle*, const OptionsMap&) override {
    return Refused("SetOptions", kOnLeader);
  }
  Status SetDBOptions(const OptionsMap&) override { return Refused("SetDBOptions", kOnLeader); }
  Status PauseBackgroundWork() override { return Refused("PauseBackgroundWork", kOnLeader); }
  Status ContinueBackgroundWork() override { return Refused("ContinueBackgroundWork", kOnLeader); }
  Status EnableAutoCompaction(const std::vector<ColumnFamilyHandle*>&) override {
    return Refused("EnableAutoCompaction", kOnLeader);
  }
  void DisableManualCompaction() override {}
  void EnableManualCompaction() override {}
  Status DisableFileDeletions() override { return Refused("DisableFileDeletions", kOnLeader); }
#if SLIPSTREAM_ROCKSDB_9
  Status EnableFileDeletions() override { return Refused("EnableFileDeletions", kOnLeader); }
#else
  Status EnableFileDeletions(bool) override { return Refused("EnableFileDeletions", kOnLeader); }
#endif
  Status Resume() override { return Refused("Resume", kOnLeader); }
  Status ResetStats() override { return Refused("ResetStats", kOnLeader); }
  Status TryCatchUpWithPrimary() override {
    return Refused("TryCatchUpWithPrimary", "it catches up by itself, see Follower::WaitFor");
  }

  // Names of files, which a host could open or copy only where the files are.

  Status GetLiveFiles(std::vector<std::string>&, uint64_t*, bool) override {
    return Refused("GetLiveFiles", kCopyLeader);
  }
  Status GetLiveFilesStorageInfo(const rocksdb::LiveFilesStorageInfoOptions&,
                                 std::vector<rocksdb::LiveFileStorageInfo>*) override {
    return Refused("GetLiveFilesStorageInfo", kCopyLeader);
  }
  Status GetSortedWalFiles(rocksdb::VectorLogPtr&) override {
    return Refused("GetSortedWalFiles", kCopyLeader);
  }
  Status GetCurrentWalFile(std::unique_ptr<rocksdb::LogFile>*) override {
    return Refused("GetCurrentWalFile", kCopyLeader);
  }
  Status GetUpdatesSince(rocksdb::SequenceNumber, std::unique_ptr<rocksdb::TransactionLogIterator>*,
                         const rocksdb::TransactionLogIterator::ReadOptions&) override {
    return Refused("GetUpdatesSince", "ask the leader");
  }

  // What would hold on to one generation, or end with it without a word.

  Status StartTrace(const rocksdb::TraceOptions&,
                    std::unique_ptr<rocksdb::TraceWriter>&&) override {
    return Refused("StartTrace", kNoTraces);
  }
  Status EndTrace() override { return Refused("EndTrace", kNoTraces); }
  Status StartIOTrace(const rocksdb::TraceOptions&,
                      std::unique_ptr<rocksdb::TraceWriter>&&) override {
    return Refused("StartIOTrace", kNoTraces);
  }
  Status EndIOTrace() override { return Refused("EndIOTrace", kNoTraces); }
  Status StartBlockCacheTrace(const rocksdb::TraceOptions&,
                              std::unique_ptr<rocksdb::TraceWriter>&&) override {
    return Refused("StartBlockCacheTrace", kNoTraces);
  }
  Status StartBlockCacheTrace(const rocksdb::BlockCacheTraceOptions&,
                              std::unique_ptr<rocksdb::BlockCacheTraceWriter>&&) override {
    return Refused("StartBlockCacheTrace", kNoTraces);
  }
  Status EndBlockCacheTrace() override { return Refused("EndBlockCacheTrace", kNoTraces); }
  Status NewDefaultReplayer(const std::vector<ColumnFamilyHandle*>&,
                            std::unique_ptr<rocksdb::TraceReader>&&,
                            std::unique_ptr<rocksdb::Replayer>*) override {
    return Refused("NewDefaultReplayer");
  }
  Status GetStatsHistory(uint64_t, uint64_t,
                         std::unique_ptr<rocksdb::StatsHistoryIterator>*) override {
    return Refused("GetStatsHistory", "it keeps no history of statistics");
  }

#if SLIPSTREAM_ROCKSDB_9
  // Of several of the kinds above, and new since RocksDB 7.8.

  using rocksdb::DB::ClipColumnFamily;
  using rocksdb::DB::CreateColumnFamilyWithImport;
  using rocksdb::DB::PutEntity;
  Status PutEntity(const WriteOptions&, const Slice&, const rocksdb::AttributeGroups&) override {
    return Refused("PutEntity");
  }
  Status WriteWithCallback(const WriteOptions&, rocksdb::WriteBatch*,
                           rocksdb::UserWriteCallback*) override {
    return Refused("WriteWithCallback");
  }
  Status CreateColumnFamilyWithImport(const ColumnFamilyOptions&, const std::string&,
                                      const rocksdb::ImportColumnFamilyOptions&,
                                      const std::vector<const rocksdb::ExportImportFilesMetaData*>&,
                                      ColumnFamilyHandle** handle) override {
    *handle = nullptr;
    return Refused("CreateColumnFamilyWithImport", kOnLeader);
  }
  Status ClipColumnFamily(ColumnFamilyHandle*, const Slice&, const Slice&) override {
    return Refused("ClipColumnFamily", kOnLeader);
  }
  Status WaitForCompact(const rocksdb::WaitForCompactOptions&) override {
    return Refused("WaitForCompact", kOnLeader);
  }
#endif

 private:
  static constexpr const char* kOnLeader = "do this on the leader";
  static constexpr const char* kCopyLeader = "its files are not its own, copy those of the leader";
  static constexpr const char* kNoTraces = "its reads go to changing instances, trace the leader";

  // "Put: this database is a follower; write to the leader"
  static Status Refused(const char* call, const char* advice = "write to the leader") {
    return Status::NotSupported(std::string(call) + ": this database is a follower; " + advice);
  }
};

}  // namespace slipstream
