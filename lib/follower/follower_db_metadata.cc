// What FollowerDB tells of the current generation, rather than of the data in it.
#include <string>

#include "lib/follower/follower_db_impl.h"
#include "lib/follower/generation_options.h"
#include "rocksdb/merge_operator.h"

namespace slipstream {

using rocksdb::Range;
using rocksdb::ReadOptions;

bool FollowerDB::GetProperty(ColumnFamilyHandle* column_family, const Slice& property,
                             std::string* value) {
  if (uint64_t number = 0; snapshots_.Property(property, &number)) {
    *value = std::to_string(number);
    return true;
  }
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  return Begin(column_family, &read, &handle).ok() &&
         read.db()->GetProperty(handle, property, value);
}

bool FollowerDB::GetMapProperty(ColumnFamilyHandle* column_family, const Slice& property,
                                std::map<std::string, std::string>* value) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  return Begin(column_family, &read, &handle).ok() &&
         read.db()->GetMapProperty(handle, property, value);
}

bool FollowerDB::GetIntProperty(ColumnFamilyHandle* column_family, const Slice& property,
                                uint64_t* value) {
  if (snapshots_.Property(property, value)) return true;
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  return Begin(column_family, &read, &handle).ok() &&
         read.db()->GetIntProperty(handle, property, value);
}

bool FollowerDB::GetAggregatedIntProperty(const Slice& property, uint64_t* value) {
  if (snapshots_.Property(property, value)) return true;
  FollowerRead read;
  return read.Begin(generations_).ok() && read.db()->GetAggregatedIntProperty(property, value);
}

rocksdb::Status FollowerDB::GetApproximateSizes(const rocksdb::SizeApproximationOptions& options,
                                                ColumnFamilyHandle* column_family,
                                                const Range* ranges, int n, uint64_t* sizes) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  Status s = Begin(column_family, &read, &handle);
  if (!s.ok()) return s;
  return read.db()->GetApproximateSizes(options, handle, ranges, n, sizes);
}

void FollowerDB::GetApproximateMemTableStats(ColumnFamilyHandle* column_family, const Range& range,
                                             uint64_t* count, uint64_t* size) {
  *count = 0;
  *size = 0;
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  if (!Begin(column_family, &read, &handle).ok()) return;
  read.db()->GetApproximateMemTableStats(handle, range, count, size);
}

int FollowerDB::NumberLevels(ColumnFamilyHandle* column_family) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  return Begin(column_family, &read, &handle).ok() ? read.db()->NumberLevels(handle) : 0;
}

int FollowerDB::MaxMemCompactionLevel(ColumnFamilyHandle* column_family) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  return Begin(column_family, &read, &handle).ok() ? read.db()->MaxMemCompactionLevel(handle) : 0;
}

int FollowerDB::Level0StopWriteTrigger(ColumnFamilyHandle* column_family) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  return Begin(column_family, &read, &handle).ok() ? read.db()->Level0StopWriteTrigger(handle) : 0;
}

// The environment, the log and the file manager of a generation end with it, but a host may keep
// options for longer, or open another database with them.
void FollowerDB::RemoveWhatEndsWithGeneration(rocksdb::DBOptions* options) const {
  options->env = env_;
  options->info_log.reset();
  options->sst_file_manager.reset();
}

rocksdb::Options FollowerDB::GetOptions(ColumnFamilyHandle* column_family) const {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  rocksdb::Options options;
  if (Begin(column_family, &read, &handle).ok()) {
    options = read.db()->GetOptions(handle);
    if (options.merge_operator != nullptr &&
        options.merge_operator->Name() == std::string(kNoMergeOperatorName)) {
      options.merge_operator = nullptr;
    }
  } else if (FollowerRead::Ours(slots_, column_family) != nullptr) {
    // The generation does not have it any more, but its handle tells what it was like.
    rocksdb::ColumnFamilyDescriptor descriptor;
    column_family->GetDescriptor(&descriptor).PermitUncheckedError();
    options = rocksdb::Options(GetDBOptions(), descriptor.options);
  }
  RemoveWhatEndsWithGeneration(&options);
  return options;
}

rocksdb::DBOptions FollowerDB::GetDBOptions() const {
  FollowerRead read;
  rocksdb::DBOptions options;
  if (read.Begin(generations_).ok()) options = read.db()->GetDBOptions();
  RemoveWhatEndsWithGeneration(&options);
  return options;
}

rocksdb::SequenceNumber FollowerDB::GetLatestSequenceNumber() const {
  FollowerRead read;
  return read.Begin(generations_).ok() ? read.db()->GetLatestSequenceNumber() : 0;
}

rocksdb::Status FollowerDB::GetFullHistoryTsLow(ColumnFamilyHandle* column_family,
                                                std::string* ts_low) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  Status s = Begin(column_family, &read, &handle);
  return s.ok() ? read.db()->GetFullHistoryTsLow(handle, ts_low) : s;
}

rocksdb::Status FollowerDB::GetDbIdentity(std::string& identity) const {
  FollowerRead read;
  Status s = read.Begin(generations_);
  return s.ok() ? read.db()->GetDbIdentity(identity) : s;
}

rocksdb::Status FollowerDB::GetDbSessionId(std::string& session_id) const {
  FollowerRead read;
  Status s = read.Begin(generations_);
  return s.ok() ? read.db()->GetDbSessionId(session_id) : s;
}

rocksdb::Status FollowerDB::GetCreationTimeOfOldestFile(uint64_t* creation_time) {
  FollowerRead read;
  Status s = read.Begin(generations_);
  return s.ok() ? read.db()->GetCreationTimeOfOldestFile(creation_time) : s;
}

void FollowerDB::GetLiveFilesMetaData(std::vector<rocksdb::LiveFileMetaData>* metadata) {
  FollowerRead read;
  if (read.Begin(generations_).ok()) read.db()->GetLiveFilesMetaData(metadata);
}

rocksdb::Status FollowerDB::GetLiveFilesChecksumInfo(rocksdb::FileChecksumList* checksum_list) {
  FollowerRead read;
  Status s = read.Begin(generations_);
  return s.ok() ? read.db()->GetLiveFilesChecksumInfo(checksum_list) : s;
}

void FollowerDB::GetColumnFamilyMetaData(ColumnFamilyHandle* column_family,
                                         rocksdb::ColumnFamilyMetaData* metadata) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  if (!Begin(column_family, &read, &handle).ok()) return;
  read.db()->GetColumnFamilyMetaData(handle, metadata);
}

void FollowerDB::GetAllColumnFamilyMetaData(std::vector<rocksdb::ColumnFamilyMetaData>* metadata) {
  FollowerRead read;
  if (read.Begin(generations_).ok()) read.db()->GetAllColumnFamilyMetaData(metadata);
}

rocksdb::Status FollowerDB::GetPropertiesOfAllTables(ColumnFamilyHandle* column_family,
                                                     rocksdb::TablePropertiesCollection* props) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  Status s = Begin(column_family, &read, &handle);
  return s.ok() ? read.db()->GetPropertiesOfAllTables(handle, props) : s;
}

rocksdb::Status FollowerDB::GetPropertiesOfTablesInRange(
    ColumnFamilyHandle* column_family, const Range* range, size_t n,
    rocksdb::TablePropertiesCollection* props) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  Status s = Begin(column_family, &read, &handle);
  return s.ok() ? read.db()->GetPropertiesOfTablesInRange(handle, range, n, props) : s;
}

rocksdb::Status FollowerDB::VerifyFileChecksums(const ReadOptions& options) {
  FollowerRead read;
  Status s = read.Begin(generations_, options);
  return s.ok() ? read.db()->VerifyFileChecksums(read.options()) : s;
}

rocksdb::Status FollowerDB::VerifyChecksum(const ReadOptions& options) {
  FollowerRead read;
  Status s = read.Begin(generations_, options);
  return s.ok() ? read.db()->VerifyChecksum(read.options()) : s;
}

}  // namespace slipstream
