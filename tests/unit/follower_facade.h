// What the tests of the facade read from: ordinary RocksDB instances in place of generations that
// were opened from an image.
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/follower/column_family_slots.h"
#include "lib/follower/follower_db.h"
#include "lib/follower/generation.h"
#include "rocksdb/db.h"
#include "rocksdb/merge_operator.h"

namespace slipstream::testing {

class Append final : public rocksdb::AssociativeMergeOperator {
 public:
  bool Merge(const rocksdb::Slice&, const rocksdb::Slice* before, const rocksdb::Slice& operand,
             std::string* result, rocksdb::Logger*) const override {
    *result = (before != nullptr ? before->ToString() : "") + operand.ToString();
    return true;
  }
  const char* Name() const override { return "Append"; }
};

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "follower_db.XXXXXX").string();
    REQUIRE(mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A facade over ordinary RocksDB instances, each published as a generation.
class FollowerFacade {
 public:
  using Fill = std::function<void(rocksdb::DB*, rocksdb::ColumnFamilyHandle* plain,
                                  rocksdb::ColumnFamilyHandle* other)>;

  FollowerFacade() {
    options_.create_if_missing = true;
    options_.create_missing_column_families = true;
    options_.avoid_flush_during_shutdown = true;
    options_.merge_operator = std::make_shared<Append>();
    plain = std::make_unique<FollowerColumnFamilyHandle>("default", 0, slots_.SlotOf(0), options_,
                                                         &slots_);
    other = std::make_unique<FollowerColumnFamilyHandle>("other", 1, slots_.SlotOf(1), options_,
                                                         &slots_);
    db = NewFollowerDB("followed", &generations, plain.get());
  }

  // Opens an instance of its own and lets `fill` write to it, before readers get it.
  void Publish(const Fill& fill, bool with_other = true) {
    GenerationContents contents;
    contents.id = ++published_;
    contents.cut = Position{1, published_, 0};
    std::vector<rocksdb::ColumnFamilyDescriptor> families = {{"default", options_}};
    if (with_other) families.emplace_back("other", options_);
    rocksdb::DB* opened = nullptr;
    REQUIRE(rocksdb::DB::Open(options_, directory_.path() + "/" + std::to_string(published_),
                              families, &contents.handles, &opened)
                .ok());
    contents.db.reset(opened);
    fill(opened, contents.handles[0], with_other ? contents.handles[1] : nullptr);
    generations.Publish(std::move(contents));
  }

  // A generation in which every key has `value`, in a table if `flushed`, else in the memtable.
  void Publish(const std::string& value, bool flushed = false) {
    Publish([&](rocksdb::DB* to, rocksdb::ColumnFamilyHandle* a, rocksdb::ColumnFamilyHandle* b) {
      for (const char* key : {"a", "b", "c"}) {
        REQUIRE(to->Put({}, a, key, value).ok());
        REQUIRE(to->Put({}, b, key, "other " + value).ok());
      }
      if (flushed) REQUIRE(to->Flush({}, {a, b}).ok());
    });
  }

  std::string Get(const std::string& key, const rocksdb::ReadOptions& read = {}) {
    std::string value;
    const rocksdb::Status s = db->Get(read, key, &value);
    return s.ok() ? value : s.ToString();
  }

 private:
  // Before what is public, as the facade goes first and the directory last.
  TemporaryDirectory directory_;
  rocksdb::Options options_;
  ColumnFamilySlots slots_;
  uint64_t published_ = 0;

 public:
  GenerationSet generations;
  std::unique_ptr<FollowerColumnFamilyHandle> plain;
  std::unique_ptr<FollowerColumnFamilyHandle> other;
  std::unique_ptr<rocksdb::DB> db;
};

}  // namespace slipstream::testing
