// The directory behind NewDirectoryStorage: which path belongs to which object, and how a finished
// file becomes one.
#pragma once

#include <time.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "rocksdb/status.h"

namespace slipstream {

// Where files are written before they are published; no object's name begins with it.
inline constexpr std::string_view kTempDirectory = ".tmp";

// Returns InvalidArgument, with the name, unless it may be an object's.
[[nodiscard]] rocksdb::Status CheckObjectName(std::string_view name);
// The same for what objects' names may begin with.
[[nodiscard]] rocksdb::Status CheckObjectPrefix(std::string_view prefix);

// Up to and with the last '/'; empty if there is none.
std::string_view DirectoryPart(std::string_view name);

// The files below `root`, shared by the storage and its writers.
// Threads: any.
class DirectoryTree {
 public:
  explicit DirectoryTree(std::string root) : root_(std::move(root)) {}

  // Creates what is missing, checks that files can be written, and removes stale temporary ones.
  rocksdb::Status Open();

  const std::string& root() const { return root_; }
  std::string PathOf(std::string_view name) const { return root_ + "/" + std::string(name); }
  // A path that no other writer uses, on this machine or another.
  std::string NewTempPath();

  // Moves a finished, synced file to an object's name and makes that durable.
  // Returns Busy if the name exists and `replace` is false; the file is then still at `temp_path`.
  rocksdb::Status Publish(const std::string& temp_path, const std::string& name, bool replace);

 private:
  rocksdb::Status CreateRoot();
  rocksdb::Status RemoveStaleTemps(time_t now);
  // Creates the directories that `name` needs and syncs their parents.
  rocksdb::Status CreateParents(std::string_view name);
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

}  // namespace slipstream
