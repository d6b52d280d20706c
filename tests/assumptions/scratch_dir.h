#ifndef SLIPSTREAM_TESTS_ASSUMPTIONS_SCRATCH_DIR_H_
#define SLIPSTREAM_TESTS_ASSUMPTIONS_SCRATCH_DIR_H_

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "catch2/catch.hpp"

namespace slipstream {

// An empty directory that exists as long as this object.
class ScratchDir {
 public:
  ScratchDir() {
    std::string name =
        (std::filesystem::temp_directory_path() / "slipstream-assumptions-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }

  ~ScratchDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }

  // Returns the sorted base names of the files whose name ends with `suffix`.
  std::vector<std::string> FilesEndingWith(const std::string& suffix) const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      if (entry.path().string().ends_with(suffix)) {
        names.push_back(entry.path().filename().string());
      }
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  // Copies every file of `source`, an open or closed database, as a crash at this moment would
  // have left it. The lock file stays behind: it belongs to the process that made it.
  void CopyFilesOf(const ScratchDir& source) const {
    for (const auto& entry : std::filesystem::directory_iterator(source.path_)) {
      const std::filesystem::path& from = entry.path();
      std::error_code error;
      if (from.filename() == "LOCK" || !entry.is_regular_file(error)) continue;
      std::filesystem::copy_file(from, path_ / from.filename(), error);
      // An open database may still be removing what it does not need any more.
      if (error == std::errc::no_such_file_or_directory) continue;
      INFO("copying " << from << ": " << error.message());
      REQUIRE_FALSE(error);
    }
  }

  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace slipstream

#endif  // SLIPSTREAM_TESTS_ASSUMPTIONS_SCRATCH_DIR_H_
