// The local file system without syncs: no unit test loses power, and waiting for the disk would
// take most of their time. Appends to chosen files can be made to fail.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "rocksdb/file_system.h"

namespace slipstream::testing {

class UnsyncedFileSystem : public rocksdb::FileSystemWrapper {
 public:
  UnsyncedFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "UnsyncedFileSystem"; }

  // The next append to a file whose name ends with `suffix` writes `written` of its bytes and
  // fails.
  void FailAppend(const std::string& suffix, size_t written) {
    std::lock_guard<std::mutex> lock(mutex_);
    fail_suffix_ = suffix;
    fail_written_ = written;
  }

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* dbg) override {
    rocksdb::IOStatus s = target()->NewWritableFile(path, options, result, dbg);
    if (s.ok()) *result = std::make_unique<File>(std::move(*result), path, this);
    return s;
  }
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* result,
                                       rocksdb::IODebugContext* dbg) override {
    rocksdb::IOStatus s = target()->ReopenWritableFile(path, options, result, dbg);
    if (s.ok()) *result = std::make_unique<File>(std::move(*result), path, this);
    return s;
  }
  rocksdb::IOStatus NewDirectory(const std::string&, const rocksdb::IOOptions&,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext*) override {
    *result = std::make_unique<Directory>();
    return rocksdb::IOStatus::OK();
  }

 private:
  class Directory : public rocksdb::FSDirectory {
   public:
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
      return rocksdb::IOStatus::OK();
    }
  };

  class File : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSWritableFile> file, std::string path, UnsyncedFileSystem* fs)
        : FSWritableFileOwnerWrapper(std::move(file)), path_(std::move(path)), fs_(fs) {}
    using FSWritableFileOwnerWrapper::Append;
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* dbg) override {
      size_t written = 0;
      if (!fs_->TakeFailure(path_, &written)) return target()->Append(data, options, dbg);
      rocksdb::IOStatus s = target()->Append(
          rocksdb::Slice(data.data(), std::min(written, data.size())), options, dbg);
      return s.ok() ? rocksdb::IOStatus::NoSpace("as the test wants it: " + path_) : s;
    }
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             const rocksdb::DataVerificationInfo&,
                             rocksdb::IODebugContext* dbg) override {
      return Append(data, options, dbg);
    }
    rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
      return rocksdb::IOStatus::OK();
    }
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
      return rocksdb::IOStatus::OK();
    }

   private:
    const std::string path_;
    UnsyncedFileSystem* const fs_;
  };

  bool TakeFailure(const std::string& path, size_t* written) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (fail_suffix_.empty() || !path.ends_with(fail_suffix_)) return false;
    fail_suffix_.clear();
    *written = fail_written_;
    return true;
  }

  std::mutex mutex_;
  std::string fail_suffix_;
  size_t fail_written_ = 0;
};

}  // namespace slipstream::testing
