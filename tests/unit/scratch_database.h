// A directory for one test, removed at its end, with the file reading that tests of RocksDB's own
// files need.
#pragma once

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "lib/core/log_record_reader.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"

namespace slipstream::testing {

class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "slipstream_unit_XXXXXX").string();
    const char* made = ::mkdtemp(pattern.data());
    REQUIRE(made != nullptr);
    path_ = made;
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const { return path_; }

  // The path of an entry of the directory.
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string ReadWholeFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  INFO("reading " << path);
  REQUIRE(in.good());
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

// The bytes of the manifest that CURRENT names.
inline std::string ReadCurrentManifest(const std::string& database) {
  std::string name = ReadWholeFile(database + "/CURRENT");
  REQUIRE(!name.empty());
  name.pop_back();
  return ReadWholeFile(database + "/" + name);
}

// All records of a log file; the file must be undamaged.
inline std::vector<std::string> ReadRecords(const std::string& bytes) {
  std::vector<std::string> records;
  LogRecordReader reader("test");
  auto collect = [&](rocksdb::Slice record, uint64_t) {
    records.push_back(record.ToString());
    return rocksdb::Status::OK();
  };
  const rocksdb::Status s = reader.Feed(bytes, collect);
  INFO(s.ToString());
  REQUIRE(s.ok());
  return records;
}

// Small, quiet, and without compactions that a test has not asked for.
inline rocksdb::Options ScratchOptions() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.disable_auto_compactions = true;
  options.avoid_flush_during_shutdown = true;
  options.max_background_jobs = 2;
  return options;
}

inline void RequireOk(const rocksdb::Status& s) {
  INFO(s.ToString());
  REQUIRE(s.ok());
}

inline std::unique_ptr<rocksdb::DB> OpenDatabase(const rocksdb::Options& options,
                                                 const std::string& path) {
  rocksdb::DB* db = nullptr;
  RequireOk(rocksdb::DB::Open(options, path, &db));
  return std::unique_ptr<rocksdb::DB>(db);
}

}  // namespace slipstream::testing
