#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/core/quoted_text.h"
#include "lib/storage/directory_tree.h"
#include "lib/storage/posix_file.h"
#include "slipstream/shared_storage.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

// Appends are gathered up to this many bytes before a write: RocksDB's come in blocks of some KiB.
constexpr size_t kWriteBufferBytes = 256 << 10;

// NFS keeps a file that is removed while it is open, renamed to ".nfs" and 24 hexadecimal digits.
bool IsRemovedOnNfs(std::string_view part) {
  return part.size() == 28 && part.starts_with(".nfs") &&
         part.find_first_not_of("0123456789abcdef", 4) == std::string_view::npos;
}

class DirectoryWriter : public ObjectWriter {
 public:
  static Status Open(std::shared_ptr<DirectoryTree> tree, const std::string& name,
                     std::unique_ptr<DirectoryWriter>* out) {
    const std::string temp_path = tree->NewTempPath();
    UniqueFd fd(RetryInterrupted(
        [&] { return ::open(temp_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644); }));
    if (!fd.valid()) return FaultStatus("create", temp_path, errno);
    *out = std::make_unique<DirectoryWriter>(std::move(tree), name, temp_path, std::move(fd));
    return Status::OK();
  }

  DirectoryWriter(std::shared_ptr<DirectoryTree> tree, std::string name, std::string temp_path,
                  UniqueFd fd)
      : tree_(std::move(tree)),
        name_(std::move(name)),
        temp_path_(std::move(temp_path)),
        fd_(std::move(fd)) {}

  ~DirectoryWriter() override {
    if (!published_) ::unlink(temp_path_.c_str());
  }

  Status Append(const Slice& data) override {
    if (!status_.ok()) return status_;
    synced_ = false;
    if (buffer_.size() + data.size() > kWriteBufferBytes) status_ = FlushBuffer();
    if (!status_.ok()) return status_;
    if (data.size() >= kWriteBufferBytes) {
      status_ = Write(data.data(), data.size());
    } else {
      buffer_.append(data.data(), data.size());
    }
    return status_;
  }

  Status Sync() override {
    if (!status_.ok() || synced_) return status_;
    status_ = FlushBuffer();
    // After a failed fsync the kernel may have dropped the pages, and a second one would report
    // success: so the error stays.
    if (status_.ok() && RetryInterrupted([&] { return ::fsync(fd_.get()); }) != 0) {
      status_ = FaultStatus("fsync", temp_path_, errno);
    }
    synced_ = status_.ok();
    return status_;
  }

  Status Commit() override { return Finish(/*replace=*/false); }

  Status Finish(bool replace) {
    Status s = Sync();
    if (s.ok()) {
      // Network file systems report some errors at close only.
      if (const int error = fd_.Close(); error != 0) s = FaultStatus("close", temp_path_, error);
    }
    if (s.ok()) s = tree_->Publish(temp_path_, name_, replace);
    if (s.ok()) published_ = true;
    status_ = s.ok() ? Status::InvalidArgument("object " + name_ + " is committed already") : s;
    return s;
  }

 private:
  Status FlushBuffer() {
    Status s = Write(buffer_.data(), buffer_.size());
    buffer_.clear();
    return s;
  }

  Status Write(const char* data, size_t n) {
    while (n > 0) {
      const ssize_t written = RetryInterrupted([&] { return ::write(fd_.get(), data, n); });
      if (written < 0) return FaultStatus("write", temp_path_, errno);
      data += written;
      n -= static_cast<size_t>(written);
    }
    return Status::OK();
  }

  const std::shared_ptr<DirectoryTree> tree_;
  const std::string name_;
  const std::string temp_path_;
  UniqueFd fd_;
  std::string buffer_;
  bool synced_ = false;
  bool published_ = false;
  // Why nothing more can be done; OK while something can.
  Status status_;
};

class DirectoryReader : public ObjectReader {
 public:
  DirectoryReader(std::string path, UniqueFd fd, uint64_t size)
      : path_(std::move(path)), fd_(std::move(fd)), size_(size) {}

  Status Read(uint64_t offset, size_t n, Slice* result, char* scratch) const override {
    *result = Slice(scratch, 0);
    // Behind the end there is nothing to ask for, and pread's own offset is a signed number.
    if (offset >= size_) return Status::OK();
    n = static_cast<size_t>(std::min<uint64_t>(n, size_ - offset));
    size_t done = 0;
    while (done < n) {
      const ssize_t got = RetryInterrupted([&] {
        return ::pread(fd_.get(), scratch + done, n - done, static_cast<off_t>(offset + done));
      });
      if (got < 0) {
        // What NFS says of a file that another machine has deleted.
        if (errno == ESTALE) return PathStatus("read", path_, ENOENT);
        return FaultStatus("read", path_, errno);
      }
      if (got == 0) {
        return Status::IOError("read " + path_ + ": the file ends at " +
                               std::to_string(offset + done) + ", expected " +
                               std::to_string(size_) + " bytes");
      }
      done += static_cast<size_t>(got);
    }
    *result = Slice(scratch, done);
    return Status::OK();
  }

  uint64_t size() const override { return size_; }

 private:
  const std::string path_;
  const UniqueFd fd_;
  const uint64_t size_;
};

// Collects the objects below one directory, recursively.
class ListWalk {
 public:
  ListWalk(const DirectoryTree& tree, const std::string& prefix, std::vector<std::string>* names)
      : tree_(tree), prefix_(prefix), names_(names) {}

  // `directory` is empty or ends with '/'. Symbolic links are not followed.
  Status Walk(const std::string& directory) {
    const std::string path = tree_.PathOf(directory);
    std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(path.c_str()), &::closedir);
    if (stream == nullptr) {
      // No such directory: no such objects.
      if (errno == ENOENT || errno == ENOTDIR) return Status::OK();
      return FaultStatus("open directory", path, errno);
    }
    std::vector<std::string> subdirectories;
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(stream.get());
      if (entry == nullptr) {
        if (errno != 0) return FaultStatus("read directory", path, errno);
        break;
      }
      Add(::dirfd(stream.get()), directory, *entry, &subdirectories);
    }
    // One descriptor at a time, however deep the tree is.
    stream.reset();
    for (const std::string& subdirectory : subdirectories) {
      Status s = Walk(subdirectory);
      if (!s.ok()) return s;
    }
    return Status::OK();
  }

 private:
  void Add(int fd, const std::string& directory, const dirent& entry,
           std::vector<std::string>* subdirectories) {
    const std::string_view part = entry.d_name;
    std::string name = directory + entry.d_name;
    // What others left in the directory and no object can be called, ".", ".." and ".tmp" included.
    if (!CheckObjectName(name).ok() || IsRemovedOnNfs(part)) return;
    unsigned char type = entry.d_type;
    if (type == DT_UNKNOWN) {
      struct stat info;
      if (::fstatat(fd, entry.d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) return;
      type = S_ISREG(info.st_mode) ? DT_REG : S_ISDIR(info.st_mode) ? DT_DIR : DT_LNK;
    }
    if (type == DT_REG && name.starts_with(prefix_)) {
      names_->push_back(std::move(name));
    } else if (type == DT_DIR) {
      name += '/';
      if (name.starts_with(prefix_)) subdirectories->push_back(std::move(name));
    }
  }

  const DirectoryTree& tree_;
  const std::string& prefix_;
  std::vector<std::string>* const names_;
};

class DirectoryStorage : public SharedStorage {
 public:
  explicit DirectoryStorage(std::shared_ptr<DirectoryTree> tree) : tree_(std::move(tree)) {}

  Status NewReader(const std::string& name, std::unique_ptr<ObjectReader>* out) override {
    out->reset();
    Status s = CheckObjectName(name);
    if (!s.ok()) return s;
    const std::string path = tree_->PathOf(name);
    // O_NONBLOCK: should there be a FIFO of that name, open does not wait for its writer.
    UniqueFd fd(
        RetryInterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); }));
    if (!fd.valid()) return PathStatus("open", path, errno);
    struct stat info;
    if (::fstat(fd.get(), &info) != 0) return FaultStatus("stat", path, errno);
    if (!S_ISREG(info.st_mode)) return Status::NotFound("open " + path + ": not a regular file");
    *out =
        std::make_unique<DirectoryReader>(path, std::move(fd), static_cast<uint64_t>(info.st_size));
    return Status::OK();
  }

  Status NewWriter(const std::string& name, std::unique_ptr<ObjectWriter>* out) override {
    out->reset();
    std::unique_ptr<DirectoryWriter> writer;
    Status s = OpenWriter(name, &writer);
    *out = std::move(writer);
    return s;
  }

  Status PutIfAbsent(const std::string& name, const Slice& data) override {
    return PutObject(name, data, /*replace=*/false);
  }

  Status Put(const std::string& name, const Slice& data) override {
    return PutObject(name, data, /*replace=*/true);
  }

  Status Size(const std::string& name, uint64_t* size) override {
    Status s = CheckObjectName(name);
    if (!s.ok()) return s;
    const std::string path = tree_->PathOf(name);
    struct stat info;
    if (::stat(path.c_str(), &info) != 0) return PathStatus("stat", path, errno);
    if (!S_ISREG(info.st_mode)) return Status::NotFound("stat " + path + ": not a regular file");
    *size = static_cast<uint64_t>(info.st_size);
    return Status::OK();
  }

  Status List(const std::string& prefix, std::vector<std::string>* names) override {
    names->clear();
    Status s = CheckObjectPrefix(prefix);
    if (s.ok()) {
      s = ListWalk(*tree_, prefix, names).Walk(std::string(DirectoryPart(prefix)));
    }
    if (!s.ok()) names->clear();
    std::sort(names->begin(), names->end());
    return s;
  }

  Status Delete(const std::string& name) override {
    Status s = CheckObjectName(name);
    if (!s.ok()) return s;
    const std::string path = tree_->PathOf(name);
    if (::unlink(path.c_str()) == 0) return Status::OK();
    // A directory is not an object, so there is none of that name.
    if (errno == ENOENT || errno == ENOTDIR || errno == EISDIR) return Status::OK();
    return FaultStatus("delete", path, errno);
  }

  std::string Describe() const override { return "directory " + tree_->root(); }

 private:
  Status OpenWriter(const std::string& name, std::unique_ptr<DirectoryWriter>* out) {
    Status s = CheckObjectName(name);
    return s.ok() ? DirectoryWriter::Open(tree_, name, out) : s;
  }

  Status PutObject(const std::string& name, const Slice& data, bool replace) {
    std::unique_ptr<DirectoryWriter> writer;
    Status s = OpenWriter(name, &writer);
    if (s.ok()) s = writer->Append(data);
    if (s.ok()) s = writer->Finish(replace);
    return s;
  }

  const std::shared_ptr<DirectoryTree> tree_;
};

}  // namespace

Status NewDirectoryStorage(const std::string& root, std::shared_ptr<SharedStorage>* out) {
  out->reset();
  if (root.empty() || root.find('\0') != std::string::npos) {
    return Status::InvalidArgument("NewDirectoryStorage: root " + Quoted(root) +
                                   ", expected a path");
  }
  std::string trimmed = root;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  auto tree = std::make_shared<DirectoryTree>(std::move(trimmed));
  Status s = tree->Open();
  if (s.ok()) *out = std::make_shared<DirectoryStorage>(std::move(tree));
  return s;
}

}  // namespace slipstream
