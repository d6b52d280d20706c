#include "lib/follower/generation_file_system.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/core/file_name.h"
#include "lib/storage/object_file.h"
#include "rocksdb/file_system.h"

namespace slipstream {
namespace {

using rocksdb::FileOptions;
using rocksdb::FSDirectory;
using rocksdb::FSRandomAccessFile;
using rocksdb::FSSequentialFile;
using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

// Bytes of a file that is not on the storage.
class Content {
 public:
  virtual ~Content() = default;
  virtual uint64_t size() const = 0;
  virtual size_t Read(uint64_t offset, size_t n, char* out) const = 0;
};

class ImageContent : public Content {
 public:
  ImageContent(std::shared_ptr<const ImageFile> file, uint64_t size)
      : file_(std::move(file)), size_(size) {}
  uint64_t size() const override { return size_; }
  size_t Read(uint64_t offset, size_t n, char* out) const override {
    if (offset >= size_) return 0;
    return file_->Read(offset, std::min<uint64_t>(n, size_ - offset), out);
  }

 private:
  const std::shared_ptr<const ImageFile> file_;
  const uint64_t size_;
};

// What RocksDB writes. It never reads back the log files that it begins at its open, nor, once it
// is open, those that it recovered from, so of them only the size is kept.
class MemoryContent : public Content {
 public:
  explicit MemoryContent(bool keep, uint64_t size = 0) : keep_(keep), size_(size) {}
  MemoryContent(bool keep, std::string bytes)
      : keep_(keep), bytes_(std::move(bytes)), size_(bytes_.size()) {}

  void Append(const Slice& data) {
    absl::MutexLock lock(&mutex_);
    if (keep_) bytes_.append(data.data(), data.size());
    size_ += data.size();
  }
  uint64_t size() const override {
    absl::MutexLock lock(&mutex_);
    return size_;
  }
  size_t Read(uint64_t offset, size_t n, char* out) const override {
    absl::MutexLock lock(&mutex_);
    if (offset >= bytes_.size()) return 0;
    const size_t m = std::min<uint64_t>(n, bytes_.size() - offset);
    memcpy(out, bytes_.data() + offset, m);
    return m;
  }

 private:
  const bool keep_;
  mutable absl::Mutex mutex_;
  std::string bytes_ ABSL_GUARDED_BY(mutex_);
  uint64_t size_ ABSL_GUARDED_BY(mutex_);
};

class SequentialContentFile : public FSSequentialFile {
 public:
  explicit SequentialContentFile(std::shared_ptr<const Content> content)
      : content_(std::move(content)) {}
  IOStatus Read(size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) override {
    const size_t m = content_->Read(offset_, n, scratch);
    offset_ += m;
    *result = Slice(scratch, m);
    return IOStatus::OK();
  }
  IOStatus Skip(uint64_t n) override {
    offset_ += n;
    return IOStatus::OK();
  }

 private:
  const std::shared_ptr<const Content> content_;
  uint64_t offset_ = 0;
};

class RandomAccessContentFile : public FSRandomAccessFile {
 public:
  explicit RandomAccessContentFile(std::shared_ptr<const Content> content)
      : content_(std::move(content)) {}
  IOStatus Read(uint64_t offset, size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    *result = Slice(scratch, content_->Read(offset, n, scratch));
    return IOStatus::OK();
  }

 private:
  const std::shared_ptr<const Content> content_;
};

class WritableContentFile : public FSWritableFile {
 public:
  explicit WritableContentFile(std::shared_ptr<MemoryContent> content)
      : content_(std::move(content)) {}
  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    content_->Append(data);
    return IOStatus::OK();
  }
  IOStatus Append(const Slice& data, const IOOptions&, const rocksdb::DataVerificationInfo&,
                  IODebugContext*) override {
    content_->Append(data);
    return IOStatus::OK();
  }
  IOStatus Truncate(uint64_t, const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return content_->size(); }

 private:
  const std::shared_ptr<MemoryContent> content_;
};

// RocksDB reopens the last WAL at its open to cut a preallocated tail off. The image has none.
class UnchangingFile : public FSWritableFile {
 public:
  UnchangingFile(std::string path, uint64_t size) : path_(std::move(path)), size_(size) {}
  IOStatus Append(const Slice&, const IOOptions&, IODebugContext*) override {
    return IOStatus::NotSupported("slipstream: append to the image: " + path_);
  }
  IOStatus Truncate(uint64_t size, const IOOptions&, IODebugContext*) override {
    if (size == size_) return IOStatus::OK();
    return IOStatus::NotSupported("slipstream: truncation of the image: " + path_);
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return size_; }

 private:
  const std::string path_;
  const uint64_t size_;
};

class NoDirectory : public FSDirectory {
 public:
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
};

class NoLock : public rocksdb::FileLock {};

class GenerationFileSystem : public rocksdb::FileSystem {
 public:
  GenerationFileSystem(std::string directory, const ImageCut& cut, std::shared_ptr<ObjectPool> pool)
      : directory_(std::move(directory)), objects_(cut.objects), pool_(std::move(pool)) {
    for (const ImageCut::File& file : cut.files) {
      const std::string name =
          file.id.file == FrameFile::kWal ? WalName(file.id.number) : ManifestName(file.id.number);
      files_[name] = std::make_shared<ImageContent>(file.data, file.size);
    }
    files_["CURRENT"] =
        std::make_shared<MemoryContent>(true, ManifestName(cut.current_manifest) + "\n");
    files_["IDENTITY"] = std::make_shared<MemoryContent>(true, cut.db_identity);
  }

  void ReleaseLogFiles() {
    absl::MutexLock lock(&mutex_);
    for (auto& [name, content] : files_) {
      if (dynamic_cast<const ImageContent*>(content.get()) == nullptr) continue;
      content = std::make_shared<MemoryContent>(/*keep=*/false, content->size());
    }
  }

  const char* Name() const override { return "SlipstreamGenerationFileSystem"; }

  IOStatus NewSequentialFile(const std::string& path, const FileOptions&,
                             std::unique_ptr<FSSequentialFile>* result, IODebugContext*) override {
    if (auto content = Find(path); content != nullptr) {
      *result = std::make_unique<SequentialContentFile>(std::move(content));
      return IOStatus::OK();
    }
    std::shared_ptr<const ObjectReader> reader;
    IOStatus s = OpenObject(path, &reader);
    if (s.ok()) *result = NewSequentialObjectFile(std::move(reader));
    return s;
  }

  IOStatus NewRandomAccessFile(const std::string& path, const FileOptions&,
                               std::unique_ptr<FSRandomAccessFile>* result,
                               IODebugContext*) override {
    if (auto content = Find(path); content != nullptr) {
      *result = std::make_unique<RandomAccessContentFile>(std::move(content));
      return IOStatus::OK();
    }
    std::shared_ptr<const ObjectReader> reader;
    IOStatus s = OpenObject(path, &reader);
    if (s.ok()) *result = NewRandomAccessObjectFile(std::move(reader));
    return s;
  }

  IOStatus NewWritableFile(const std::string& path, const FileOptions&,
                           std::unique_ptr<FSWritableFile>* result, IODebugContext*) override {
    const FileKind kind = ParseFileName(path).kind;
    if (kind == FileKind::kTable || kind == FileKind::kBlob) {
      return IOStatus::NotSupported("slipstream: a follower writes no SST file: " + path);
    }
    const bool keep = kind != FileKind::kWal && kind != FileKind::kManifest;
    auto content = std::make_shared<MemoryContent>(keep);
    absl::MutexLock lock(&mutex_);
    files_[BaseName(path)] = content;
    *result = std::make_unique<WritableContentFile>(std::move(content));
    return IOStatus::OK();
  }

  IOStatus ReopenWritableFile(const std::string& path, const FileOptions&,
                              std::unique_ptr<FSWritableFile>* result, IODebugContext*) override {
    auto content = Find(path);
    if (content == nullptr) return IOStatus::NotFound(path);
    *result = std::make_unique<UnchangingFile>(path, content->size());
    return IOStatus::OK();
  }

  IOStatus ReuseWritableFile(const std::string& path, const std::string&, const FileOptions&,
                             std::unique_ptr<FSWritableFile>*, IODebugContext*) override {
    return IOStatus::NotSupported("slipstream: ReuseWritableFile: " + path);
  }
  IOStatus NewRandomRWFile(const std::string& path, const FileOptions&,
                           std::unique_ptr<rocksdb::FSRandomRWFile>*, IODebugContext*) override {
    return IOStatus::NotSupported("slipstream: NewRandomRWFile: " + path);
  }

  IOStatus NewDirectory(const std::string&, const IOOptions&, std::unique_ptr<FSDirectory>* result,
                        IODebugContext*) override {
    *result = std::make_unique<NoDirectory>();
    return IOStatus::OK();
  }

  IOStatus FileExists(const std::string& path, const IOOptions&, IODebugContext*) override {
    uint64_t size = 0;
    return IsOurs(path) ? IOStatus::OK() : SizeOf(path, &size);
  }

  IOStatus GetChildren(const std::string& directory, const IOOptions&,
                       std::vector<std::string>* result, IODebugContext*) override {
    if (!IsOurs(directory)) return IOStatus::NotFound(directory);
    // SST files are left out: RocksDB lists a directory to find what it may delete.
    absl::MutexLock lock(&mutex_);
    result->clear();
    for (const auto& [name, content] : files_) result->push_back(name);
    return IOStatus::OK();
  }

  IOStatus DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) override {
    absl::MutexLock lock(&mutex_);
    files_.erase(BaseName(path));
    return IOStatus::OK();
  }

  IOStatus CreateDir(const std::string&, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
  IOStatus CreateDirIfMissing(const std::string&, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
  IOStatus DeleteDir(const std::string&, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }

  IOStatus GetFileSize(const std::string& path, const IOOptions&, uint64_t* size,
                       IODebugContext*) override {
    return SizeOf(path, size);
  }

  IOStatus GetFileModificationTime(const std::string& path, const IOOptions&, uint64_t*,
                                   IODebugContext*) override {
    return IOStatus::NotSupported("slipstream: no modification time: " + path);
  }

  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&,
                      IODebugContext*) override {
    absl::MutexLock lock(&mutex_);
    auto node = files_.extract(BaseName(from));
    if (node.empty()) return IOStatus::NotFound(from);
    files_[BaseName(to)] = std::move(node.mapped());
    return IOStatus::OK();
  }

  IOStatus LockFile(const std::string&, const IOOptions&, rocksdb::FileLock** lock,
                    IODebugContext*) override {
    *lock = new NoLock();
    return IOStatus::OK();
  }
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) override {
    delete lock;
    return IOStatus::OK();
  }

  IOStatus GetTestDirectory(const IOOptions&, std::string* path, IODebugContext*) override {
    *path = directory_;
    return IOStatus::OK();
  }
  IOStatus NewLogger(const std::string& path, const IOOptions&, std::shared_ptr<rocksdb::Logger>*,
                     IODebugContext*) override {
    return IOStatus::NotSupported("slipstream: NewLogger: " + path);
  }
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* absolute,
                           IODebugContext*) override {
    *absolute = path;
    return IOStatus::OK();
  }
  IOStatus IsDirectory(const std::string& path, const IOOptions&, bool* is_directory,
                       IODebugContext*) override {
    *is_directory = IsOurs(path);
    return IOStatus::OK();
  }
  IOStatus GetFreeSpace(const std::string&, const IOOptions&, uint64_t* bytes,
                        IODebugContext*) override {
    *bytes = UINT64_MAX;
    return IOStatus::OK();
  }
  IOStatus Poll(std::vector<void*>&, size_t) override { return IOStatus::OK(); }
  IOStatus AbortIO(std::vector<void*>&) override { return IOStatus::OK(); }

 private:
  // RocksDB names the directory with and without a slash at the end.
  bool IsOurs(const std::string& directory) const {
    return directory == directory_ || directory == directory_ + "/";
  }

  static std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

  std::shared_ptr<const Content> Find(const std::string& path) {
    absl::MutexLock lock(&mutex_);
    auto it = files_.find(BaseName(path));
    return it == files_.end() ? nullptr : it->second;
  }

  std::optional<ObjectInfo> FindObject(const std::string& path) const {
    const FileName name = ParseFileName(path);
    const bool table = name.kind == FileKind::kTable && !path.ends_with(".ldb");
    if (!table && name.kind != FileKind::kBlob) return std::nullopt;
    return objects_->Find(name.number);
  }

  IOStatus SizeOf(const std::string& path, uint64_t* size) {
    if (auto content = Find(path); content != nullptr) {
      *size = content->size();
      return IOStatus::OK();
    }
    const auto object = FindObject(path);
    if (!object) return IOStatus::NotFound(path);
    *size = object->size;
    return IOStatus::OK();
  }

  IOStatus OpenObject(const std::string& path, std::shared_ptr<const ObjectReader>* reader) {
    const auto object = FindObject(path);
    const rocksdb::Status s =
        object ? pool_->Open(*object, reader) : rocksdb::Status::NotFound(path);
    return s.ok() ? IOStatus::OK() : FailedObjectRead(s);
  }

  const std::string directory_;
  const std::shared_ptr<const ObjectMap> objects_;
  const std::shared_ptr<ObjectPool> pool_;
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<const Content>> files_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<rocksdb::Env> NewGenerationEnv(const std::string& directory, const ImageCut& cut,
                                               std::shared_ptr<ObjectPool> pool) {
  return rocksdb::NewCompositeEnv(
      std::make_shared<GenerationFileSystem>(directory, cut, std::move(pool)));
}

void ReleaseLogFiles(rocksdb::Env* env) {
  static_cast<GenerationFileSystem*>(env->GetFileSystem().get())->ReleaseLogFiles();
}

}  // namespace slipstream
