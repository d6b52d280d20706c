// Get and MultiGet as RocksDB 7.8 leaves them to us. In 9.10 they are final, and call the widest of
// their overloads.
#include "lib/core/rocksdb_release.h"

#if !SLIPSTREAM_ROCKSDB_9

#include <algorithm>
#include <string>
#include <vector>

#include "lib/follower/follower_db_impl.h"

namespace slipstream {

using rocksdb::PinnableSlice;
using rocksdb::ReadOptions;

rocksdb::Status FollowerDB::Get(const ReadOptions& options, ColumnFamilyHandle* column_family,
                                const Slice& key, PinnableSlice* value) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  Status s = Begin(options, column_family, &read, &handle);
  if (!s.ok()) return s;
  s = read.db()->Get(read.options(), handle, key, value);
  if (value->IsPinned()) HoldGeneration(read.Take(), value);
  return s;
}

rocksdb::Status FollowerDB::Get(const ReadOptions& options, ColumnFamilyHandle* column_family,
                                const Slice& key, std::string* value) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  Status s = Begin(options, column_family, &read, &handle);
  if (!s.ok()) return s;
  return read.db()->Get(read.options(), handle, key, value);
}

rocksdb::Status FollowerDB::Get(const ReadOptions& options, ColumnFamilyHandle* column_family,
                                const Slice& key, std::string* value, std::string* timestamp) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  Status s = Begin(options, column_family, &read, &handle);
  if (!s.ok()) return s;
  return read.db()->Get(read.options(), handle, key, value, timestamp);
}

std::vector<rocksdb::Status> FollowerDB::MultiGet(
    const ReadOptions& options, const std::vector<ColumnFamilyHandle*>& column_families,
    const std::vector<Slice>& keys, std::vector<std::string>* values) {
  return MultiGet(options, column_families, keys, values, nullptr);
}

std::vector<rocksdb::Status> FollowerDB::MultiGet(
    const ReadOptions& options, const std::vector<ColumnFamilyHandle*>& column_families,
    const std::vector<Slice>& keys, std::vector<std::string>* values,
    std::vector<std::string>* timestamps) {
  const size_t n = keys.size();
  values->resize(n);
  if (timestamps != nullptr) timestamps->resize(n);
  if (column_families.size() != n) {
    return std::vector<Status>(n,
                               Status::InvalidArgument("MultiGet: expected " + std::to_string(n) +
                                                       " column families, as many as keys, found " +
                                                       std::to_string(column_families.size())));
  }
  FollowerRead read;
  std::vector<ColumnFamilyHandle*> handles;
  std::vector<Status> statuses(n);
  if (!BeginMany(options, n, column_families.data(), &read, &handles, statuses.data())) {
    return statuses;
  }
  return read.db()->MultiGet(read.options(), handles, keys, values, timestamps);
}

void FollowerDB::MultiGet(const ReadOptions& options, ColumnFamilyHandle* column_family, size_t n,
                          const Slice* keys, PinnableSlice* values, Status* statuses,
                          bool sorted_input) {
  MultiGet(options, column_family, n, keys, values, nullptr, statuses, sorted_input);
}

void FollowerDB::MultiGet(const ReadOptions& options, ColumnFamilyHandle* column_family, size_t n,
                          const Slice* keys, PinnableSlice* values, std::string* timestamps,
                          Status* statuses, bool sorted_input) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  if (Status s = Begin(options, column_family, &read, &handle); !s.ok()) {
    std::fill(statuses, statuses + n, s);
    return;
  }
  read.db()->MultiGet(read.options(), handle, n, keys, values, timestamps, statuses, sorted_input);
  HoldGenerations(read, values, n);
}

void FollowerDB::MultiGet(const ReadOptions& options, size_t n,
                          ColumnFamilyHandle** column_families, const Slice* keys,
                          PinnableSlice* values, Status* statuses, bool sorted_input) {
  MultiGet(options, n, column_families, keys, values, nullptr, statuses, sorted_input);
}

}  // namespace slipstream

#endif
