// The layers point one way, and no file grows without end: read from the sources.

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace slipstream {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = SLIPSTREAM_SOURCE_DIR;

struct SourceLine {
  std::string file;  // relative to the root
  int number = 0;
  std::string text;
};

bool IsSource(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".h" || extension == ".cc";
}

// All sources below a directory of the project, in order.
std::vector<fs::path> SourcesIn(const std::string& directory) {
  std::vector<fs::path> sources;
  if (!fs::exists(kRoot / directory)) return sources;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / directory)) {
    if (entry.is_regular_file() && IsSource(entry.path())) sources.push_back(entry.path());
  }
  std::sort(sources.begin(), sources.end());
  return sources;
}

struct Include {
  SourceLine line;
  std::string header;
  bool quoted = false;  // else in angle brackets
};

std::vector<Include> IncludesIn(const std::string& directory) {
  static const std::regex kInclude(R"re(^\s*#\s*include\s*(["<])([^">]+)[">].*)re");
  std::vector<Include> includes;
  for (const fs::path& path : SourcesIn(directory)) {
    std::ifstream in(path);
    std::string text;
    for (int number = 1; std::getline(in, text); ++number) {
      std::smatch match;
      if (!std::regex_match(text, match, kInclude)) continue;
      includes.push_back({{fs::relative(path, kRoot).string(), number, text},
                          match[2].str(),
                          match[1].str() == "\""});
    }
  }
  REQUIRE_FALSE(includes.empty());
  return includes;
}

// Prints each line that `allowed` does not like.
void CheckIncludes(const std::string& directory,
                   const std::function<bool(const Include&)>& allowed) {
  for (const Include& include : IncludesIn(directory)) {
    if (allowed(include)) continue;
    FAIL_CHECK(include.line.file << ":" << include.line.number << ": " << include.line.text);
  }
  SUCCEED();
}

bool IsOurs(const Include& include) {
  static const std::vector<std::string> kFolders = {"lib/", "slipstream/", "tests/", "bench/",
                                                    "examples/"};
  return std::any_of(kFolders.begin(), kFolders.end(),
                     [&](const std::string& folder) { return include.header.starts_with(folder); });
}

bool IsWire(const Include& include) {
  return include.header.starts_with("grpc") || include.header.starts_with("google/protobuf/") ||
         include.header.ends_with(".pb.h") || include.header.starts_with("lib/wire/");
}

// A header of the standard library has no suffix.
bool IsStandard(const Include& include) {
  return !include.quoted && include.header.find_first_of("./") == std::string::npos;
}

TEST_CASE("layers: the core includes nothing of ours outside itself", "[unit]") {
  CheckIncludes("lib/core", [](const Include& include) {
    return !IsOurs(include) || include.header.starts_with("lib/core/") ||
           include.header.starts_with("slipstream/");
  });
}

TEST_CASE("layers: the core has no thread, clock, socket or file", "[unit]") {
  static const std::set<std::string> kImpure = {"thread",
                                                "mutex",
                                                "condition_variable",
                                                "future",
                                                "chrono",
                                                "fstream",
                                                "filesystem",
                                                "absl/synchronization/mutex.h",
                                                "absl/time/clock.h",
                                                "rocksdb/env.h",
                                                "rocksdb/file_system.h",
                                                "unistd.h",
                                                "pthread.h",
                                                "fcntl.h",
                                                "sys/socket.h"};
  CheckIncludes("lib/core",
                [](const Include& include) { return kImpure.count(include.header) == 0; });
}

TEST_CASE("layers: leader and follower do not know each other", "[unit]") {
  CheckIncludes("lib/leader", [](const Include& include) {
    return !include.header.starts_with("lib/follower/") &&
           include.header != "slipstream/follower.h";
  });
  CheckIncludes("lib/follower", [](const Include& include) {
    return !include.header.starts_with("lib/leader/") && include.header != "slipstream/leader.h";
  });
}

TEST_CASE("layers: storage and wire know neither leader nor follower", "[unit]") {
  for (const std::string directory : {"lib/storage", "lib/wire", "lib/host"}) {
    CheckIncludes(directory, [](const Include& include) {
      return !include.header.starts_with("lib/leader/") &&
             !include.header.starts_with("lib/follower/");
    });
  }
}

TEST_CASE("layers: the memtable knows only itself and the core", "[unit]") {
  CheckIncludes("lib/memtable", [](const Include& include) {
    return !IsOurs(include) || include.header.starts_with("lib/memtable/") ||
           include.header.starts_with("lib/core/") ||
           include.header == "slipstream/replay_memtable.h";
  });
}

TEST_CASE("layers: the tree of the memtable includes the standard library alone", "[unit]") {
  CheckIncludes("lib/memtable", [](const Include& include) {
    return include.line.file == "lib/memtable/replay_memtable.cc" || IsStandard(include) ||
           include.header.starts_with("lib/memtable/");
  });
}

TEST_CASE("layers: what observes knows only itself and the host", "[unit]") {
  CheckIncludes("lib/observe", [](const Include& include) {
    return !IsOurs(include) || include.header.starts_with("lib/observe/") ||
           include.header.starts_with("lib/host/") ||
           include.header.starts_with("slipstream/observe/") ||
           (include.line.file.starts_with("lib/observe/history/") &&
            (include.header.starts_with("lib/core/") ||
             include.header == "slipstream/shared_storage.h"));
  });
  // The task registry needs no other library than ours and RocksDB's; the rest may.
  CheckIncludes("lib/observe", [](const Include& include) {
    return !include.header.starts_with("nlohmann/") ||
           include.line.file.starts_with("lib/observe/history/") ||
           include.line.file.starts_with("lib/observe/http/") ||
           include.line.file.starts_with("lib/observe/stacks/");
  });
  CheckIncludes("lib/observe", [](const Include& include) {
    return include.line.file.starts_with("lib/observe/http/") ||
           !(include.header == "httplib.h" || include.header.starts_with("prometheus/") ||
             include.header.starts_with("openssl/"));
  });
  // A host may use it without any other header of the library.
  CheckIncludes("include/slipstream/observe", [](const Include& include) {
    return !IsOurs(include) || include.header.starts_with("slipstream/observe/");
  });
}

TEST_CASE("layers: gRPC and Protobuf are the wire's alone", "[unit]") {
  for (const auto& entry : fs::directory_iterator(kRoot / "lib")) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() || name == "wire") continue;
    CheckIncludes("lib/" + name, [](const Include& include) {
      // The transport is made where the follower is put together; its header shows no gRPC.
      if (include.line.file == "lib/follower/follower.cc" &&
          include.header == "lib/wire/grpc_transport.h") {
        return true;
      }
      return !IsWire(include);
    });
  }
}

TEST_CASE("layers: public headers include the standard library, RocksDB and each other", "[unit]") {
  CheckIncludes("include", [](const Include& include) {
    return IsStandard(include) || include.header.starts_with("rocksdb/") ||
           include.header.starts_with("slipstream/");
  });
}

TEST_CASE("layers: headers of the project are included by their path from the root", "[unit]") {
  for (const std::string directory : {"lib", "tests"}) {
    CheckIncludes(directory, [](const Include& include) {
      if (!include.quoted) return true;
      return fs::exists(kRoot / include.header) || fs::exists(kRoot / "include" / include.header) ||
             include.header.find("/") != std::string::npos;
    });
  }
}

TEST_CASE("layers: no time of the library is the wall clock's", "[unit]") {
  // Abseil's limits are the wall clock's too; see lib/host/steady_cond_var.h.
  const std::regex wall_clock(
      R"re(absl::Now\(|WithTimeout\(|WithDeadline\(|system_clock|gettimeofday|\btime\(nullptr)re");
  int lines = 0;
  for (const fs::path& path : SourcesIn("lib")) {
    // Files have no other time, and those of other processes are compared with it.
    if (fs::relative(path, kRoot).string().starts_with("lib/storage/")) continue;
    // Says why.
    if (fs::relative(path, kRoot) == "lib/observe/wall_clock.h") continue;
    std::ifstream in(path);
    std::string text;
    for (int number = 1; std::getline(in, text); ++number, ++lines) {
      if (std::regex_search(text, wall_clock)) {
        FAIL_CHECK(fs::relative(path, kRoot).string() << ":" << number << ": " << text);
      }
    }
  }
  REQUIRE(lines > 1000);
}

TEST_CASE("layers: a file has at most 600 lines", "[unit]") {
  // With the reason.
  static const std::set<std::string> kLonger = {
      // A whole program, to be read and copied as one.
      "examples/package_search.cc",
      // One case for each kind of edit.
      "tests/unit/version_edit_test.cc",
  };
  constexpr int kMaxLines = 600;
  int files = 0;
  for (const std::string directory : {"lib", "include", "tests", "examples", "bench"}) {
    for (const fs::path& path : SourcesIn(directory)) {
      std::ifstream in(path);
      int lines = 0;
      std::string text;
      while (std::getline(in, text)) ++lines;
      ++files;
      const std::string name = fs::relative(path, kRoot).string();
      if (lines > kMaxLines && kLonger.count(name) == 0) {
        FAIL_CHECK(name << " has " << lines << " lines, expected at most " << kMaxLines);
      }
    }
  }
  REQUIRE(files > 50);
}

}  // namespace
}  // namespace slipstream
