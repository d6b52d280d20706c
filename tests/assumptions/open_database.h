#ifndef SLIPSTREAM_TESTS_ASSUMPTIONS_OPEN_DATABASE_H_
#define SLIPSTREAM_TESTS_ASSUMPTIONS_OPEN_DATABASE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/db.h"
#include "rocksdb/iterator.h"
#include "rocksdb/options.h"

namespace slipstream {

// A RocksDB database together with its column family handles, which it closes in the right order.
class OpenDatabase {
 public:
  // Opens `directory`; status() tells whether that worked. Families are opened in the given order,
  // and all of them have `options`.
  OpenDatabase(const rocksdb::Options& options, const std::string& directory,
               const std::vector<std::string>& families = {rocksdb::kDefaultColumnFamilyName}) {
    std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
    for (const std::string& family : families) descriptors.emplace_back(family, options);
    rocksdb::DB* db = nullptr;
    status_ = rocksdb::DB::Open(options, directory, descriptors, &handles_, &db);
    db_.reset(db);
  }

  ~OpenDatabase() { Close(); }

  OpenDatabase(const OpenDatabase&) = delete;
  OpenDatabase& operator=(const OpenDatabase&) = delete;

  const rocksdb::Status& status() const { return status_; }
  rocksdb::DB* get() const { return db_.get(); }
  rocksdb::DB* operator->() const { return db_.get(); }

  // The handle of the family at `index` of the list that this was opened with, or that
  // CreateFamily returned.
  rocksdb::ColumnFamilyHandle* family(size_t index) const { return handles_.at(index); }

  // Returns the index of the new family for family().
  size_t CreateFamily(const rocksdb::Options& options, const std::string& name) {
    rocksdb::ColumnFamilyHandle* handle = nullptr;
    REQUIRE(db_->CreateColumnFamily(options, name, &handle).ToString() == "OK");
    handles_.push_back(handle);
    return handles_.size() - 1;
  }

  void Close() {
    if (db_ == nullptr) return;
    for (rocksdb::ColumnFamilyHandle* handle : handles_) {
      CHECK(db_->DestroyColumnFamilyHandle(handle).ToString() == "OK");
    }
    handles_.clear();
    CHECK(db_->Close().ToString() == "OK");
    db_.reset();
  }

  std::map<std::string, std::string> Contents(size_t index) const {
    std::map<std::string, std::string> contents;
    std::unique_ptr<rocksdb::Iterator> iterator(
        db_->NewIterator(rocksdb::ReadOptions(), family(index)));
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
      contents[iterator->key().ToString()] = iterator->value().ToString();
    }
    CHECK(iterator->status().ToString() == "OK");
    return contents;
  }

 private:
  rocksdb::Status status_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
};

}  // namespace slipstream

#endif  // SLIPSTREAM_TESTS_ASSUMPTIONS_OPEN_DATABASE_H_
