#include "lib/follower/follower_db.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/follower/follower_db_impl.h"
#include "lib/follower/follower_iterator.h"

namespace slipstream {

using rocksdb::PinnableSlice;
using rocksdb::PinnableWideColumns;
using rocksdb::ReadOptions;

namespace {

// What GetEntity would find, if it is one value without a name. RocksDB 7.8 crashes in GetEntity on
// merge operands without a base value (Version::Get has no string for the result), and returns the
// place of a blob for its value; its iterators do neither.
rocksdb::Status GetPlainEntity(rocksdb::DB* db, const ReadOptions& options,
                               rocksdb::ColumnFamilyHandle* handle, const rocksdb::Slice& key,
                               PinnableWideColumns* columns, bool* found) {
  ReadOptions exact = options;
  exact.total_order_seek = true;
  exact.prefix_same_as_start = false;
  exact.iterate_lower_bound = nullptr;
  exact.iterate_upper_bound = nullptr;
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(exact, handle));
  it->Seek(key);
  *found = it->Valid() && handle->GetComparator()->Equal(it->key(), key) &&
           it->columns().size() == 1 && it->columns()[0].name().empty();
  if (*found) columns->SetPlainValue(it->value());
  return it->status();
}

}  // namespace

rocksdb::Status FollowerDB::DestroyColumnFamilyHandle(ColumnFamilyHandle* column_family) {
  if (column_family == default_column_family_) {
    return Status::InvalidArgument(
        "DestroyColumnFamilyHandle: found the handle that DefaultColumnFamily() returns");
  }
  const FollowerColumnFamilyHandle* ours = FollowerRead::Ours(slots_, column_family);
  if (ours == nullptr) {
    return Status::InvalidArgument("DestroyColumnFamilyHandle: not a handle of this database");
  }
  if (ours->owner() == FollowerColumnFamilyHandle::Owner::kHost) delete ours;
  return Status::OK();
}

rocksdb::Status FollowerDB::Get(const ReadOptions& options, ColumnFamilyHandle* column_family,
                                const Slice& key, PinnableSlice* value, std::string* timestamp) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  Status s = Begin(options, column_family, &read, &handle);
  if (!s.ok()) return s;
  s = read.db()->Get(read.options(), handle, key, value, timestamp);
  if (value->IsPinned()) HoldGeneration(read.Take(), value);
  return s;
}

rocksdb::Status FollowerDB::GetEntity(const ReadOptions& options, ColumnFamilyHandle* column_family,
                                      const Slice& key, PinnableWideColumns* columns) {
  if (columns == nullptr) return Status::InvalidArgument("GetEntity: columns is nullptr");
  columns->Reset();
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  Status s = Begin(options, column_family, &read, &handle);
  if (!s.ok()) return s;
  if (read.has_blobs() || FollowerRead::Ours(slots_, column_family)->merges()) {
    bool found_plain = false;
    s = read.PrepareIterator(slots_, column_family);
    if (!s.ok()) return s;
    s = GetPlainEntity(read.db(), read.options(), handle, key, columns, &found_plain);
    if (!s.ok() || found_plain) return s;
  }
  PinnableWideColumns found;
  s = read.db()->GetEntity(read.options(), handle, key, &found);
  if (s.ok()) s = CopyEntity(found, columns);
  return s;
}

rocksdb::Status FollowerDB::GetMergeOperands(
    const ReadOptions& options, ColumnFamilyHandle* column_family, const Slice& key,
    PinnableSlice* merge_operands, rocksdb::GetMergeOperandsOptions* get_merge_operands_options,
    int* number_of_operands) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  Status s = Begin(options, column_family, &read, &handle);
  if (!s.ok()) return s;
  s = read.db()->GetMergeOperands(read.options(), handle, key, merge_operands,
                                  get_merge_operands_options, number_of_operands);
  if (s.ok()) HoldGenerations(read, merge_operands, static_cast<size_t>(*number_of_operands));
  return s;
}

bool FollowerDB::KeyMayExist(const ReadOptions& options, ColumnFamilyHandle* column_family,
                             const Slice& key, std::string* value, std::string* timestamp,
                             bool* value_found) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  if (!Begin(options, column_family, &read, &handle).ok()) {
    // Nothing is known of the key, so it may exist.
    if (value_found != nullptr) *value_found = false;
    return true;
  }
  return read.db()->KeyMayExist(read.options(), handle, key, value, timestamp, value_found);
}

// Begins a read of several column families. On failure every status is set: as in RocksDB, one that
// cannot be read keeps all from being read.
bool FollowerDB::BeginMany(const ReadOptions& options, size_t n, ColumnFamilyHandle* const* hosts,
                           FollowerRead* read, std::vector<ColumnFamilyHandle*>* handles,
                           Status* statuses) const {
  if (Status s = read->Begin(generations_, options); !s.ok()) {
    std::fill(statuses, statuses + n, s);
    return false;
  }
  handles->resize(n);
  bool ok = true;
  for (size_t i = 0; i < n; ++i) {
    statuses[i] = read->Find(slots_, hosts[i], &(*handles)[i]);
    ok = ok && statuses[i].ok();
  }
  if (!ok) {
    std::replace_if(
        statuses, statuses + n, [](const Status& s) { return s.ok(); },
        Status::Incomplete("not read, as another column family of the call cannot be read"));
  }
  return ok;
}

void FollowerDB::MultiGet(const ReadOptions& options, size_t n,
                          ColumnFamilyHandle** column_families, const Slice* keys,
                          PinnableSlice* values, std::string* timestamps, Status* statuses,
                          bool sorted_input) {
  FollowerRead read;
  std::vector<ColumnFamilyHandle*> handles;
  if (!BeginMany(options, n, column_families, &read, &handles, statuses)) return;
  read.db()->MultiGet(read.options(), n, handles.data(), keys, values, timestamps, statuses,
                      sorted_input);
  HoldGenerations(read, values, n);
}

rocksdb::Status FollowerDB::FindMany(const FollowerRead& read,
                                     const std::vector<ColumnFamilyHandle*>& hosts,
                                     std::vector<ColumnFamilyHandle*>* handles) const {
  Status s;
  handles->resize(hosts.size());
  for (size_t i = 0; s.ok() && i < hosts.size(); ++i) {
    s = read.Find(slots_, hosts[i], &(*handles)[i]);
  }
  return s;
}

rocksdb::Iterator* FollowerDB::NewIterator(const ReadOptions& options,
                                           ColumnFamilyHandle* column_family) {
  if (options.tailing) return rocksdb::NewErrorIterator(TailingIsRefused());
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  Status s = Begin(options, column_family, &read, &handle);
  if (s.ok()) s = read.PrepareIterator(slots_, column_family);
  if (!s.ok()) return rocksdb::NewErrorIterator(s);
  std::unique_ptr<rocksdb::Iterator> inner(read.db()->NewIterator(read.options(), handle));
  return new FollowerIterator(generations_, *FollowerRead::Ours(slots_, column_family),
                              read.options(), read.Take(), std::move(inner));
}

rocksdb::Status FollowerDB::NewIterators(const ReadOptions& options,
                                         const std::vector<ColumnFamilyHandle*>& column_families,
                                         std::vector<rocksdb::Iterator*>* iterators) {
  iterators->clear();
  if (options.tailing) return TailingIsRefused();
  FollowerRead read;
  Status s = read.Begin(generations_, options);
  std::vector<ColumnFamilyHandle*> handles;
  if (s.ok()) s = FindMany(read, column_families, &handles);
  for (size_t i = 0; s.ok() && i < handles.size(); ++i) {
    s = read.PrepareIterator(slots_, column_families[i]);
  }
  if (!s.ok()) return s;
  std::vector<rocksdb::Iterator*> inner;
  s = read.db()->NewIterators(read.options(), handles, &inner);
  if (!s.ok()) return s;
  iterators->reserve(inner.size());
  for (size_t i = 0; i < inner.size(); ++i) {
    iterators->push_back(new FollowerIterator(
        generations_, *FollowerRead::Ours(slots_, column_families[i]), read.options(), read.Share(),
        std::unique_ptr<rocksdb::Iterator>(inner[i])));
  }
  return s;
}

const rocksdb::Snapshot* FollowerDB::GetSnapshot() {
  FollowerRead read;
  if (!read.Begin(generations_).ok()) return nullptr;
  return snapshots_.New(generations_, read.Take());
}

void FollowerDB::ReleaseSnapshot(const rocksdb::Snapshot* snapshot) {
  snapshots_.Release(snapshot);
}

std::unique_ptr<rocksdb::DB> NewFollowerDB(std::string name, GenerationSet* generations,
                                           FollowerColumnFamilyHandle* default_column_family,
                                           rocksdb::Env* env) {
  return std::make_unique<FollowerDB>(std::move(name), generations, default_column_family,
                                      env != nullptr ? env : rocksdb::Env::Default());
}

}  // namespace slipstream
