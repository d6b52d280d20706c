// The type behind NewFollowerDB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/rocksdb_release.h"
#include "lib/follower/column_family_slots.h"
#include "lib/follower/follower_read.h"
#include "lib/follower/follower_snapshot.h"
#include "lib/follower/generation.h"
#include "lib/follower/write_refusing_db.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"

namespace slipstream {

// Sends every read to a generation: calls with a snapshot to that of the snapshot, all others to
// the one that is current when they start. What a host keeps after a call holds its generation.
//
// Threads: as rocksdb::DB.
class FollowerDB final : public WriteRefusingDB {
 public:
  FollowerDB(std::string name, GenerationSet* generations,
             FollowerColumnFamilyHandle* default_column_family, rocksdb::Env* env)
      : name_(std::move(name)),
        generations_(generations),
        default_column_family_(default_column_family),
        slots_(default_column_family->slots()),
        env_(env) {}

  using rocksdb::DB::Get;
  using rocksdb::DB::GetApproximateMemTableStats;
  using rocksdb::DB::GetApproximateSizes;
  using rocksdb::DB::GetColumnFamilyMetaData;
  using rocksdb::DB::GetIntProperty;
  using rocksdb::DB::GetMapProperty;
  using rocksdb::DB::GetOptions;
  using rocksdb::DB::GetPropertiesOfAllTables;
  using rocksdb::DB::GetProperty;
  using rocksdb::DB::KeyMayExist;
  using rocksdb::DB::Level0StopWriteTrigger;
  using rocksdb::DB::MaxMemCompactionLevel;
  using rocksdb::DB::MultiGet;
  using rocksdb::DB::NewIterator;
  using rocksdb::DB::NumberLevels;
  using rocksdb::DB::VerifyChecksum;

  // There is nothing to close: generations belong to the follower.
  Status Close() override { return Status::OK(); }
  rocksdb::DB* GetRootDB() override { return this; }
  const std::string& GetName() const override { return name_; }
  rocksdb::Env* GetEnv() const override { return env_; }
  rocksdb::FileSystem* GetFileSystem() const override { return env_->GetFileSystem().get(); }
  ColumnFamilyHandle* DefaultColumnFamily() const override { return default_column_family_; }
  Status DestroyColumnFamilyHandle(ColumnFamilyHandle* column_family) override;

  // Single keys.
  Status Get(const rocksdb::ReadOptions&, ColumnFamilyHandle*, const Slice& key,
             rocksdb::PinnableSlice*, std::string* timestamp) override;
  Status GetEntity(const rocksdb::ReadOptions&, ColumnFamilyHandle*, const Slice& key,
                   rocksdb::PinnableWideColumns*) override;
  Status GetMergeOperands(const rocksdb::ReadOptions&, ColumnFamilyHandle*, const Slice& key,
                          rocksdb::PinnableSlice*, rocksdb::GetMergeOperandsOptions*,
                          int* number_of_operands) override;
  bool KeyMayExist(const rocksdb::ReadOptions&, ColumnFamilyHandle*, const Slice& key,
                   std::string* value, std::string* timestamp, bool* value_found) override;

  // Many keys, all of one generation.
  void MultiGet(const rocksdb::ReadOptions&, size_t n, ColumnFamilyHandle**, const Slice* keys,
                rocksdb::PinnableSlice* values, std::string* timestamps, Status*,
                bool sorted_input) override;

#if !SLIPSTREAM_ROCKSDB_9
  // The other overloads of both.
  Status Get(const rocksdb::ReadOptions&, ColumnFamilyHandle*, const Slice& key,
             rocksdb::PinnableSlice*) override;
  Status Get(const rocksdb::ReadOptions&, ColumnFamilyHandle*, const Slice& key,
             std::string*) override;
  Status Get(const rocksdb::ReadOptions&, ColumnFamilyHandle*, const Slice& key, std::string*,
             std::string* timestamp) override;
  std::vector<Status> MultiGet(const rocksdb::ReadOptions&, const std::vector<ColumnFamilyHandle*>&,
                               const std::vector<Slice>& keys, std::vector<std::string>*) override;
  std::vector<Status> MultiGet(const rocksdb::ReadOptions&, const std::vector<ColumnFamilyHandle*>&,
                               const std::vector<Slice>& keys, std::vector<std::string>*,
                               std::vector<std::string>* timestamps) override;
  void MultiGet(const rocksdb::ReadOptions&, ColumnFamilyHandle*, size_t n, const Slice* keys,
                rocksdb::PinnableSlice* values, Status*, bool sorted_input) override;
  void MultiGet(const rocksdb::ReadOptions&, ColumnFamilyHandle*, size_t n, const Slice* keys,
                rocksdb::PinnableSlice* values, std::string* timestamps, Status*,
                bool sorted_input) override;
  void MultiGet(const rocksdb::ReadOptions&, size_t n, ColumnFamilyHandle**, const Slice* keys,
                rocksdb::PinnableSlice* values, Status*, bool sorted_input) override;
#endif

  // Iterators and snapshots.
  rocksdb::Iterator* NewIterator(const rocksdb::ReadOptions&, ColumnFamilyHandle*) override;
  Status NewIterators(const rocksdb::ReadOptions&, const std::vector<ColumnFamilyHandle*>&,
                      std::vector<rocksdb::Iterator*>*) override;
  const rocksdb::Snapshot* GetSnapshot() override;
  void ReleaseSnapshot(const rocksdb::Snapshot*) override;

#if SLIPSTREAM_ROCKSDB_9
  // Wide columns over several column families.
  using rocksdb::DB::GetEntity;
  using rocksdb::DB::MultiGetEntity;
  Status GetEntity(const rocksdb::ReadOptions&, const Slice& key,
                   rocksdb::PinnableAttributeGroups*) override;
  void MultiGetEntity(const rocksdb::ReadOptions&, ColumnFamilyHandle*, size_t n, const Slice* keys,
                      rocksdb::PinnableWideColumns*, Status*, bool sorted_input) override;
  void MultiGetEntity(const rocksdb::ReadOptions&, size_t n, ColumnFamilyHandle**,
                      const Slice* keys, rocksdb::PinnableWideColumns*, Status*,
                      bool sorted_input) override;
  void MultiGetEntity(const rocksdb::ReadOptions&, size_t n, const Slice* keys,
                      rocksdb::PinnableAttributeGroups*) override;
  std::unique_ptr<rocksdb::Iterator> NewCoalescingIterator(
      const rocksdb::ReadOptions&, const std::vector<ColumnFamilyHandle*>&) override;
  std::unique_ptr<rocksdb::AttributeGroupIterator> NewAttributeGroupIterator(
      const rocksdb::ReadOptions&, const std::vector<ColumnFamilyHandle*>&) override;
#endif

  // What is known of the current generation.
  bool GetProperty(ColumnFamilyHandle*, const Slice& property, std::string*) override;
  bool GetMapProperty(ColumnFamilyHandle*, const Slice& property,
                      std::map<std::string, std::string>*) override;
  bool GetIntProperty(ColumnFamilyHandle*, const Slice& property, uint64_t*) override;
  bool GetAggregatedIntProperty(const Slice& property, uint64_t*) override;
  Status GetApproximateSizes(const rocksdb::SizeApproximationOptions&, ColumnFamilyHandle*,
                             const rocksdb::Range*, int n, uint64_t* sizes) override;
  void GetApproximateMemTableStats(ColumnFamilyHandle*, const rocksdb::Range&, uint64_t* count,
                                   uint64_t* size) override;
  int NumberLevels(ColumnFamilyHandle*) override;
  int MaxMemCompactionLevel(ColumnFamilyHandle*) override;
  int Level0StopWriteTrigger(ColumnFamilyHandle*) override;
  rocksdb::Options GetOptions(ColumnFamilyHandle*) const override;
  rocksdb::DBOptions GetDBOptions() const override;
  rocksdb::SequenceNumber GetLatestSequenceNumber() const override;
  Status GetFullHistoryTsLow(ColumnFamilyHandle*, std::string* ts_low) override;
  Status GetDbIdentity(std::string& identity) const override;
  Status GetDbSessionId(std::string& session_id) const override;

  // What is known of its tables.
  Status GetCreationTimeOfOldestFile(uint64_t* creation_time) override;
  void GetLiveFilesMetaData(std::vector<rocksdb::LiveFileMetaData>*) override;
  Status GetLiveFilesChecksumInfo(rocksdb::FileChecksumList*) override;
  void GetColumnFamilyMetaData(ColumnFamilyHandle*, rocksdb::ColumnFamilyMetaData*) override;
  void GetAllColumnFamilyMetaData(std::vector<rocksdb::ColumnFamilyMetaData>*) override;
  Status GetPropertiesOfAllTables(ColumnFamilyHandle*,
                                  rocksdb::TablePropertiesCollection*) override;
  Status GetPropertiesOfTablesInRange(ColumnFamilyHandle*, const rocksdb::Range*, size_t n,
                                      rocksdb::TablePropertiesCollection*) override;
  Status VerifyFileChecksums(const rocksdb::ReadOptions&) override;
  Status VerifyChecksum(const rocksdb::ReadOptions&) override;

 private:
  Status Begin(const rocksdb::ReadOptions& options, const ColumnFamilyHandle* host,
               FollowerRead* read, ColumnFamilyHandle** handle) const {
    Status s = read->Begin(generations_, options);
    if (s.ok()) s = read->Find(slots_, host, handle);
    return s;
  }
  Status Begin(const ColumnFamilyHandle* host, FollowerRead* read,
               ColumnFamilyHandle** handle) const {
    Status s = read->Begin(generations_);
    if (s.ok()) s = read->Find(slots_, host, handle);
    return s;
  }
  bool BeginMany(const rocksdb::ReadOptions&, size_t n, ColumnFamilyHandle* const* hosts,
                 FollowerRead*, std::vector<ColumnFamilyHandle*>* handles, Status* statuses) const;
  Status FindMany(const FollowerRead&, const std::vector<ColumnFamilyHandle*>& hosts,
                  std::vector<ColumnFamilyHandle*>* handles) const;
#if SLIPSTREAM_ROCKSDB_9
  Status ReadGroups(const rocksdb::ReadOptions&, size_t n, const Slice* keys,
                    rocksdb::PinnableAttributeGroups*);
#endif
  void RemoveWhatEndsWithGeneration(rocksdb::DBOptions* options) const;

  const std::string name_;
  GenerationSet* const generations_;
  FollowerColumnFamilyHandle* const default_column_family_;
  const ColumnFamilySlots* const slots_;
  rocksdb::Env* const env_;
  FollowerSnapshots snapshots_;
};

}  // namespace slipstream
