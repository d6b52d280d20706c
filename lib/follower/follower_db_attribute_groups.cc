// Wide columns over several column families, which RocksDB has since 9.10.
#include "lib/core/rocksdb_release.h"

#if SLIPSTREAM_ROCKSDB_9

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "lib/follower/follower_db_impl.h"
#include "lib/follower/generation_iterator.h"
#include "rocksdb/attribute_groups.h"

namespace slipstream {

using rocksdb::ColumnFamilyHandle;
using rocksdb::PinnableAttributeGroups;
using rocksdb::PinnableWideColumns;
using rocksdb::ReadOptions;
using rocksdb::Slice;
using rocksdb::Status;

namespace {

// As in RocksDB, it stays where it was made: Refresh() is NotSupported.
class CoalescingIterator final : public GenerationIterator<rocksdb::Iterator> {
 public:
  using GenerationIterator::GenerationIterator;
  Slice value() const override { return inner()->value(); }
  const rocksdb::WideColumns& columns() const override { return inner()->columns(); }
  Slice timestamp() const override { return inner()->timestamp(); }
  Status GetProperty(std::string name, std::string* value) override {
    return inner()->GetProperty(std::move(name), value);
  }
};

// Shows the host's handles in place of the generation's.
class AttributeGroupIterator final : public GenerationIterator<rocksdb::AttributeGroupIterator> {
 public:
  // hosts, handles: the same column families in the same order.
  AttributeGroupIterator(GenerationRef generation,
                         std::unique_ptr<rocksdb::AttributeGroupIterator> inner,
                         std::vector<ColumnFamilyHandle*> hosts,
                         std::vector<ColumnFamilyHandle*> handles)
      : GenerationIterator(std::move(generation), std::move(inner)),
        hosts_(std::move(hosts)),
        handles_(std::move(handles)) {}

  const rocksdb::IteratorAttributeGroups& attribute_groups() const override {
    groups_.clear();
    for (const rocksdb::IteratorAttributeGroup& group : inner()->attribute_groups()) {
      const size_t i =
          std::find(handles_.begin(), handles_.end(), group.column_family()) - handles_.begin();
      groups_.emplace_back(hosts_[i], &group.columns());
    }
    return groups_;
  }

 private:
  const std::vector<ColumnFamilyHandle*> hosts_;
  const std::vector<ColumnFamilyHandle*> handles_;
  mutable rocksdb::IteratorAttributeGroups groups_;
};

class AttributeGroupErrorIterator final : public rocksdb::AttributeGroupIterator {
 public:
  explicit AttributeGroupErrorIterator(Status status) : status_(std::move(status)) {}
  bool Valid() const override { return false; }
  void SeekToFirst() override {}
  void SeekToLast() override {}
  void Seek(const Slice&) override {}
  void SeekForPrev(const Slice&) override {}
  void Next() override {}
  void Prev() override {}
  Slice key() const override { return Slice(); }
  Status status() const override { return status_; }
  const rocksdb::IteratorAttributeGroups& attribute_groups() const override {
    return rocksdb::kNoIteratorAttributeGroups;
  }

 private:
  const Status status_;
};

void CopyEntities(std::vector<PinnableWideColumns>* from, PinnableWideColumns* to,
                  Status* statuses) {
  for (size_t i = 0; i < from->size(); ++i) {
    to[i].Reset();
    if (statuses[i].ok()) statuses[i] = CopyEntity((*from)[i], &to[i]);
  }
}

}  // namespace

void FollowerDB::MultiGetEntity(const ReadOptions& options, ColumnFamilyHandle* column_family,
                                size_t n, const Slice* keys, PinnableWideColumns* results,
                                Status* statuses, bool sorted_input) {
  FollowerRead read;
  ColumnFamilyHandle* handle = nullptr;
  if (Status s = Begin(options, column_family, &read, &handle); !s.ok()) {
    std::fill(statuses, statuses + n, s);
    return;
  }
  std::vector<PinnableWideColumns> found(n);
  read.db()->MultiGetEntity(read.options(), handle, n, keys, found.data(), statuses, sorted_input);
  CopyEntities(&found, results, statuses);
}

void FollowerDB::MultiGetEntity(const ReadOptions& options, size_t n,
                                ColumnFamilyHandle** column_families, const Slice* keys,
                                PinnableWideColumns* results, Status* statuses, bool sorted_input) {
  FollowerRead read;
  std::vector<ColumnFamilyHandle*> handles;
  if (!BeginMany(options, n, column_families, &read, &handles, statuses)) return;
  std::vector<PinnableWideColumns> found(n);
  read.db()->MultiGetEntity(read.options(), n, handles.data(), keys, found.data(), statuses,
                            sorted_input);
  CopyEntities(&found, results, statuses);
}

Status FollowerDB::GetEntity(const ReadOptions& options, const Slice& key,
                             PinnableAttributeGroups* result) {
  if (result == nullptr) return Status::InvalidArgument("GetEntity: result is nullptr");
  ReadOptions many = options;
  if (many.io_activity == rocksdb::Env::IOActivity::kGetEntity) {
    many.io_activity = rocksdb::Env::IOActivity::kMultiGetEntity;
  }
  return ReadGroups(many, 1, &key, result);
}

void FollowerDB::MultiGetEntity(const ReadOptions& options, size_t n, const Slice* keys,
                                PinnableAttributeGroups* results) {
  // Each group has the status.
  ReadGroups(options, n, keys, results).PermitUncheckedError();
}

// One read for all groups of all keys, so that they show one state of the database. It fails as a
// whole if a column family cannot be read; every group then has that status.
Status FollowerDB::ReadGroups(const ReadOptions& options, size_t n, const Slice* keys,
                              PinnableAttributeGroups* results) {
  std::vector<ColumnFamilyHandle*> hosts;
  std::vector<Slice> key_of;
  for (size_t i = 0; i < n; ++i) {
    for (rocksdb::PinnableAttributeGroup& group : results[i]) {
      group.Reset();
      hosts.push_back(group.column_family());
      key_of.push_back(keys[i]);
    }
  }
  FollowerRead read;
  std::vector<ColumnFamilyHandle*> handles;
  std::vector<PinnableWideColumns> found(hosts.size());
  std::vector<Status> statuses(hosts.size());
  Status s = read.Begin(generations_, options);
  if (s.ok()) s = FindMany(read, hosts, &handles);
  if (s.ok() && !hosts.empty()) {
    read.db()->MultiGetEntity(read.options(), hosts.size(), handles.data(), key_of.data(),
                              found.data(), statuses.data(), false);
  }
  size_t at = 0;
  for (size_t i = 0; i < n; ++i) {
    for (rocksdb::PinnableAttributeGroup& group : results[i]) {
      PinnableWideColumns copy;
      if (s.ok() && statuses[at].ok()) statuses[at] = CopyEntity(found[at], &copy);
      group.SetStatus(s.ok() ? statuses[at] : s);
      group.SetColumns(std::move(copy));
      ++at;
    }
  }
  return s;
}

std::unique_ptr<rocksdb::Iterator> FollowerDB::NewCoalescingIterator(
    const ReadOptions& options, const std::vector<ColumnFamilyHandle*>& column_families) {
  FollowerRead read;
  std::vector<ColumnFamilyHandle*> handles;
  Status s = options.tailing ? TailingIsRefused() : read.Begin(generations_, options);
  if (s.ok()) s = FindMany(read, column_families, &handles);
  if (!s.ok()) return std::unique_ptr<rocksdb::Iterator>(rocksdb::NewErrorIterator(s));
  auto inner = read.db()->NewCoalescingIterator(read.options(), handles);
  return std::make_unique<CoalescingIterator>(read.Take(), std::move(inner));
}

std::unique_ptr<rocksdb::AttributeGroupIterator> FollowerDB::NewAttributeGroupIterator(
    const ReadOptions& options, const std::vector<ColumnFamilyHandle*>& column_families) {
  FollowerRead read;
  std::vector<ColumnFamilyHandle*> handles;
  Status s = options.tailing ? TailingIsRefused() : read.Begin(generations_, options);
  if (s.ok()) s = FindMany(read, column_families, &handles);
  if (!s.ok()) return std::make_unique<AttributeGroupErrorIterator>(s);
  auto inner = read.db()->NewAttributeGroupIterator(read.options(), handles);
  return std::make_unique<AttributeGroupIterator>(read.Take(), std::move(inner), column_families,
                                                  std::move(handles));
}

}  // namespace slipstream

#endif
