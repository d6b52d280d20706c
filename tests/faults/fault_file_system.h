// A local file system in which chosen calls fail: the n-th of a kind once, or all from the n-th on
// until it is healed, as on a disk that is full. Nothing is synced: no test loses power.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "rocksdb/file_system.h"

namespace slipstream::testing {

// What a file is to a leader.
enum class FileRole {
  kWal,
  kManifest,
  kCurrent,    // CURRENT and the .dbtmp files it is renamed from
  kCatalogue,  // SLIPSTREAM and what it is rewritten through
  kDirectory,
  kOther,
};
std::string ToString(FileRole role);

enum class FileCall {
  kNewWritable,
  kAppend,
  kSync,  // of a file or a directory
  kClose,
  kRename,
  kDelete,
  kNewReader,
  kRead,
};
std::string ToString(FileCall call);

struct FileFault {
  FileRole role = FileRole::kWal;
  FileCall call = FileCall::kAppend;
  uint64_t nth = 1;      // counted from the arming
  bool lasting = false;  // fails from then on until Heal
  // What the call returns.
  rocksdb::IOStatus status;
  // Of an append: this many of its bytes are written all the same.
  uint64_t torn_bytes = 0;
  // Called before the call returns its error, without a lock; may block.
  std::function<void()> before_failure = nullptr;
};

// The errors that differ for RocksDB: it recovers from the first by itself, from the second when
// told to (this file system does not know its free space, which RocksDB would watch), and from the
// third never.
rocksdb::IOStatus RetryableError();
rocksdb::IOStatus DiskFull();
rocksdb::IOStatus FatalError();

// Threads: any.
class FaultFileSystem : public rocksdb::FileSystemWrapper {
 public:
  FaultFileSystem();
  const char* Name() const override { return "FaultFileSystem"; }

  void Arm(FileFault fault);
  // As if the process were gone: every call that changes something fails from here on, until Heal.
  void Stop();
  // Ends a lasting fault, one that has not struck, and Stop.
  void Heal();
  // Calls of the armed kind since it was armed.
  uint64_t calls() const;
  // How often a call has failed.
  uint64_t failures() const;

  static FileRole RoleOf(const std::string& path);

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* result,
                                       rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus NewRandomAccessFile(const std::string& path,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                                        rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* result,
                                      rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus GetFreeSpace(const std::string& path, const rocksdb::IOOptions& options,
                                 uint64_t* bytes, rocksdb::IODebugContext* dbg) override;

 private:
  class WritableFile;
  class RandomAccessFile;
  class SequentialFile;
  class Directory;

  // OK, or the armed error if this call is to fail. torn: how many bytes of it happen all the same.
  rocksdb::IOStatus Strike(FileRole role, FileCall call, uint64_t* torn = nullptr);

  mutable std::mutex mutex_;
  std::optional<FileFault> fault_;
  bool stopped_ = false;
  uint64_t calls_ = 0;
  uint64_t failures_ = 0;
};

}  // namespace slipstream::testing
