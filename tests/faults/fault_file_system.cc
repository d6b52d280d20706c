#include "tests/faults/fault_file_system.h"

#include <algorithm>
#include <utility>

#include "lib/core/file_name.h"

namespace slipstream::testing {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

std::string ToString(FileRole role) {
  switch (role) {
    case FileRole::kWal:
      return "WAL";
    case FileRole::kManifest:
      return "MANIFEST";
    case FileRole::kCurrent:
      return "CURRENT";
    case FileRole::kCatalogue:
      return "catalogue";
    case FileRole::kDirectory:
      return "directory";
    case FileRole::kOther:
      return "other file";
  }
  return "";
}

std::string ToString(FileCall call) {
  switch (call) {
    case FileCall::kNewWritable:
      return "creation";
    case FileCall::kAppend:
      return "append";
    case FileCall::kSync:
      return "sync";
    case FileCall::kClose:
      return "close";
    case FileCall::kRename:
      return "rename";
    case FileCall::kDelete:
      return "delete";
    case FileCall::kNewReader:
      return "open for reading";
    case FileCall::kRead:
      return "read";
  }
  return "";
}

IOStatus RetryableError() {
  IOStatus s = IOStatus::IOError("a passing fault, as the test wants it");
  s.SetRetryable(true);
  return s;
}

IOStatus DiskFull() { return IOStatus::NoSpace("disk full, as the test wants it"); }

IOStatus FatalError() { return IOStatus::IOError("a bad disk, as the test wants it"); }

class FaultFileSystem::WritableFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WritableFile(std::unique_ptr<rocksdb::FSWritableFile> file, FileRole role, FaultFileSystem* fs)
      : FSWritableFileOwnerWrapper(std::move(file)), role_(role), fs_(fs) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* dbg) override {
    uint64_t torn = 0;
    IOStatus s = fs_->Strike(role_, FileCall::kAppend, &torn);
    if (s.ok()) return target()->Append(data, options, dbg);
    const size_t n = static_cast<size_t>(std::min<uint64_t>(torn, data.size()));
    if (n > 0) {
      target()->Append(Slice(data.data(), n), options, dbg).PermitUncheckedError();
    }
    return s;
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* dbg) override {
    return Append(data, options, dbg);
  }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    return fs_->Strike(role_, FileCall::kSync);
  }
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return fs_->Strike(role_, FileCall::kSync);
  }
  IOStatus Close(const IOOptions& options, IODebugContext* dbg) override {
    // The descriptor is gone whatever close says, as on Linux.
    IOStatus closed = target()->Close(options, dbg);
    IOStatus s = fs_->Strike(role_, FileCall::kClose);
    return s.ok() ? closed : s;
  }

 private:
  const FileRole role_;
  FaultFileSystem* const fs_;
};

class FaultFileSystem::RandomAccessFile : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  RandomAccessFile(std::unique_ptr<rocksdb::FSRandomAccessFile> file, FileRole role,
                   FaultFileSystem* fs)
      : FSRandomAccessFileOwnerWrapper(std::move(file)), role_(role), fs_(fs) {}

  IOStatus Read(uint64_t offset, size_t n, const IOOptions& options, Slice* result, char* scratch,
                IODebugContext* dbg) const override {
    IOStatus s = fs_->Strike(role_, FileCall::kRead);
    return s.ok() ? target()->Read(offset, n, options, result, scratch, dbg) : s;
  }

 private:
  const FileRole role_;
  FaultFileSystem* const fs_;
};

class FaultFileSystem::SequentialFile : public rocksdb::FSSequentialFileOwnerWrapper {
 public:
  SequentialFile(std::unique_ptr<rocksdb::FSSequentialFile> file, FileRole role,
                 FaultFileSystem* fs)
      : FSSequentialFileOwnerWrapper(std::move(file)), role_(role), fs_(fs) {}

  IOStatus Read(size_t n, const IOOptions& options, Slice* result, char* scratch,
                IODebugContext* dbg) override {
    IOStatus s = fs_->Strike(role_, FileCall::kRead);
    return s.ok() ? target()->Read(n, options, result, scratch, dbg) : s;
  }

 private:
  const FileRole role_;
  FaultFileSystem* const fs_;
};

class FaultFileSystem::Directory : public rocksdb::FSDirectory {
 public:
  explicit Directory(FaultFileSystem* fs) : fs_(fs) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return fs_->Strike(FileRole::kDirectory, FileCall::kSync);
  }

 private:
  FaultFileSystem* const fs_;
};

FaultFileSystem::FaultFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}

void FaultFileSystem::Arm(FileFault fault) {
  std::lock_guard<std::mutex> lock(mutex_);
  fault_ = std::move(fault);
  calls_ = 0;
}

void FaultFileSystem::Stop() {
  std::lock_guard<std::mutex> lock(mutex_);
  stopped_ = true;
}

void FaultFileSystem::Heal() {
  std::lock_guard<std::mutex> lock(mutex_);
  stopped_ = false;
  fault_.reset();
}

uint64_t FaultFileSystem::calls() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return calls_;
}

uint64_t FaultFileSystem::failures() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return failures_;
}

IOStatus FaultFileSystem::Strike(FileRole role, FileCall call, uint64_t* torn) {
  std::function<void()> before;
  IOStatus s;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_ && call != FileCall::kNewReader && call != FileCall::kRead) return FatalError();
    if (!fault_ || fault_->role != role || fault_->call != call) return IOStatus::OK();
    ++calls_;
    const bool strikes = fault_->lasting ? calls_ >= fault_->nth : calls_ == fault_->nth;
    if (!strikes) return IOStatus::OK();
    ++failures_;
    s = fault_->status;
    before = fault_->before_failure;
    if (torn != nullptr) *torn = fault_->torn_bytes;
  }
  if (before) before();
  return s;
}

FileRole FaultFileSystem::RoleOf(const std::string& path) {
  switch (ParseFileName(path).kind) {
    case FileKind::kWal:
      return FileRole::kWal;
    case FileKind::kManifest:
      return FileRole::kManifest;
    case FileKind::kCurrent:
      return FileRole::kCurrent;
    default:
      break;
  }
  const std::string name = path.substr(path.rfind('/') + 1);
  if (name.ends_with(".dbtmp")) return FileRole::kCurrent;
  if (name == "SLIPSTREAM" || name == "SLIPSTREAM.tmp") return FileRole::kCatalogue;
  return FileRole::kOther;
}

IOStatus FaultFileSystem::NewWritableFile(const std::string& path, const FileOptions& options,
                                          std::unique_ptr<rocksdb::FSWritableFile>* result,
                                          IODebugContext* dbg) {
  const FileRole role = RoleOf(path);
  IOStatus s = Strike(role, FileCall::kNewWritable);
  if (s.ok()) s = target()->NewWritableFile(path, options, result, dbg);
  if (s.ok()) *result = std::make_unique<WritableFile>(std::move(*result), role, this);
  return s;
}

IOStatus FaultFileSystem::ReopenWritableFile(const std::string& path, const FileOptions& options,
                                             std::unique_ptr<rocksdb::FSWritableFile>* result,
                                             IODebugContext* dbg) {
  const FileRole role = RoleOf(path);
  IOStatus s = Strike(role, FileCall::kNewWritable);
  if (s.ok()) s = target()->ReopenWritableFile(path, options, result, dbg);
  if (s.ok()) *result = std::make_unique<WritableFile>(std::move(*result), role, this);
  return s;
}

IOStatus FaultFileSystem::NewRandomAccessFile(const std::string& path, const FileOptions& options,
                                              std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                                              IODebugContext* dbg) {
  const FileRole role = RoleOf(path);
  IOStatus s = Strike(role, FileCall::kNewReader);
  if (s.ok()) s = target()->NewRandomAccessFile(path, options, result, dbg);
  if (s.ok()) *result = std::make_unique<RandomAccessFile>(std::move(*result), role, this);
  return s;
}

IOStatus FaultFileSystem::NewSequentialFile(const std::string& path, const FileOptions& options,
                                            std::unique_ptr<rocksdb::FSSequentialFile>* result,
                                            IODebugContext* dbg) {
  const FileRole role = RoleOf(path);
  IOStatus s = Strike(role, FileCall::kNewReader);
  if (s.ok()) s = target()->NewSequentialFile(path, options, result, dbg);
  if (s.ok()) *result = std::make_unique<SequentialFile>(std::move(*result), role, this);
  return s;
}

IOStatus FaultFileSystem::NewDirectory(const std::string&, const IOOptions&,
                                       std::unique_ptr<rocksdb::FSDirectory>* result,
                                       IODebugContext*) {
  *result = std::make_unique<Directory>(this);
  return IOStatus::OK();
}

IOStatus FaultFileSystem::RenameFile(const std::string& from, const std::string& to,
                                     const IOOptions& options, IODebugContext* dbg) {
  IOStatus s = Strike(RoleOf(to), FileCall::kRename);
  return s.ok() ? target()->RenameFile(from, to, options, dbg) : s;
}

IOStatus FaultFileSystem::DeleteFile(const std::string& path, const IOOptions& options,
                                     IODebugContext* dbg) {
  IOStatus s = Strike(RoleOf(path), FileCall::kDelete);
  return s.ok() ? target()->DeleteFile(path, options, dbg) : s;
}

IOStatus FaultFileSystem::GetFreeSpace(const std::string&, const IOOptions&, uint64_t*,
                                       IODebugContext*) {
  return IOStatus::NotSupported("free space");
}

}  // namespace slipstream::testing
