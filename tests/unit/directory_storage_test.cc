#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "lib/core/quoted_text.h"
#include "lib/storage/posix_file.h"
#include "slipstream/shared_storage.h"
#include "tests/unit/random_seed.h"

namespace slipstream {
namespace {

namespace fs = std::filesystem;
using rocksdb::Slice;
using rocksdb::Status;

// A storage in a directory that goes with the test.
class ScratchStorage {
 public:
  ScratchStorage() {
    std::string pattern = (fs::temp_directory_path() / "slipstream-storage-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    top_ = pattern;
    storage_ = Open();
  }

  ~ScratchStorage() {
    storage_.reset();
    std::error_code ignored;
    fs::remove_all(top_, ignored);
  }

  // Another opener of the same directory.
  std::shared_ptr<SharedStorage> Open() const {
    std::shared_ptr<SharedStorage> storage;
    const Status s = NewDirectoryStorage(root().string(), &storage);
    INFO(s.ToString());
    REQUIRE(s.ok());
    return storage;
  }

  // It does not exist before it is opened.
  fs::path root() const { return top_ / "shared" / "objects"; }
  fs::path top() const { return top_; }
  SharedStorage* operator->() const { return storage_.get(); }

  size_t TempFiles() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(root() / ".tmp"), {}));
  }

  std::unique_ptr<ObjectWriter> Writer(const std::string& name) const {
    std::unique_ptr<ObjectWriter> writer;
    REQUIRE(storage_->NewWriter(name, &writer).ok());
    return writer;
  }

  std::unique_ptr<ObjectReader> Reader(const std::string& name) const {
    std::unique_ptr<ObjectReader> reader;
    REQUIRE(storage_->NewReader(name, &reader).ok());
    return reader;
  }

  std::string Content(const std::string& name) const {
    const auto reader = Reader(name);
    std::string scratch(reader->size() + 1, '\0');
    Slice result;
    REQUIRE(reader->Read(0, scratch.size(), &result, scratch.data()).ok());
    REQUIRE(result.size() == reader->size());
    return result.ToString();
  }

  std::vector<std::string> List(const std::string& prefix) const {
    std::vector<std::string> names;
    REQUIRE(storage_->List(prefix, &names).ok());
    return names;
  }

 private:
  fs::path top_;
  std::shared_ptr<SharedStorage> storage_;
};

using Names = std::vector<std::string>;

TEST_CASE("directory_storage: a committed object is read back whole", "[unit]") {
  const ScratchStorage storage;
  // Below, at and above the size of the write buffer, in pieces that do not divide it.
  for (const size_t size : {0, 1, 4096, 262143, 262144, 262145, 1000000}) {
    std::string data(size, '\0');
    for (size_t i = 0; i < size; ++i) data[i] = static_cast<char>(i * 7 + i / 251);
    const std::string name = "db/sst/" + std::to_string(size);
    auto writer = storage.Writer(name);
    for (size_t at = 0; at < size; at += 70001) {
      REQUIRE(writer->Append(Slice(data).ToString().substr(at, 70001)).ok());
      if (at % 3 == 0) REQUIRE(writer->Sync().ok());
    }
    REQUIRE(writer->Commit().ok());
    REQUIRE(storage.Content(name) == data);
    uint64_t found = 1;
    REQUIRE(storage->Size(name, &found).ok());
    REQUIRE(found == size);
  }
  REQUIRE(storage.TempFiles() == 0);
}

TEST_CASE("directory_storage: an append larger than the buffer keeps its place", "[unit]") {
  const ScratchStorage storage;
  auto writer = storage.Writer("o");
  const std::string large(700000, 'L');
  REQUIRE(writer->Append("head").ok());
  REQUIRE(writer->Append(large).ok());
  REQUIRE(writer->Append("tail").ok());
  REQUIRE(writer->Commit().ok());
  REQUIRE(storage.Content("o") == "head" + large + "tail");
}

TEST_CASE("directory_storage: nothing is visible before Commit", "[unit]") {
  const ScratchStorage storage;
  auto writer = storage.Writer("db/sst/1");
  REQUIRE(writer->Append(std::string(1 << 20, 'x')).ok());
  REQUIRE(writer->Sync().ok());
  std::unique_ptr<ObjectReader> reader;
  uint64_t size = 0;
  REQUIRE(storage->NewReader("db/sst/1", &reader).IsNotFound());
  REQUIRE(reader == nullptr);
  REQUIRE(storage->Size("db/sst/1", &size).IsNotFound());
  REQUIRE(storage.List("").empty());
  REQUIRE(storage.Open()->NewReader("db/sst/1", &reader).IsNotFound());
  REQUIRE(writer->Commit().ok());
  REQUIRE(storage.List("") == Names{"db/sst/1"});
  REQUIRE(storage.Open()->NewReader("db/sst/1", &reader).ok());
}

TEST_CASE("directory_storage: an abandoned writer leaves no file", "[unit]") {
  const ScratchStorage storage;
  {
    auto writer = storage.Writer("db/sst/1");
    REQUIRE(writer->Append(std::string(1 << 20, 'x')).ok());
    REQUIRE(storage.TempFiles() == 1);
  }
  REQUIRE(storage.TempFiles() == 0);
  REQUIRE(storage.List("").empty());
}

TEST_CASE("directory_storage: Commit on an existing name is Busy and changes nothing", "[unit]") {
  const ScratchStorage storage;
  REQUIRE(storage->PutIfAbsent("a/b", "first").ok());
  {
    auto writer = storage.Writer("a/b");
    REQUIRE(writer->Append("second").ok());
    const Status s = writer->Commit();
    REQUIRE(s.IsBusy());
    REQUIRE(s.ToString().find("a/b") != std::string::npos);
    REQUIRE_FALSE(writer->Append("more").ok());
  }
  REQUIRE(storage->PutIfAbsent("a/b", "third").IsBusy());
  REQUIRE(storage.Content("a/b") == "first");
  REQUIRE(storage.TempFiles() == 0);
}

TEST_CASE("directory_storage: a second Commit of a writer is refused", "[unit]") {
  const ScratchStorage storage;
  auto writer = storage.Writer("o");
  REQUIRE(writer->Append("x").ok());
  REQUIRE(writer->Commit().ok());
  REQUIRE(writer->Commit().IsInvalidArgument());
  REQUIRE(writer->Append("y").IsInvalidArgument());
  writer.reset();
  REQUIRE(storage.Content("o") == "x");
}

TEST_CASE("directory_storage: exactly one of racing PutIfAbsent gets OK", "[unit]") {
  constexpr int kThreads = 8;
  constexpr int kRounds = 30;
  const ScratchStorage storage;
  const auto second = storage.Open();
  std::barrier start(kThreads);
  std::vector<std::atomic<int>> winner(kRounds);
  std::vector<std::atomic<int>> wins(kRounds);
  std::atomic<int> unexpected{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      // Half of them through another opening, as another process would.
      SharedStorage* mine = t % 2 == 0 ? storage.operator->() : second.get();
      for (int round = 0; round < kRounds; ++round) {
        start.arrive_and_wait();
        const Status s =
            mine->PutIfAbsent("db" + std::to_string(round) + "/epoch/1", std::to_string(t));
        if (s.ok()) {
          ++wins[static_cast<size_t>(round)];
          winner[static_cast<size_t>(round)] = t;
        } else if (!s.IsBusy()) {
          ++unexpected;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(unexpected == 0);
  for (size_t round = 0; round < kRounds; ++round) {
    REQUIRE(wins[round] == 1);
    REQUIRE(storage.Content("db" + std::to_string(round) + "/epoch/1") ==
            std::to_string(winner[round]));
  }
  REQUIRE(storage.TempFiles() == 0);
}

TEST_CASE("directory_storage: readers of a replaced object see the old or the new one", "[unit]") {
  const ScratchStorage storage;
  const std::string old_one(50000, 'o');
  const std::string new_one(70000, 'n');
  REQUIRE(storage->Put("x/current", old_one).ok());
  const auto held = storage.Reader("x/current");
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; i < 50; ++i) {
      if (!storage->Put("x/current", i % 2 == 0 ? new_one : old_one).ok()) break;
    }
    stop = true;
  });
  int torn = 0;
  while (!stop) {
    std::unique_ptr<ObjectReader> reader;
    std::string scratch(80000, '\0');
    Slice result;
    if (!storage->NewReader("x/current", &reader).ok() ||
        !reader->Read(0, scratch.size(), &result, scratch.data()).ok() ||
        (result != Slice(old_one) && result != Slice(new_one))) {
      ++torn;
    }
  }
  writer.join();
  REQUIRE(torn == 0);
  std::string scratch(80000, '\0');
  Slice result;
  REQUIRE(held->Read(0, scratch.size(), &result, scratch.data()).ok());
  REQUIRE(result == Slice(old_one));
  REQUIRE(storage.TempFiles() == 0);
}

TEST_CASE("directory_storage: ranges are short at the end only", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  std::string data(100000, '\0');
  for (char& c : data) c = static_cast<char>(random());
  const ScratchStorage storage;
  REQUIRE(storage->PutIfAbsent("o", data).ok());
  const auto reader = storage.Reader("o");
  REQUIRE(reader->size() == data.size());
  std::string scratch(2 * data.size(), '\0');
  Slice result;
  for (int i = 0; i < 500; ++i) {
    const size_t offset = random() % (data.size() + 10);
    const size_t n = random() % (data.size() + 10);
    REQUIRE(reader->Read(offset, n, &result, scratch.data()).ok());
    const std::string expected = offset < data.size() ? data.substr(offset, n) : "";
    REQUIRE(result == Slice(expected));
  }
  for (const uint64_t offset : {uint64_t{100000}, uint64_t{1} << 40, UINT64_MAX}) {
    REQUIRE(reader->Read(offset, 10, &result, scratch.data()).ok());
    REQUIRE(result.empty());
  }
  REQUIRE(reader->Read(5, 0, &result, scratch.data()).ok());
  REQUIRE(result.empty());
}

TEST_CASE("directory_storage: many threads read one reader", "[unit]") {
  std::string data(400000, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 31 + i / 255);
  const ScratchStorage storage;
  REQUIRE(storage->PutIfAbsent("o", data).ok());
  const auto reader = storage.Reader("o");
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::string scratch(5000, '\0');
      for (size_t at = t * 1000; at + 5000 <= data.size(); at += 4999) {
        Slice result;
        if (!reader->Read(at, 5000, &result, scratch.data()).ok() ||
            result != Slice(data.data() + at, 5000)) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(wrong == 0);
}

TEST_CASE("directory_storage: a deleted object stays readable through an open reader", "[unit]") {
  ScratchStorage storage;
  REQUIRE(storage->PutIfAbsent("o", "still here").ok());
  const auto reader = storage.Reader("o");
  REQUIRE(storage->Delete("o").ok());
  std::unique_ptr<ObjectReader> second;
  REQUIRE(storage->NewReader("o", &second).IsNotFound());
  char scratch[32];
  Slice result;
  REQUIRE(reader->Read(0, sizeof(scratch), &result, scratch).ok());
  REQUIRE(result == Slice("still here"));
}

TEST_CASE("directory_storage: a reader and a writer outlive their storage", "[unit]") {
  const ScratchStorage storage;
  REQUIRE(storage->PutIfAbsent("o", "abc").ok());
  auto other = storage.Open();
  std::unique_ptr<ObjectReader> reader;
  std::unique_ptr<ObjectWriter> writer;
  REQUIRE(other->NewReader("o", &reader).ok());
  REQUIRE(other->NewWriter("p", &writer).ok());
  other.reset();
  char scratch[8];
  Slice result;
  REQUIRE(reader->Read(1, 8, &result, scratch).ok());
  REQUIRE(result == Slice("bc"));
  REQUIRE(writer->Append("def").ok());
  REQUIRE(writer->Commit().ok());
  REQUIRE(storage.Content("p") == "def");
}

TEST_CASE("directory_storage: deleting what is not there is OK and keeps directories", "[unit]") {
  const ScratchStorage storage;
  REQUIRE(storage->PutIfAbsent("a/b/c", "x").ok());
  REQUIRE(storage->Delete("a/b/d").ok());
  REQUIRE(storage->Delete("q/r/s").ok());
  REQUIRE(storage->Delete("a/b").ok());
  REQUIRE(storage->Delete("a/b/c/d").ok());
  REQUIRE(storage.List("") == Names{"a/b/c"});
  REQUIRE(storage->Delete("a/b/c").ok());
  REQUIRE(storage->Delete("a/b/c").ok());
  REQUIRE(storage.List("").empty());
  REQUIRE(fs::is_directory(storage.root() / "a" / "b"));
  REQUIRE(storage->PutIfAbsent("a/b/c", "again").ok());
}

TEST_CASE("directory_storage: names below a prefix are listed in byte order", "[unit]") {
  const ScratchStorage storage;
  const Names all = {"B",        "a",         "db-2/sst/1",  "db/epoch/00000001",
                     "db/sst/1", "db/sst/10", "db/sst/2",    "db/sst/sub/deep/x",
                     "db/sst_",  "db2/sst/1", "x/.tmp/kept", "x/.y"};
  Names shuffled = all;
  std::reverse(shuffled.begin(), shuffled.end());
  for (const std::string& name : shuffled) REQUIRE(storage->Put(name, "").ok());
  REQUIRE(std::is_sorted(all.begin(), all.end()));
  REQUIRE(storage.List("") == all);
  for (const std::string prefix :
       {"a", "d", "db", "db/", "db/s", "db/sst", "db/sst/", "db/sst/1", "db/sst/s",
        "db/sst/sub/deep/", "db/sst/1/", "db/x/", "x/.", "none/at/all/", "db2/"}) {
    INFO("prefix: " << prefix);
    Names expected;
    std::copy_if(all.begin(), all.end(), std::back_inserter(expected),
                 [&](const std::string& name) { return name.starts_with(prefix); });
    REQUIRE(storage.List(prefix) == expected);
  }
}

TEST_CASE("directory_storage: a listing replaces what the vector held", "[unit]") {
  const ScratchStorage storage;
  REQUIRE(storage->Put("a", "").ok());
  Names names = {"old"};
  REQUIRE(storage->List("a", &names).ok());
  REQUIRE(names == Names{"a"});
  REQUIRE(storage->List("b", &names).ok());
  REQUIRE(names.empty());
}

TEST_CASE("directory_storage: files that are no objects are not listed", "[unit]") {
  const ScratchStorage storage;
  REQUIRE(storage->Put("db/sst/1", "").ok());
  std::ofstream(storage.root() / "db" / "backup~");
  std::ofstream(storage.root() / "db" / "sst" / ".nfs000000000012ab3400000001");
  std::ofstream(storage.root() / ".tmp" / "left");
  fs::create_symlink(storage.top(), storage.root() / "loop");
  REQUIRE(storage.List("") == Names{"db/sst/1"});
  std::unique_ptr<ObjectReader> reader;
  uint64_t size = 0;
  REQUIRE(storage->NewReader("db/sst", &reader).IsNotFound());
  REQUIRE(storage->Size("db/sst", &size).IsNotFound());
  REQUIRE(storage->NewReader("db/sst/1/x", &reader).IsNotFound());
}

TEST_CASE("directory_storage: names outside the contract are refused by every call", "[unit]") {
  const ScratchStorage storage;
  std::ofstream(storage.top() / "outside") << "secret";
  for (const std::string& name :
       {std::string(), std::string("/"), std::string("/a"), std::string("a/"), std::string("a//b"),
        std::string("."), std::string(".."), std::string("a/../b"), std::string("./a"),
        std::string("../../outside"), std::string("a b"), std::string("a\n"),
        std::string("a\0b", 3), std::string("é"), std::string("a\\b"), std::string("a:b"),
        std::string(".tmp"), std::string(".tmp/x")}) {
    INFO("name: " << name);
    std::unique_ptr<ObjectReader> reader;
    std::unique_ptr<ObjectWriter> writer;
    uint64_t size = 0;
    const Status s = storage->NewReader(name, &reader);
    REQUIRE(s.IsInvalidArgument());
    REQUIRE(s.ToString().find(Quoted(name)) != std::string::npos);
    REQUIRE(storage->NewWriter(name, &writer).IsInvalidArgument());
    REQUIRE((reader == nullptr && writer == nullptr));
    REQUIRE(storage->PutIfAbsent(name, "x").IsInvalidArgument());
    REQUIRE(storage->Put(name, "x").IsInvalidArgument());
    REQUIRE(storage->Size(name, &size).IsInvalidArgument());
    REQUIRE(storage->Delete(name).IsInvalidArgument());
  }
  Names names = {"old"};
  for (const std::string prefix : {"/", "../", "a/../", "./", "a//", " ", ".tmp/", "a/b c"}) {
    INFO("prefix: " << prefix);
    REQUIRE(storage->List(prefix, &names).IsInvalidArgument());
    REQUIRE(names.empty());
  }
  REQUIRE(storage.List("").empty());
}

TEST_CASE("directory_storage: an object and a directory of one name are told apart", "[unit]") {
  const ScratchStorage storage;
  REQUIRE(storage->PutIfAbsent("a", "x").ok());
  Status s = storage->PutIfAbsent("a/b", "y");
  REQUIRE((s.IsIOError() && s.ToString().find("/a/b: Not a directory") != std::string::npos));
  REQUIRE(storage->PutIfAbsent("c/d", "z").ok());
  s = storage->PutIfAbsent("c", "y");
  REQUIRE((s.IsIOError() && s.ToString().find("/c: Is a directory") != std::string::npos));
  REQUIRE(storage.List("") == Names{"a", "c/d"});
  REQUIRE(storage.TempFiles() == 0);
}

TEST_CASE("directory_storage: directories removed by hand are created again", "[unit]") {
  const ScratchStorage storage;
  REQUIRE(storage->PutIfAbsent("a/b/c", "x").ok());
  fs::remove_all(storage.root() / "a");
  REQUIRE(storage->PutIfAbsent("a/b/c", "y").ok());
  REQUIRE(storage.Content("a/b/c") == "y");
}

TEST_CASE("directory_storage: opening removes temporary files of more than a day", "[unit]") {
  const ScratchStorage storage;
  const fs::path stale = storage.root() / ".tmp" / "stale";
  const fs::path fresh = storage.root() / ".tmp" / "fresh";
  std::ofstream(stale) << "x";
  std::ofstream(fresh) << "x";
  const struct timespec long_ago[2] = {{86400, 0}, {86400, 0}};
  REQUIRE(::utimensat(AT_FDCWD, stale.c_str(), long_ago, 0) == 0);
  REQUIRE(storage->Put("old", "x").ok());
  REQUIRE(::utimensat(AT_FDCWD, (storage.root() / "old").c_str(), long_ago, 0) == 0);
  storage.Open();
  REQUIRE_FALSE(fs::exists(stale));
  REQUIRE(fs::exists(fresh));
  REQUIRE(storage.List("") == Names{"old"});
}

TEST_CASE("directory_storage: a root that cannot be is refused with its path", "[unit]") {
  const ScratchStorage storage;
  std::ofstream(storage.top() / "file") << "x";
  for (const fs::path& root : {storage.top() / "file", storage.top() / "file" / "below"}) {
    std::shared_ptr<SharedStorage> out = storage.Open();
    const Status s = NewDirectoryStorage(root.string(), &out);
    INFO(s.ToString());
    REQUIRE(s.IsIOError());
    REQUIRE(s.ToString().find((storage.top() / "file").string()) != std::string::npos);
    REQUIRE(out == nullptr);
  }
  std::shared_ptr<SharedStorage> out;
  REQUIRE(NewDirectoryStorage("", &out).IsInvalidArgument());
}

TEST_CASE("directory_storage: it describes itself by its root", "[unit]") {
  const ScratchStorage storage;
  REQUIRE(storage->Describe() == "directory " + storage.root().string());
  std::shared_ptr<SharedStorage> slashes;
  REQUIRE(NewDirectoryStorage(storage.root().string() + "//", &slashes).ok());
  REQUIRE(slashes->Describe() == storage->Describe());
}

TEST_CASE("directory_storage: a failed write is reported and never committed", "[unit]") {
  const ScratchStorage storage;
  // A limit on the size of files stands in for a full disk: write fails in the same place.
  struct rlimit before;
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  auto* const handler = ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit limited = before;
  limited.rlim_cur = 100000;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limited) == 0);
  auto writer = storage.Writer("o");
  const Status appended = writer->Append(std::string(1 << 20, 'x'));
  const Status retried = writer->Append("y");
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  REQUIRE(appended.IsIOError());
  REQUIRE(appended.ToString().find("write " + (storage.root() / ".tmp").string()) !=
          std::string::npos);
  REQUIRE(retried.IsIOError());
  REQUIRE(writer->Sync().IsIOError());
  REQUIRE(writer->Commit().IsIOError());
  writer.reset();
  REQUIRE(storage.List("").empty());
  REQUIRE(storage.TempFiles() == 0);
}

TEST_CASE("directory_storage: a full disk is told apart from other errors", "[unit]") {
  for (const int error : {ENOSPC, EDQUOT}) {
    const Status s = FaultStatus("write", "/some/path", error);
    REQUIRE((s.IsNoSpace() && s.IsIOError()));
    REQUIRE(s.ToString().find("write /some/path: ") != std::string::npos);
  }
  REQUIRE_FALSE(FaultStatus("write", "/some/path", EIO).IsNoSpace());
  REQUIRE(PathStatus("open", "/some/path", ENOENT).IsNotFound());
  REQUIRE((FaultStatus("open", "/some/path", ENOENT).IsIOError()));
}

TEST_CASE("directory_storage: files are not inherited by other programs", "[unit]") {
  const ScratchStorage storage;
  REQUIRE(storage->PutIfAbsent("o", "x").ok());
  const auto reader = storage.Reader("o");
  const auto writer = storage.Writer("p");
  int inherited = 0;
  int found = 0;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const fs::path target = fs::read_symlink(entry.path(), error);
    if (error || !target.string().starts_with(storage.root().string())) continue;
    ++found;
    const int flags = ::fcntl(std::stoi(entry.path().filename().string()), F_GETFD);
    if ((flags & FD_CLOEXEC) == 0) ++inherited;
  }
  REQUIRE(found == 2);
  REQUIRE(inherited == 0);
}

}  // namespace
}  // namespace slipstream
