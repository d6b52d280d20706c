#ifndef SLIPSTREAM_TESTS_ASSUMPTIONS_RECORDING_FILE_SYSTEM_H_
#define SLIPSTREAM_TESTS_ASSUMPTIONS_RECORDING_FILE_SYSTEM_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rocksdb/env.h"
#include "rocksdb/file_system.h"

namespace slipstream {

// One call to the file system. Names are without their directory: a test uses one file system for
// one database.
struct FileEvent {
  enum class Kind {
    kCreate,
    kReopen,
    kAppend,
    kClose,
    kRename,
    kDelete,
    kOpenForRead,
    kRead,
    kGetFileSize,
  };

  Kind kind;
  std::string name;
  std::string bytes = {};   // kAppend, except of SSTs
  std::string target = {};  // kRename
};

// The local file system, which records in one total order what a database asks of it. It drops
// syncs: no test here loses power, and waiting for the disk would take most of their time.
class RecordingFileSystem : public rocksdb::FileSystemWrapper {
 public:
  using Kind = FileEvent::Kind;

  RecordingFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}

  static const char* kClassName() { return "RecordingFileSystem"; }
  const char* Name() const override { return kClassName(); }

  std::vector<FileEvent> events() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return events_;
  }

  size_t event_count() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return events_.size();
  }

  void ForgetEvents() {
    std::lock_guard<std::mutex> lock(mutex_);
    events_.clear();
  }

  // Returns the names in the recorded events of `kind` that end with `suffix`, in their order.
  std::vector<std::string> Names(Kind kind, const std::string& suffix) const {
    std::vector<std::string> names;
    for (const FileEvent& event : events()) {
      if (event.kind == kind && event.name.ends_with(suffix)) names.push_back(event.name);
    }
    return names;
  }

  // Returns all bytes that were appended to the file.
  std::string Bytes(const std::string& name) const {
    std::string bytes;
    for (const FileEvent& event : events()) {
      if (event.kind == Kind::kAppend && event.name == name) bytes += event.bytes;
    }
    return bytes;
  }

  // Directory listings leave out this file from now on.
  void HideFromListings(const std::string& name) {
    std::lock_guard<std::mutex> lock(mutex_);
    hidden_.insert(name);
  }

  // Calls `before_append` with the file's name before each append, in the thread that appends.
  // REQUIRES: no database is open.
  void SetBeforeAppend(std::function<void(const std::string&)> before_append) {
    before_append_ = std::move(before_append);
  }

  void BeforeAppend(const std::string& name) {
    if (before_append_) before_append_(name);
  }

  void Record(FileEvent event) {
    std::lock_guard<std::mutex> lock(mutex_);
    events_.push_back(std::move(event));
  }

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* file,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewRandomAccessFile(const std::string& path,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* directory,
                                 rocksdb::IODebugContext* debug) override;

  rocksdb::IOStatus RenameFile(const std::string& source, const std::string& target,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    Record({.kind = Kind::kRename, .name = BaseName(source), .target = BaseName(target)});
    return FileSystemWrapper::RenameFile(source, target, options, debug);
  }

  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    Record({.kind = Kind::kDelete, .name = BaseName(path)});
    return FileSystemWrapper::DeleteFile(path, options, debug);
  }

  rocksdb::IOStatus GetFileSize(const std::string& path, const rocksdb::IOOptions& options,
                                uint64_t* size, rocksdb::IODebugContext* debug) override {
    Record({.kind = Kind::kGetFileSize, .name = BaseName(path)});
    return FileSystemWrapper::GetFileSize(path, options, size, debug);
  }

  rocksdb::IOStatus GetChildren(const std::string& path, const rocksdb::IOOptions& options,
                                std::vector<std::string>* names,
                                rocksdb::IODebugContext* debug) override {
    rocksdb::IOStatus status = FileSystemWrapper::GetChildren(path, options, names, debug);
    std::lock_guard<std::mutex> lock(mutex_);
    std::erase_if(*names, [this](const std::string& name) { return hidden_.contains(name); });
    return status;
  }

  static std::string BaseName(const std::string& path) {
    return path.substr(path.find_last_of('/') + 1);
  }

 private:
  mutable std::mutex mutex_;
  std::vector<FileEvent> events_;
  std::set<std::string> hidden_;
  std::function<void(const std::string&)> before_append_;
};

class RecordingWritableFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  RecordingWritableFile(std::unique_ptr<rocksdb::FSWritableFile> target, std::string name,
                        RecordingFileSystem* recorder)
      : FSWritableFileOwnerWrapper(std::move(target)),
        name_(std::move(name)),
        recorder_(recorder) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    RecordAppend(data);
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo& verification,
                           rocksdb::IODebugContext* debug) override {
    RecordAppend(data);
    return FSWritableFileOwnerWrapper::Append(data, options, verification, debug);
  }

  rocksdb::IOStatus Close(const rocksdb::IOOptions& options,
                          rocksdb::IODebugContext* debug) override {
    rocksdb::IOStatus status = FSWritableFileOwnerWrapper::Close(options, debug);
    recorder_->Record({.kind = FileEvent::Kind::kClose, .name = name_});
    return status;
  }

  rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }

  rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }

  rocksdb::IOStatus RangeSync(uint64_t, uint64_t, const rocksdb::IOOptions&,
                              rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }

 private:
  void RecordAppend(const rocksdb::Slice& data) {
    recorder_->BeforeAppend(name_);
    const bool is_sst = name_.ends_with(".sst");
    recorder_->Record({.kind = FileEvent::Kind::kAppend,
                       .name = name_,
                       .bytes = is_sst ? std::string() : data.ToString()});
  }

  const std::string name_;
  RecordingFileSystem* const recorder_;
};

class RecordingRandomAccessFile : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  RecordingRandomAccessFile(std::unique_ptr<rocksdb::FSRandomAccessFile> target, std::string name,
                            RecordingFileSystem* recorder)
      : FSRandomAccessFileOwnerWrapper(std::move(target)),
        name_(std::move(name)),
        recorder_(recorder) {}

  rocksdb::IOStatus Read(uint64_t offset, size_t size, const rocksdb::IOOptions& options,
                         rocksdb::Slice* result, char* scratch,
                         rocksdb::IODebugContext* debug) const override {
    recorder_->Record({.kind = FileEvent::Kind::kRead, .name = name_});
    return FSRandomAccessFileOwnerWrapper::Read(offset, size, options, result, scratch, debug);
  }

 private:
  const std::string name_;
  RecordingFileSystem* const recorder_;
};

class UnsyncedDirectory : public rocksdb::FSDirectory {
 public:
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Close(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }
};

inline rocksdb::IOStatus RecordingFileSystem::NewWritableFile(
    const std::string& path, const rocksdb::FileOptions& options,
    std::unique_ptr<rocksdb::FSWritableFile>* file, rocksdb::IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSWritableFile> target;
  rocksdb::IOStatus status = FileSystemWrapper::NewWritableFile(path, options, &target, debug);
  if (!status.ok()) return status;
  Record({.kind = Kind::kCreate, .name = BaseName(path)});
  *file = std::make_unique<RecordingWritableFile>(std::move(target), BaseName(path), this);
  return status;
}

inline rocksdb::IOStatus RecordingFileSystem::ReopenWritableFile(
    const std::string& path, const rocksdb::FileOptions& options,
    std::unique_ptr<rocksdb::FSWritableFile>* file, rocksdb::IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSWritableFile> target;
  rocksdb::IOStatus status = FileSystemWrapper::ReopenWritableFile(path, options, &target, debug);
  if (!status.ok()) return status;
  Record({.kind = Kind::kReopen, .name = BaseName(path)});
  *file = std::make_unique<RecordingWritableFile>(std::move(target), BaseName(path), this);
  return status;
}

inline rocksdb::IOStatus RecordingFileSystem::NewRandomAccessFile(
    const std::string& path, const rocksdb::FileOptions& options,
    std::unique_ptr<rocksdb::FSRandomAccessFile>* file, rocksdb::IODebugContext* debug) {
  Record({.kind = Kind::kOpenForRead, .name = BaseName(path)});
  std::unique_ptr<rocksdb::FSRandomAccessFile> target;
  rocksdb::IOStatus status = FileSystemWrapper::NewRandomAccessFile(path, options, &target, debug);
  if (!status.ok()) return status;
  *file = std::make_unique<RecordingRandomAccessFile>(std::move(target), BaseName(path), this);
  return status;
}

inline rocksdb::IOStatus RecordingFileSystem::NewDirectory(
    const std::string&, const rocksdb::IOOptions&, std::unique_ptr<rocksdb::FSDirectory>* directory,
    rocksdb::IODebugContext*) {
  *directory = std::make_unique<UnsyncedDirectory>();
  return rocksdb::IOStatus::OK();
}

}  // namespace slipstream

#endif  // SLIPSTREAM_TESTS_ASSUMPTIONS_RECORDING_FILE_SYSTEM_H_
