// A directory for one test.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "catch2/catch.hpp"

namespace slipstream::testing {

// An empty directory that exists as long as this object.
class TemporaryDirectory {
 public:
  enum class Place {
    kDisk,
    kMemory,  // if the system has such a file system: for thousands of syncs
  };

  explicit TemporaryDirectory(Place place = Place::kDisk) {
    const std::filesystem::path memory("/dev/shm");
    const bool in_memory = place == Place::kMemory && ::access(memory.c_str(), W_OK) == 0;
    std::string name =
        ((in_memory ? memory : std::filesystem::temp_directory_path()) / "slipstream-e2e-XXXXXX")
            .string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string path(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace slipstream::testing
