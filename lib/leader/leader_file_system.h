// The file system that a leader's RocksDB sees: log files go to the local directory and into the
// replication log, SST and blob files to the shared storage, everything else to the local
// directory. WALs may be kept in memory alone; one that was there before is read from the local
// directory all the same.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/core/file_name.h"
#include "lib/core/rocksdb_release.h"
#include "lib/leader/barrier_gate.h"
#include "lib/leader/memory_wal.h"
#include "lib/leader/object_catalog.h"
#include "lib/leader/replication_log.h"
#include "rocksdb/file_system.h"
#include "slipstream/observe/task.h"
#include "slipstream/shared_storage.h"

namespace slipstream {

class LogWatch;

// Threads: as rocksdb::FileSystem. Lifetime: owned by the Env that is given to RocksDB; shares all
// that it uses.
class LeaderFileSystem : public rocksdb::FileSystemWrapper {
 public:
  struct Parts {
    std::string database;
    std::string db_directory;   // without a trailing '/'
    std::string wal_directory;  // the same, where WALs are; may be db_directory
    std::shared_ptr<SharedStorage> storage;
    std::shared_ptr<ReplicationLog> log;  // of the first epoch; followed to its successors
    std::shared_ptr<ObjectCatalog> catalog;
    // Where new WALs go; null: the local directory.
    std::shared_ptr<MemoryWals> memory_wals = nullptr;
    std::shared_ptr<BarrierGate> gate = nullptr;  // null unless RocksDB buffers WAL records
    observe::TaskRegistry* tasks = nullptr;       // for uploads; borrowed, null = none
  };

  LeaderFileSystem(std::shared_ptr<rocksdb::FileSystem> base, Parts parts);

  // Moves SST and blob files of an ordinary database to the storage and enters the log files that
  // are there into the replication log. Before RocksDB opens the directory.
  [[nodiscard]] rocksdb::Status TakeOver(rocksdb::Logger* logger);

  const char* Name() const override { return "SlipstreamLeaderFileSystem"; }

  rocksdb::IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* result,
                                      rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus NewRandomAccessFile(const std::string& path,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                                        rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* result,
                                       rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus ReuseWritableFile(const std::string& path, const std::string& old_path,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus NewRandomRWFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSRandomRWFile>* result,
                                    rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus NewMemoryMappedFileBuffer(
      const std::string& path, std::unique_ptr<rocksdb::MemoryMappedFileBuffer>* result) override;
  rocksdb::IOStatus FileExists(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus GetChildren(const std::string& directory, const rocksdb::IOOptions& options,
                                std::vector<std::string>* result,
                                rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus GetChildrenFileAttributes(const std::string& directory,
                                              const rocksdb::IOOptions& options,
                                              std::vector<rocksdb::FileAttributes>* result,
                                              rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus Truncate(const std::string& path, size_t size,
                             const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus GetFileSize(const std::string& path, const rocksdb::IOOptions& options,
                                uint64_t* size, rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus GetFileModificationTime(const std::string& path,
                                            const rocksdb::IOOptions& options, uint64_t* seconds,
                                            rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus LinkFile(const std::string& from, const std::string& to,
                             const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus NumFileLinks(const std::string& path, const rocksdb::IOOptions& options,
                                 uint64_t* count, rocksdb::IODebugContext* dbg) override;
#if SLIPSTREAM_ROCKSDB_9
  void SupportedOps(int64_t& supported) override;
#endif
  rocksdb::IOStatus AreFilesSame(const std::string& first, const std::string& second,
                                 const rocksdb::IOOptions& options, bool* same,
                                 rocksdb::IODebugContext* dbg) override;

 private:
  // Which file of the database a path names; kOther for all that is not ours.
  FileName Classify(const std::string& path) const;
  // The name to which RocksDB renames an SST that it will delete slowly.
  bool IsTrash(const std::string& path) const;
  std::shared_ptr<ReplicationLog> NewestLog() const;
  rocksdb::IOStatus TapNewFile(const std::string& path, const LogFileId& id, uint64_t size,
                               std::unique_ptr<rocksdb::FSWritableFile>* file);
  rocksdb::IOStatus NewMemoryWal(const FileName& name,
                                 std::unique_ptr<rocksdb::FSWritableFile>* result);
  std::unique_ptr<LogWatch> Watch(const LogFileId& id, uint64_t size) const;
  // Whether `name` is a WAL that is in memory.
  bool InMemory(const FileName& name, uint64_t* size = nullptr) const;
  rocksdb::IOStatus NewObject(const FileName& name,
                              std::unique_ptr<rocksdb::FSWritableFile>* result);
  rocksdb::IOStatus RemoveObject(const FileName& name);
  // Tells the log of the column families that RocksDB has written down.
  void ReadOptionsFile(const std::string& path);
  rocksdb::Status ImportObject(const std::string& path, const FileName& name);

  const Parts parts_;
};

}  // namespace slipstream
