#include "lib/storage/directory_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "lib/core/quoted_text.h"
#include "lib/storage/posix_file.h"

namespace slipstream {
namespace {

using rocksdb::Status;

constexpr time_t kStaleTempSeconds = 24 * 60 * 60;

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
      std::string(what) + " " + Quoted(name) +
      ": expected parts of A-Z a-z 0-9 . _ - joined by '/', none of them empty, \".\" or \"..\", "
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

Status SyncDirectory(const std::string& path) {
  UniqueFd fd(
      RetryInterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!fd.valid()) return FaultStatus("open directory", path, errno);
  // Some network file systems have no sync of a directory and say EINVAL: their server orders it.
  if (RetryInterrupted([&] { return ::fsync(fd.get()); }) != 0 && errno != EINVAL) {
    return FaultStatus("fsync directory", path, errno);
  }
  return Status::OK();
}

}  // namespace

Status CheckObjectName(std::string_view name) {
  return !name.empty() && AreDirectories(std::string(name) + "/") ? Status::OK()
                                                                  : InvalidName("object", name);
}

Status CheckObjectPrefix(std::string_view prefix) {
  const std::string_view directories = DirectoryPart(prefix);
  const std::string_view rest = prefix.substr(directories.size());
  return AreDirectories(directories) && std::all_of(rest.begin(), rest.end(), IsNameCharacter)
             ? Status::OK()
             : InvalidName("prefix", prefix);
}

std::string_view DirectoryPart(std::string_view name) {
  const size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : name.substr(0, slash + 1);
}

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
  if (error == EPERM || error == ENOTSUP || error == ENOSYS) {
    // A file system without hard links.
    if (::renameat2(AT_FDCWD, temp_path.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) {
      return 0;
    }
    error = errno;
  }
  struct stat temp;
  struct stat object;
  if (error != EEXIST || ::lstat(temp_path.c_str(), &temp) != 0 ||
      ::lstat(path.c_str(), &object) != 0) {
    return error;
  }
  // NFS may send a link twice when the first answer is lost, and then reports the success of the
  // first as a failure of the second.
  if (temp.st_dev == object.st_dev && temp.st_ino == object.st_ino) return 0;
  return S_ISDIR(object.st_mode) ? EISDIR : EEXIST;
}

Status DirectoryTree::Publish(const std::string& temp_path, const std::string& name, bool replace) {
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
  if (error != 0) return FaultStatus("publish " + temp_path + " as", path, error);
  // Behind a rename it is gone already.
  ::unlink(temp_path.c_str());
  // If this fails the object is visible but may not survive a crash of the machine. It is not
  // taken back, for others may have seen it.
  return SyncDirectory(PathOf(DirectoryPart(name)));
}

}  // namespace slipstream
