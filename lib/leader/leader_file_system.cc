#include "lib/leader/leader_file_system.h"

#include <string_view>

#include "lib/core/object_name.h"
#include "lib/core/options_file.h"
#include "lib/leader/log_watch.h"
#include "lib/leader/object_writable_file.h"
#include "lib/storage/object_file.h"

namespace slipstream {
namespace {

using rocksdb::FileOptions;
using rocksdb::FSRandomAccessFile;
using rocksdb::FSSequentialFile;
using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;
using rocksdb::Status;

std::string_view DirectoryOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return std::string_view();
  std::string_view directory = path.substr(0, slash);
  while (directory.size() > 1 && directory.back() == '/') directory.remove_suffix(1);
  return directory;
}

bool IsLog(const FileName& name) {
  return name.kind == FileKind::kWal || name.kind == FileKind::kManifest;
}

bool IsObject(const FileName& name) {
  return name.kind == FileKind::kTable || name.kind == FileKind::kBlob;
}

LogFileId LogId(const FileName& name) {
  return {name.kind == FileKind::kWal ? FrameFile::kWal : FrameFile::kManifest, name.number};
}

FrameFile ObjectKind(const FileName& name) {
  return name.kind == FileKind::kTable ? FrameFile::kTable : FrameFile::kBlob;
}

std::string ObjectFileName(const ObjectInfo& o) {
  return o.file == FrameFile::kTable ? TableName(o.number) : BlobName(o.number);
}

// As the local file system says it: NotFound would pass for a key that is not there.
IOStatus NoObject(const std::string& path) {
  return IOStatus::PathNotFound("slipstream: not in the catalogue of objects", path);
}

// A log file: written through to the local file first, then into the replication log, so that a
// follower never sees bytes that this process could lose.
class TappedFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  TappedFile(std::unique_ptr<FSWritableFile> file, LogFileId id, uint64_t size,
             std::shared_ptr<ReplicationLog> log, std::unique_ptr<LogWatch> watch)
      : FSWritableFileOwnerWrapper(std::move(file)),
        id_(id),
        size_(size),
        log_(std::move(log)),
        watch_(std::move(watch)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* dbg) override {
    return Record(target()->Append(data, options, dbg), data);
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& info, IODebugContext* dbg) override {
    return Record(target()->Append(data, options, info, dbg), data);
  }
  IOStatus PositionedAppend(const Slice&, uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::NotSupported("slipstream: log files are written by Append only");
  }
  IOStatus PositionedAppend(const Slice&, uint64_t, const IOOptions&,
                            const rocksdb::DataVerificationInfo&, IODebugContext*) override {
    return IOStatus::NotSupported("slipstream: log files are written by Append only");
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* dbg) override {
    IOStatus s = target()->Truncate(size, options, dbg);
    if (s.ok() && size < size_) {
      size_ = size;
      log_->Truncate(id_, size);
    }
    return s;
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* dbg) override {
    return Check(target()->Flush(options, dbg));
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* dbg) override {
    return Check(target()->Sync(options, dbg));
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* dbg) override {
    return Check(target()->Fsync(options, dbg));
  }
  IOStatus RangeSync(uint64_t offset, uint64_t bytes, const IOOptions& options,
                     IODebugContext* dbg) override {
    return Check(target()->RangeSync(offset, bytes, options, dbg));
  }

 private:
  IOStatus Record(IOStatus s, const Slice& data) {
    if (!s.ok()) return Check(std::move(s));
    if (log_->succeeded()) log_ = log_->successor();
    if (watch_ != nullptr) {
      // The file is as RocksDB wants it; it is followers that must not see this.
      const Status objection = watch_->See(data);
      if (!objection.ok()) log_->BreakOrder(objection);
    }
    log_->Append(id_, size_, data);
    size_ += data.size();
    return s;
  }

  // After a failed append or sync RocksDB may take back what followers have been sent already.
  IOStatus Check(IOStatus s) {
    if (!s.ok()) log_->Break(id_, s);
    return s;
  }

  const LogFileId id_;
  uint64_t size_;
  std::shared_ptr<ReplicationLog> log_;
  const std::unique_ptr<LogWatch> watch_;  // or null
};

// The directory of the log files. When its sync fails, RocksDB takes back what it was meant to make
// durable: the WAL records whose write asked for it, or the MANIFEST that CURRENT was pointed to.
class TappedDirectory : public rocksdb::FSDirectoryWrapper {
 public:
  TappedDirectory(std::unique_ptr<rocksdb::FSDirectory> directory,
                  std::shared_ptr<ReplicationLog> log)
      : FSDirectoryWrapper(std::move(directory)), log_(std::move(log)) {}

  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* dbg,
                               const rocksdb::DirFsyncOptions& what) override {
    using Reason = rocksdb::DirFsyncOptions::FsyncReason;
    IOStatus s = FSDirectoryWrapper::FsyncWithDirOptions(options, dbg, what);
    if (!s.ok() && what.reason == Reason::kNewFileSynced) log_->BreakNewestWal(s);
    if (!s.ok() && what.reason == Reason::kFileRenamed) log_->BreakCurrentManifest(s);
    return s;
  }

 private:
  const std::shared_ptr<ReplicationLog> log_;
};

}  // namespace

LeaderFileSystem::LeaderFileSystem(std::shared_ptr<rocksdb::FileSystem> base, Parts parts)
    : FileSystemWrapper(std::move(base)), parts_(std::move(parts)) {}

FileName LeaderFileSystem::Classify(const std::string& path) const {
  const std::string_view directory = DirectoryOf(path);
  FileName name = ParseFileName(path);
  const std::string& home =
      name.kind == FileKind::kWal ? parts_.wal_directory : parts_.db_directory;
  if (directory != home) return {FileKind::kOther, 0};
  // A table that is missing is looked for under LevelDB's suffix too; none of ours has that.
  if (name.kind == FileKind::kTable && path.ends_with(".ldb")) return {FileKind::kOther, 0};
  return name;
}

bool LeaderFileSystem::IsTrash(const std::string& path) const {
  constexpr std::string_view kTrash = ".trash";
  if (!path.ends_with(kTrash)) return false;
  return IsObject(Classify(path.substr(0, path.size() - kTrash.size())));
}

Status LeaderFileSystem::TakeOver(rocksdb::Logger* logger) {
  std::vector<std::string> names;
  std::vector<std::string> imported;
  IOStatus io = target()->GetChildren(parts_.db_directory, IOOptions(), &names, nullptr);
  if (!io.ok()) return io;
  uint64_t current = 0;
  for (const std::string& base_name : names) {
    const std::string path = parts_.db_directory + "/" + base_name;
    const FileName name = Classify(path);
    const auto known = IsObject(name) ? parts_.catalog->Find(name.number) : std::nullopt;
    // One of size 0 is what an earlier attempt left behind.
    if (IsObject(name) && (!known || known->size == 0)) {
      rocksdb::Info(logger, "slipstream: moving %s to %s", path.c_str(),
                    parts_.storage->Describe().c_str());
      Status s = ImportObject(path, name);
      if (!s.ok()) return s;
    }
    if (IsObject(name)) imported.push_back(path);
    if (name.kind == FileKind::kCurrent) {
      std::string content;
      Status s = rocksdb::ReadFileToString(target(), path, &content);
      if (!s.ok()) return s;
      const FileName manifest =
          ParseFileName(std::string_view(content).substr(0, content.find_last_not_of('\n') + 1));
      if (manifest.kind == FileKind::kManifest) current = manifest.number;
    }
  }
  // Only when all of them are on the storage and in the catalogue do the local files go.
  for (const std::string& path : imported) {
    io = target()->DeleteFile(path, IOOptions(), nullptr);
    if (!io.ok()) return io;
  }
  for (const ObjectInfo& object : parts_.catalog->Objects()) {
    if (object.size > 0) parts_.log->AddObject(object);
  }

  std::vector<std::string> wal_names;
  if (parts_.wal_directory != parts_.db_directory) {
    io = target()->GetChildren(parts_.wal_directory, IOOptions(), &wal_names, nullptr);
    if (!io.ok() && !io.IsNotFound()) return io;
  }
  std::vector<std::string> paths;
  for (const std::string& n : names) paths.push_back(parts_.db_directory + "/" + n);
  for (const std::string& n : wal_names) paths.push_back(parts_.wal_directory + "/" + n);
  for (const std::string& path : paths) {
    const FileName name = Classify(path);
    if (!IsLog(name)) continue;
    TappedLogFile file{LogId(name), 0, nullptr};
    io = target()->GetFileSize(path, IOOptions(), &file.size, nullptr);
    std::unique_ptr<FSRandomAccessFile> reader;
    if (io.ok()) io = target()->NewRandomAccessFile(path, FileOptions(), &reader, nullptr);
    if (!io.ok()) return io;
    file.reader = std::move(reader);
    parts_.log->AddFile(std::move(file));
  }
  if (current != 0) parts_.log->SetCurrent(current);
  parts_.log->BeginRecovery();
  return Status::OK();
}

Status LeaderFileSystem::ImportObject(const std::string& path, const FileName& name) {
  std::unique_ptr<FSSequentialFile> source;
  Status s = target()->NewSequentialFile(path, FileOptions(), &source, nullptr);
  if (!s.ok()) return s;
  std::unique_ptr<FSWritableFile> object;
  s = NewObject(name, &object);
  std::string scratch(1 << 20, '\0');
  while (s.ok()) {
    Slice piece;
    s = source->Read(scratch.size(), IOOptions(), &piece, scratch.data(), nullptr);
    if (!s.ok() || piece.empty()) break;
    s = object->Append(piece, IOOptions(), nullptr);
  }
  if (s.ok()) s = object->Close(IOOptions(), nullptr);
  return s;
}

IOStatus LeaderFileSystem::NewObject(const FileName& name,
                                     std::unique_ptr<FSWritableFile>* result) {
  ObjectInfo object{ObjectKind(name), name.number, NewestLog()->epoch(), 0};
  Status s = parts_.catalog->Create(object);
  if (!s.ok()) return rocksdb::status_to_io_status(std::move(s));
  std::unique_ptr<ObjectWriter> writer;
  const std::string object_name = ObjectNameOf(parts_.database, object);
  s = parts_.storage->NewWriter(object_name, &writer);
  if (!s.ok()) return ObjectIOStatus(s);
  observe::Task task(parts_.tasks, "upload", {{"database", parts_.database}},
                     {.cancellable = false});
  task.SetAttribute("object", object_name);
  task.SetStatus("writing");
  *result = std::make_unique<ObjectWritableFile>(std::move(writer), object, parts_.catalog,
                                                 parts_.log, std::move(task));
  return IOStatus::OK();
}

std::shared_ptr<ReplicationLog> LeaderFileSystem::NewestLog() const {
  return parts_.log->succeeded() ? parts_.log->successor() : parts_.log;
}

IOStatus LeaderFileSystem::TapNewFile(const std::string& path, const LogFileId& id, uint64_t size,
                                      std::unique_ptr<FSWritableFile>* file) {
  // The reader is opened now, so that streams can read the file back even after it is deleted.
  std::unique_ptr<FSRandomAccessFile> reader;
  IOStatus s = target()->NewRandomAccessFile(path, FileOptions(), &reader, nullptr);
  if (!s.ok()) return s;
  const std::shared_ptr<ReplicationLog> log = NewestLog();
  log->AddFile({id, size, std::move(reader)});
  *file = std::make_unique<TappedFile>(std::move(*file), id, size, log, Watch(id, size));
  return s;
}

std::unique_ptr<LogWatch> LeaderFileSystem::Watch(const LogFileId& id, uint64_t size) const {
  // Records begin at the file's start.
  if (parts_.gate == nullptr || size > 0) return nullptr;
  return std::make_unique<LogWatch>(id, parts_.gate);
}

IOStatus LeaderFileSystem::NewMemoryWal(const FileName& name,
                                        std::unique_ptr<FSWritableFile>* result) {
  const LogFileId id = LogId(name);
  *result = parts_.memory_wals->Create(name.number);
  const std::shared_ptr<ReplicationLog> log = NewestLog();
  log->AddFile({id, 0, parts_.memory_wals->OpenRandomAccess(name.number)});
  *result = std::make_unique<TappedFile>(std::move(*result), id, 0, log, Watch(id, 0));
  return IOStatus::OK();
}

bool LeaderFileSystem::InMemory(const FileName& name, uint64_t* size) const {
  uint64_t ignored = 0;
  return name.kind == FileKind::kWal && parts_.memory_wals != nullptr &&
         parts_.memory_wals->Find(name.number, size != nullptr ? size : &ignored);
}

IOStatus LeaderFileSystem::NewWritableFile(const std::string& path, const FileOptions& options,
                                           std::unique_ptr<FSWritableFile>* result,
                                           IODebugContext* dbg) {
  const FileName name = Classify(path);
  if (IsObject(name)) return NewObject(name, result);
  if (name.kind == FileKind::kWal && parts_.memory_wals != nullptr) {
    return NewMemoryWal(name, result);
  }
  IOStatus s = target()->NewWritableFile(path, options, result, dbg);
  if (s.ok() && IsLog(name)) s = TapNewFile(path, LogId(name), 0, result);
  return s;
}

IOStatus LeaderFileSystem::ReopenWritableFile(const std::string& path, const FileOptions& options,
                                              std::unique_ptr<FSWritableFile>* result,
                                              IODebugContext* dbg) {
  const FileName name = Classify(path);
  if (IsObject(name)) {
    return IOStatus::NotSupported("slipstream: " + path + " is immutable and cannot be reopened");
  }
  if (InMemory(name)) {
    return IOStatus::NotSupported("slipstream: " + path + " is in memory and cannot be reopened");
  }
  IOStatus s = target()->ReopenWritableFile(path, options, result, dbg);
  if (s.ok() && IsLog(name)) {
    uint64_t size = 0;
    s = target()->GetFileSize(path, IOOptions(), &size, dbg);
    if (s.ok()) s = TapNewFile(path, LogId(name), size, result);
  }
  return s;
}

IOStatus LeaderFileSystem::ReuseWritableFile(const std::string& path, const std::string& old_path,
                                             const FileOptions& options,
                                             std::unique_ptr<FSWritableFile>* result,
                                             IODebugContext* dbg) {
  if (Classify(path).kind != FileKind::kOther || Classify(old_path).kind != FileKind::kOther) {
    return IOStatus::NotSupported("slipstream: log files are not recycled: " + old_path);
  }
  return target()->ReuseWritableFile(path, old_path, options, result, dbg);
}

IOStatus LeaderFileSystem::NewDirectory(const std::string& path, const IOOptions& options,
                                        std::unique_ptr<rocksdb::FSDirectory>* result,
                                        IODebugContext* dbg) {
  IOStatus s = target()->NewDirectory(path, options, result, dbg);
  const std::string entry = path + "/";
  const std::string_view directory = DirectoryOf(entry);
  if (s.ok() && (directory == parts_.db_directory || directory == parts_.wal_directory)) {
    *result = std::make_unique<TappedDirectory>(std::move(*result), parts_.log);
  }
  return s;
}

IOStatus LeaderFileSystem::NewRandomRWFile(const std::string& path, const FileOptions& options,
                                           std::unique_ptr<rocksdb::FSRandomRWFile>* result,
                                           IODebugContext* dbg) {
  if (Classify(path).kind != FileKind::kOther) {
    return IOStatus::NotSupported("slipstream: " + path + " cannot be rewritten in place");
  }
  return target()->NewRandomRWFile(path, options, result, dbg);
}

IOStatus LeaderFileSystem::NewMemoryMappedFileBuffer(
    const std::string& path, std::unique_ptr<rocksdb::MemoryMappedFileBuffer>* result) {
  if (Classify(path).kind != FileKind::kOther) {
    return IOStatus::NotSupported("slipstream: " + path + " cannot be mapped");
  }
  return target()->NewMemoryMappedFileBuffer(path, result);
}

IOStatus LeaderFileSystem::NewSequentialFile(const std::string& path, const FileOptions& options,
                                             std::unique_ptr<FSSequentialFile>* result,
                                             IODebugContext* dbg) {
  const FileName name = Classify(path);
  if (InMemory(name)) {
    *result = parts_.memory_wals->OpenSequential(name.number);
    return *result != nullptr ? IOStatus::OK() : IOStatus::NotFound(path);
  }
  if (!IsObject(name)) return target()->NewSequentialFile(path, options, result, dbg);
  const auto object = parts_.catalog->Find(name.number);
  if (!object) return NoObject(path);
  std::unique_ptr<ObjectReader> reader;
  Status s = parts_.storage->NewReader(ObjectNameOf(parts_.database, *object), &reader);
  if (s.ok()) *result = NewSequentialObjectFile(std::move(reader));
  return ObjectIOStatus(s);
}

IOStatus LeaderFileSystem::NewRandomAccessFile(const std::string& path, const FileOptions& options,
                                               std::unique_ptr<FSRandomAccessFile>* result,
                                               IODebugContext* dbg) {
  const FileName name = Classify(path);
  if (InMemory(name)) {
    *result = parts_.memory_wals->OpenRandomAccess(name.number);
    return *result != nullptr ? IOStatus::OK() : IOStatus::NotFound(path);
  }
  if (!IsObject(name)) return target()->NewRandomAccessFile(path, options, result, dbg);
  const auto object = parts_.catalog->Find(name.number);
  if (!object) return NoObject(path);
  std::unique_ptr<ObjectReader> reader;
  Status s = parts_.storage->NewReader(ObjectNameOf(parts_.database, *object), &reader);
  if (!s.ok()) return FailedObjectRead(s);
  *result = NewRandomAccessObjectFile(std::move(reader));
  return IOStatus::OK();
}

IOStatus LeaderFileSystem::FileExists(const std::string& path, const IOOptions& options,
                                      IODebugContext* dbg) {
  const FileName name = Classify(path);
  if (IsObject(name)) {
    return parts_.catalog->Find(name.number) ? IOStatus::OK() : IOStatus::NotFound(path);
  }
  if (InMemory(name)) return IOStatus::OK();
  return target()->FileExists(path, options, dbg);
}

IOStatus LeaderFileSystem::GetChildren(const std::string& directory, const IOOptions& options,
                                       std::vector<std::string>* result, IODebugContext* dbg) {
  IOStatus s = target()->GetChildren(directory, options, result, dbg);
  if (s.ok() && parts_.memory_wals != nullptr &&
      DirectoryOf(directory + "/") == parts_.wal_directory) {
    for (const uint64_t number : parts_.memory_wals->Numbers()) result->push_back(WalName(number));
  }
  if (!s.ok() || DirectoryOf(directory + "/") != parts_.db_directory) return s;
  for (const ObjectInfo& object : parts_.catalog->Objects()) {
    result->push_back(ObjectFileName(object));
  }
  return s;
}

IOStatus LeaderFileSystem::GetChildrenFileAttributes(const std::string& directory,
                                                     const IOOptions& options,
                                                     std::vector<rocksdb::FileAttributes>* result,
                                                     IODebugContext* dbg) {
  // The base class asks this object for the names and the sizes.
  return FileSystem::GetChildrenFileAttributes(directory, options, result, dbg);
}

IOStatus LeaderFileSystem::RemoveObject(const FileName& name) {
  if (!parts_.catalog->Find(name.number)) {
    return IOStatus::NotFound("slipstream: no object " + std::to_string(name.number));
  }
  return rocksdb::status_to_io_status(
      parts_.catalog->Remove(name.number, parts_.log->RemoveObject(name.number)));
}

IOStatus LeaderFileSystem::DeleteFile(const std::string& path, const IOOptions& options,
                                      IODebugContext* dbg) {
  const FileName name = Classify(path);
  if (IsObject(name)) return RemoveObject(name);
  if (IsTrash(path)) return IOStatus::OK();
  if (InMemory(name)) {
    parts_.memory_wals->Remove(name.number);
    parts_.log->RemoveFile(LogId(name));
    if (const uint64_t kept = parts_.memory_wals->kept(); kept != 0) parts_.catalog->NoteKept(kept);
    return IOStatus::OK();
  }
  IOStatus s = target()->DeleteFile(path, options, dbg);
  if (s.ok() && IsLog(name)) parts_.log->RemoveFile(LogId(name));
  return s;
}

IOStatus LeaderFileSystem::Truncate(const std::string& path, size_t size, const IOOptions& options,
                                    IODebugContext* dbg) {
  const FileName name = Classify(path);
  if (IsObject(name)) {
    return IOStatus::NotSupported("slipstream: " + path + " is immutable and cannot be cut");
  }
  IOStatus s = target()->Truncate(path, size, options, dbg);
  if (s.ok() && IsLog(name)) parts_.log->Truncate(LogId(name), size);
  return s;
}

IOStatus LeaderFileSystem::GetFileSize(const std::string& path, const IOOptions& options,
                                       uint64_t* size, IODebugContext* dbg) {
  const FileName name = Classify(path);
  if (InMemory(name, size)) return IOStatus::OK();
  if (!IsObject(name)) return target()->GetFileSize(path, options, size, dbg);
  const auto object = parts_.catalog->Find(name.number);
  if (!object) return NoObject(path);
  *size = object->size;
  return IOStatus::OK();
}

IOStatus LeaderFileSystem::GetFileModificationTime(const std::string& path,
                                                   const IOOptions& options, uint64_t* seconds,
                                                   IODebugContext* dbg) {
  const FileName name = Classify(path);
  if (IsObject(name) || InMemory(name)) {
    return IOStatus::NotSupported("slipstream: no modification time is kept of " + path);
  }
  return target()->GetFileModificationTime(path, options, seconds, dbg);
}

IOStatus LeaderFileSystem::RenameFile(const std::string& from, const std::string& to,
                                      const IOOptions& options, IODebugContext* dbg) {
  const FileName source = Classify(from);
  if (IsObject(source)) {
    if (IsTrash(to)) return RemoveObject(source);
    return IOStatus::NotSupported("slipstream: " + from + " cannot be renamed to " + to);
  }
  const FileName destination = Classify(to);
  if (IsObject(destination)) {
    return IOStatus::NotSupported("slipstream: " + from + " cannot be renamed to " + to);
  }
  uint64_t manifest = 0;
  if (destination.kind == FileKind::kCurrent) {
    std::string content;
    Status s = rocksdb::ReadFileToString(target(), from, &content);
    if (!s.ok()) return rocksdb::status_to_io_status(std::move(s));
    const FileName name =
        ParseFileName(std::string_view(content).substr(0, content.find_last_not_of('\n') + 1));
    if (name.kind != FileKind::kManifest) {
      return IOStatus::Corruption("slipstream: " + from + " names no MANIFEST: " + content);
    }
    manifest = name.number;
  }
  IOStatus s = target()->RenameFile(from, to, options, dbg);
  if (!s.ok()) return s;
  if (manifest != 0) parts_.log->SetCurrent(manifest);
  if (IsOptionsFileName(to) && DirectoryOf(to) == parts_.db_directory) ReadOptionsFile(to);
  if (IsLog(source)) parts_.log->RemoveFile(LogId(source));  // moved into the archive
  return s;
}

void LeaderFileSystem::ReadOptionsFile(const std::string& path) {
  std::string content;
  // Followers find out for themselves what they are not told.
  if (!rocksdb::ReadFileToString(target(), path, &content).ok()) return;
  parts_.log->SetColumnFamilies(ParseOptionsFile(content));
}

IOStatus LeaderFileSystem::LinkFile(const std::string& from, const std::string& to,
                                    const IOOptions& options, IODebugContext* dbg) {
  if (IsObject(Classify(from)) || IsObject(Classify(to)) || InMemory(Classify(from))) {
    // RocksDB then copies through this file system.
    return IOStatus::NotSupported("slipstream: no link can be made to " + from);
  }
  return target()->LinkFile(from, to, options, dbg);
}

IOStatus LeaderFileSystem::NumFileLinks(const std::string& path, const IOOptions& options,
                                        uint64_t* count, IODebugContext* dbg) {
  if (IsObject(Classify(path)) || IsTrash(path)) {
    return IOStatus::NotSupported("slipstream: objects have no links: " + path);
  }
  return target()->NumFileLinks(path, options, count, dbg);
}

IOStatus LeaderFileSystem::AreFilesSame(const std::string& first, const std::string& second,
                                        const IOOptions& options, bool* same, IODebugContext* dbg) {
  if (IsObject(Classify(first)) || IsObject(Classify(second))) {
    return IOStatus::NotSupported("slipstream: objects cannot be compared: " + first);
  }
  return target()->AreFilesSame(first, second, options, same, dbg);
}

#if SLIPSTREAM_ROCKSDB_9
void LeaderFileSystem::SupportedOps(int64_t& supported) {
  target()->SupportedOps(supported);
  // Whatever the host's file system can do, objects are read into the buffer of the caller.
  supported &= ~(int64_t{1} << rocksdb::FSSupportedOps::kFSBuffer);
  supported &= ~(int64_t{1} << rocksdb::FSSupportedOps::kVerifyAndReconstructRead);
}
#endif

}  // namespace slipstream
