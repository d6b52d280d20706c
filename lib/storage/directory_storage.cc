#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "slipstream/shared_storage.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

// Kept out of the names of objects; see NewDirectoryStorage.
constexpr std::string_view kTempDirectory = ".tmp";

// Appends are gathered up to this many bytes before a write: RocksDB's come in blocks of some KiB.
constexpr size_t kWriteBufferBytes = 256 << 10;

constexpr time_t kStaleTempSeconds = 24 * 60 * 60;

Status ErrnoStatus(const std::string& operation, const std::string& path, int error) {
  char buffer[128];
  // The GNU variant returns the text; it may or may not be in `buffer`.
  const char* text = strerror_r(error, buffer, sizeof(buffer));
  const std::string message = operation + " " + path + ": " + text;
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Status::NotFound(message);
    case ENOSPC:
    case EDQUOT:
      return Status::NoSpace(message);
    default:
      return Status::IOError(message);
  }
}

// For operations where a missing file is not an answer but a fault of the storage.
Status FaultStatus(const std::string& operation, const std::string& path, int error) {
  Status s = ErrnoStatus(operation, path, error);
  return s.IsNotFound() ? Status::IOError(s.getState()) : s;
}

template <typename Call>
auto RetryInterrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

class UniqueFd {
 public:
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { Close(); }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // Returns 0 or the error. An interrupted close has closed the descriptor on Linux all the same.
  int Close() {
    if (fd_ < 0) return 0;
    const int result = ::close(std::exchange(fd_, -1));
    return result < 0 && errno != EINTR ? errno : 0;
  }

 private:
  int fd_;
};

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

bool IsNamePart(std::string_view part) {
  return !part.empty() && part != "." && part != ".." &&
         std::all_of(part.begin(), part.end(), IsNameCharacter);
}

Status InvalidName(std::string_view what, std::string_view name) {
  return Status::InvalidArgument(
      std::string(what) + " \"" + std::string(name) +
      "\": expected parts of A-Z a-z 0-9 . _ - joined by '/', none of them empty, \".\" or \"..\", "
      "and the first not \".tmp\"");
}

// The parts of `directories`, each followed by '/', as objects' names may begin with them.
bool AreDirectories(std::string_view directories) {
  bool first = true;
  while (!directories.empty()) {
    const size_t slash = directories.find('/');
    if (slash == std::string_view::npos) return false;
    const std::string_view part = directories.substr(0, slash);
    if (!IsNamePart(part) || (first && part == kTempDirectory)) return false;
    directories.remove_prefix(slash + 1);
    first = false;
  }
  return true;
}

Status CheckName(std::string_view name) {
  return AreDirectories(std::string(name) + "/") && !name.empty() ? Status::OK()
                                                                  : InvalidName("object", name);
}

// Up to and with the last '/'; empty if there is none.
std::string_view DirectoryPart(std::string_view name) {
  const size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : name.substr(0, slash + 1);
}

Status SyncDirectory(const std::string& path) {
  UniqueFd fd(RetryInterrupted(
      [&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!fd.valid()) return FaultStatus("open directory", path, errno);
  // Some network file systems have no sync of a directory and say EINVAL: their server orders it.
  if (RetryInterrupted([&] { return ::fsync(fd.get()); }) != 0 && errno != EINVAL) {
    return FaultStatus("fsync directory", path, errno);
  }
  return Status::OK();
}

// The files below `root`, shared by the storage and its writers.
// Threads: any.
class DirectoryTree {
 public:
  explicit DirectoryTree(std::string root) : root_(std::move(root)) {}

  // Creates what is missing, checks that files can be written, and removes stale temporary ones.
  Status Open();

  const std::string& root() const { return root_; }
  std::string PathOf(std::string_view name) const { return root_ + "/" + std::string(name); }
  // A path that no other writer uses, on this machine or another.
  std::string NewTempPath();

  // Moves a finished, synced file to an object's name and makes that durable.
  // Returns Busy if the name exists and `replace` is false; the file is then still at `temp_path`.
  Status Publish(const std::string& temp_path, const std::string& name, bool replace);

 private:
  Status CreateRoot();
  Status RemoveStaleTemps(time_t now);
  // Creates the directories that `name` needs and syncs their parents.
  Status CreateParents(std::string_view name);
  // Returns 0, or the error number.
  int Link(const std::string& temp_path, const std::string& path);

  const std::string root_;
  uint64_t random_ = 0;
  std::atomic<uint64_t> counter_{0};

  absl::Mutex mutex_;
  // Directories whose entries in their parents are known to be durable: names that end with '/'.
  // One that another writer has just created is not, although it exists.
  std::set<std::string, std::less<>> durable_ ABSL_GUARDED_BY(mutex_);
};

Status DirectoryTree::CreateRoot() {
  for (size_t at = 0; at != std::string::npos;) {
    at = root_.find('/', at + 1);
    const std::string path = root_.substr(0, at);
    if (::mkdir(path.c_str(), 0755) == 0) {
      const size_t slash = path.rfind('/');
      Status s = SyncDirectory(slash == std::string::npos ? "."
                               : slash == 0               ? "/"
                                                          : path.substr(0, slash));
      if (!s.ok()) return s;
      continue;
    }
    const int error = errno;
    struct stat info;
    // What exists may refuse mkdir with another error than EEXIST, for example EROFS.
    if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) continue;
    return FaultStatus("create directory", path, error == EEXIST ? ENOTDIR : error);
  }
  const std::string temp = PathOf(kTempDirectory);
  if (::mkdir(temp.c_str(), 0755) != 0 && errno != EEXIST) {
    return FaultStatus("create directory", temp, errno);
  }
  return Status::OK();
}

Status DirectoryTree::Open() {
  if (RetryInterrupted([&] { return ::getrandom(&random_, sizeof(random_), 0); }) !=
      static_cast<ssize_t>(sizeof(random_))) {
    return FaultStatus("getrandom for", root_, errno);
  }
  Status s = CreateRoot();
  if (!s.ok()) return s;
  // The age of other files is measured against this one, by the clock of the file system.
  const std::string probe = NewTempPath();
  UniqueFd fd(RetryInterrupted(
      [&] { return ::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644); }));
  if (!fd.valid()) return FaultStatus("create", probe, errno);
  struct stat info;
  const int error = ::fstat(fd.get(), &info) == 0 ? 0 : errno;
  ::unlink(probe.c_str());
  if (error != 0) return FaultStatus("stat", probe, error);
  return RemoveStaleTemps(info.st_mtime);
}

Status DirectoryTree::RemoveStaleTemps(time_t now) {
  const std::string temp = PathOf(kTempDirectory);
  DIR* directory = ::opendir(temp.c_str());
  if (directory == nullptr) return FaultStatus("open directory", temp, errno);
  while (const dirent* entry = ::readdir(directory)) {
    struct stat info;
    if (::fstatat(::dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(info.st_mode) && info.st_mtime < now - kStaleTempSeconds) {
      // Another opener may be faster; a file that stays is tried again at the next opening.
      ::unlinkat(::dirfd(directory), entry->d_name, 0);
    }
  }
  ::closedir(directory);
  return Status::OK();
}

std::string DirectoryTree::NewTempPath() {
  char name[80];
  // The process id as of now: a forked child has a copy of the other two.
  snprintf(name, sizeof(name), "%ld-%016llx-%llu", static_cast<long>(::getpid()),
           static_cast<unsigned long long>(random_),
           static_cast<unsigned long long>(counter_.fetch_add(1, std::memory_order_relaxed)));
  return PathOf(kTempDirectory) + "/" + name;
}

Status DirectoryTree::CreateParents(std::string_view name) {
  for (size_t slash = name.find('/'); slash != std::string_view::npos;
       slash = name.find('/', slash + 1)) {
    const std::string_view directory = name.substr(0, slash + 1);
    {
      absl::MutexLock lock(&mutex_);
      if (durable_.contains(directory)) continue;
    }
    const std::string path = PathOf(directory.substr(0, slash));
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
      return FaultStatus("create directory", path, errno);
    }
    Status s = SyncDirectory(PathOf(DirectoryPart(directory.substr(0, slash))));
    if (!s.ok()) return s;
    absl::MutexLock lock(&mutex_);
    durable_.emplace(directory);
  }
  return Status::OK();
}

int DirectoryTree::Link(const std::string& temp_path, const std::string& path) {
  if (::link(temp_path.c_str(), path.c_str()) == 0) return 0;
  int error = errno;
  if (error == EEXIST) {
    // NFS may send a link twice when the first answer is lost, and then reports the success of
    // the first as a failure of the second.
    struct stat temp;
    struct stat object;
    if (::lstat(temp_path.c_str(), &temp) == 0 && ::lstat(path.c_str(), &object) == 0) {
      if (temp.st_dev == object.st_dev && temp.st_ino == object.st_ino) return 0;
      if (S_ISDIR(object.st_mode)) return EISDIR;
    }
    return EEXIST;
  }
  if (error == EPERM || error == ENOTSUP || error == ENOSYS || error == EMLINK) {
    // A file system without hard links.
    if (::renameat2(AT_FDCWD, temp_path.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) {
      return 0;
    }
    error = errno;
  }
  return error;
}

Status DirectoryTree::Publish(const std::string& temp_path, const std::string& name,
                              bool replace) {
  const std::string path = PathOf(name);
  int error = 0;
  for (int attempt = 0; attempt < 2; ++attempt) {
    Status s = CreateParents(name);
    if (!s.ok()) return s;
    if (replace) {
      error = ::rename(temp_path.c_str(), path.c_str()) == 0 ? 0 : errno;
    } else {
      error = Link(temp_path, path);
    }
    if (error != ENOENT) break;
    // Somebody removed a directory by hand; what is known of directories is no longer true.
    absl::MutexLock lock(&mutex_);
    durable_.clear();
  }
  if (error == EEXIST) return Status::Busy("object exists already: " + path);
  if (error != 0) return FaultStatus(replace ? "rename to" : "link", path, error);
  // Behind a rename it is gone already.
  ::unlink(temp_path.c_str());
  // If this fails the object is visible but may not survive a crash of the machine. It is not
  // taken back, for others may have seen it.
  return SyncDirectory(PathOf(DirectoryPart(name)));
}

class DirectoryWriter : public ObjectWriter {
 public:
  static Status Open(std::shared_ptr<DirectoryTree> tree, const std::string& name,
                     std::unique_ptr<DirectoryWriter>* out) {
    const std::string temp_path = tree->NewTempPath();
    const int fd = RetryInterrupted([&] {
      return ::open(temp_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    });
    if (fd < 0) return FaultStatus("create", temp_path, errno);
    *out = std::make_unique<DirectoryWriter>(std::move(tree), name, temp_path, fd);
    return Status::OK();
  }

  DirectoryWriter(std::shared_ptr<DirectoryTree> tree, std::string name, std::string temp_path,
                  int fd)
      : tree_(std::move(tree)), name_(std::move(name)), temp_path_(std::move(temp_path)), fd_(fd) {}

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
    published_ = s.ok();
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
  DirectoryReader(std::string path, int fd, uint64_t size)
      : path_(std::move(path)), fd_(fd), size_(size) {}

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
        if (errno == ESTALE) return ErrnoStatus("read", path_, ENOENT);
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
    if (!IsNamePart(part) || (directory.empty() && part == kTempDirectory)) return;
    // NFS keeps a file that was removed while it was open under such a name.
    if (part.starts_with(".nfs")) return;
    unsigned char type = entry.d_type;
    if (type == DT_UNKNOWN) {
      struct stat info;
      if (::fstatat(fd, entry.d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) return;
      type = S_ISREG(info.st_mode) ? DT_REG : S_ISDIR(info.st_mode) ? DT_DIR : DT_LNK;
    }
    std::string name = directory + entry.d_name;
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
    Status s = CheckName(name);
    if (!s.ok()) return s;
    const std::string path = tree_->PathOf(name);
    const int raw =
        RetryInterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
    if (raw < 0) return ErrnoStatus("open", path, errno);
    auto fd = std::make_unique<UniqueFd>(raw);
    struct stat info;
    if (::fstat(raw, &info) != 0) return FaultStatus("stat", path, errno);
    if (!S_ISREG(info.st_mode)) return Status::NotFound("open " + path + ": not a regular file");
    *out = std::make_unique<DirectoryReader>(path, fd->Release(),
                                             static_cast<uint64_t>(info.st_size));
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
    Status s = CheckName(name);
    if (!s.ok()) return s;
    const std::string path = tree_->PathOf(name);
    struct stat info;
    if (::stat(path.c_str(), &info) != 0) return ErrnoStatus("stat", path, errno);
    if (!S_ISREG(info.st_mode)) return Status::NotFound("stat " + path + ": not a regular file");
    *size = static_cast<uint64_t>(info.st_size);
    return Status::OK();
  }

  Status List(const std::string& prefix, std::vector<std::string>* names) override {
    names->clear();
    const std::string directory(DirectoryPart(prefix));
    const std::string_view rest = std::string_view(prefix).substr(directory.size());
    if (!AreDirectories(directory) || !std::all_of(rest.begin(), rest.end(), IsNameCharacter)) {
      return InvalidName("prefix", prefix);
    }
    Status s = ListWalk(*tree_, prefix, names).Walk(directory);
    if (!s.ok()) names->clear();
    std::sort(names->begin(), names->end());
    return s;
  }

  Status Delete(const std::string& name) override {
    Status s = CheckName(name);
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
    Status s = CheckName(name);
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
    return Status::InvalidArgument("NewDirectoryStorage: root \"" + root + "\", expected a path");
  }
  std::string trimmed = root;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  auto tree = std::make_shared<DirectoryTree>(std::move(trimmed));
  Status s = tree->Open();
  if (s.ok()) *out = std::make_shared<DirectoryStorage>(std::move(tree));
  return s;
}

}  // namespace slipstream
