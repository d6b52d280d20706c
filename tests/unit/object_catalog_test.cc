#include "lib/leader/object_catalog.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/core/log_record_writer.h"
#include "tests/unit/scratch_database.h"
#include "tests/unit/unsynced_file_system.h"

namespace slipstream {
namespace {

using rocksdb::Status;
using testing::RequireOk;
using testing::ScratchDirectory;
using testing::UnsyncedFileSystem;

constexpr FrameFile kTable = FrameFile::kTable;

std::unique_ptr<ObjectCatalog> OpenCatalog(const std::string& directory,
                                           std::shared_ptr<UnsyncedFileSystem> fs = nullptr) {
  if (fs == nullptr) fs = std::make_shared<UnsyncedFileSystem>();
  std::unique_ptr<ObjectCatalog> catalog;
  RequireOk(ObjectCatalog::Open(fs, directory, "items", &catalog));
  return catalog;
}

std::string JournalIn(const ScratchDirectory& directory) {
  return directory / ObjectCatalog::kFileName;
}

// Everything a catalogue says, as text.
std::string Describe(const ObjectCatalog& catalog) {
  std::string text;
  for (const ObjectInfo& o : catalog.Objects()) {
    text += "live " + std::to_string(static_cast<int>(o.file)) + " " + std::to_string(o.number) +
            " " + std::to_string(o.epoch) + " " + std::to_string(o.size) + "\n";
  }
  for (const ObjectCatalog::Removed& r : catalog.Reclaimable(std::nullopt)) {
    text += "removed " + std::to_string(r.object.number) + " " + std::to_string(r.object.epoch) +
            " " + std::to_string(r.object.size) + " at " + std::to_string(r.at.epoch) + ":" +
            std::to_string(r.at.offset) + "\n";
  }
  for (const EpochStart& e : catalog.epochs()) {
    text += "epoch " + std::to_string(e.epoch) + " " + std::to_string(e.sequence) + "\n";
  }
  const auto [count, bytes] = catalog.pinned();
  return text + "pinned " + std::to_string(count) + " " + std::to_string(bytes) + "\n";
}

TEST_CASE("object_catalog: an object is live from its commit to its removal", "[unit]") {
  ScratchDirectory directory;
  auto catalog = OpenCatalog(directory.path());
  REQUIRE_FALSE(catalog->Find(7));
  RequireOk(catalog->Create({kTable, 7, 3, 999}));
  REQUIRE(catalog->Find(7)->size == 0);  // until it is whole
  RequireOk(catalog->Commit(7, 1000));
  const auto found = catalog->Find(7);
  REQUIRE(found);
  REQUIRE(found->file == kTable);
  REQUIRE(found->epoch == 3);
  REQUIRE(found->size == 1000);
  REQUIRE(catalog->pinned() == std::pair<uint64_t, uint64_t>(0, 0));

  RequireOk(catalog->Remove(7, Position{3, 50, 0}));
  REQUIRE_FALSE(catalog->Find(7));
  REQUIRE(catalog->Objects().empty());
  REQUIRE(catalog->pinned() == std::pair<uint64_t, uint64_t>(1, 1000));
  RequireOk(catalog->Deleted({kTable, 7, 3, 1000}));
  REQUIRE(catalog->pinned() == std::pair<uint64_t, uint64_t>(0, 0));
  REQUIRE(catalog->Reclaimable(std::nullopt).empty());
}

TEST_CASE("object_catalog: what is not there is not found", "[unit]") {
  ScratchDirectory directory;
  auto catalog = OpenCatalog(directory.path());
  REQUIRE(catalog->Commit(7, 10).IsNotFound());
  REQUIRE(catalog->Remove(7, Position{1, 1, 0}).IsNotFound());
  RequireOk(catalog->Deleted({kTable, 7, 3, 0}));
  RequireOk(catalog->Create({kTable, 7, 3, 0}));
  RequireOk(catalog->Remove(7, Position{3, 1, 0}));
  REQUIRE(catalog->Commit(7, 10).IsNotFound());
  REQUIRE(catalog->Remove(7, Position{3, 1, 0}).IsNotFound());
}

TEST_CASE("object_catalog: an object can be deleted when no cut is before its removal", "[unit]") {
  ScratchDirectory directory;
  auto catalog = OpenCatalog(directory.path());
  for (uint64_t n = 1; n <= 3; ++n) {
    RequireOk(catalog->Create({kTable, n, 4, 0}));
    RequireOk(catalog->Commit(n, 10 * n));
    RequireOk(catalog->Remove(n, Position{4, 100 * n, 0}));
  }
  auto numbers = [&](const std::optional<Position>& pin) {
    std::set<uint64_t> set;
    for (const auto& removed : catalog->Reclaimable(pin)) set.insert(removed.object.number);
    return set;
  };
  REQUIRE(numbers(Position{4, 99, 0}).empty());
  REQUIRE(numbers(Position{4, 100, 0}) == std::set<uint64_t>{1});
  REQUIRE(numbers(Position{4, 299, 0}) == std::set<uint64_t>{1, 2});
  REQUIRE(numbers(Position{4, 300, 0}) == std::set<uint64_t>{1, 2, 3});
  REQUIRE(numbers(Position{3, 1000, 0}).empty());
  REQUIRE(numbers(Position{5, 0, 0}) == std::set<uint64_t>{1, 2, 3});
  REQUIRE(numbers(std::nullopt) == std::set<uint64_t>{1, 2, 3});
  REQUIRE(catalog->pinned() == std::pair<uint64_t, uint64_t>(3, 60));
}

TEST_CASE("object_catalog: a number that is created again is another object", "[unit]") {
  ScratchDirectory directory;
  auto catalog = OpenCatalog(directory.path());
  RequireOk(catalog->Create({kTable, 7, 3, 0}));
  RequireOk(catalog->Commit(7, 1000));
  RequireOk(catalog->Create({kTable, 7, 5, 0}));
  auto check = [&] {
    REQUIRE(catalog->Find(7)->epoch == 5);
    const auto removed = catalog->Reclaimable(Position{5, 0, 0});
    REQUIRE(removed.size() == 1);
    REQUIRE(removed[0].object.epoch == 3);
    REQUIRE(removed[0].object.size == 1000);
    // For a follower of an earlier epoch it is still there.
    REQUIRE(catalog->Reclaimable(Position{4, 1000000, 0}).empty());
  };
  check();
  catalog = OpenCatalog(directory.path());
  check();
  RequireOk(catalog->Commit(7, 11));
  RequireOk(catalog->Remove(7, Position{5, 9, 0}));
  REQUIRE(catalog->pinned() == std::pair<uint64_t, uint64_t>(2, 1011));
  catalog = OpenCatalog(directory.path());
  REQUIRE(catalog->pinned() == std::pair<uint64_t, uint64_t>(2, 1011));
  RequireOk(catalog->Deleted({kTable, 7, 3, 0}));
  REQUIRE(catalog->pinned() == std::pair<uint64_t, uint64_t>(1, 11));
}

TEST_CASE("object_catalog: an object written anew under its own name stays", "[unit]") {
  ScratchDirectory directory;
  auto catalog = OpenCatalog(directory.path());
  // The first attempt failed, the second has the same name on the storage.
  RequireOk(catalog->Create({kTable, 7, 3, 0}));
  RequireOk(catalog->Create({kTable, 7, 3, 0}));
  RequireOk(catalog->Commit(7, 1000));
  for (int i = 0; i < 2; ++i) {
    REQUIRE(catalog->Find(7)->size == 1000);
    REQUIRE(catalog->Reclaimable(std::nullopt).empty());
    REQUIRE(catalog->pinned() == std::pair<uint64_t, uint64_t>(0, 0));
    catalog = OpenCatalog(directory.path());
  }
  RequireOk(catalog->Remove(7, Position{3, 1, 0}));
  RequireOk(catalog->Create({kTable, 7, 3, 0}));
  for (int i = 0; i < 2; ++i) {
    REQUIRE(catalog->Reclaimable(std::nullopt).empty());
    REQUIRE(catalog->pinned() == std::pair<uint64_t, uint64_t>(0, 0));
    catalog = OpenCatalog(directory.path());
  }
}

TEST_CASE("object_catalog: everything survives a reopen", "[unit]") {
  ScratchDirectory directory;
  auto catalog = OpenCatalog(directory.path());
  for (uint64_t n = 1; n <= 50; ++n) {
    const FrameFile file = n % 3 == 0 ? FrameFile::kBlob : kTable;
    RequireOk(catalog->Create({file, n, 1 + n % 4, 0}));
    if (n % 5 != 0) RequireOk(catalog->Commit(n, n * 1000000007));
    if (n % 2 == 0) RequireOk(catalog->Remove(n, Position{4, n * n, 0}));
    if (n % 8 == 0) RequireOk(catalog->Deleted({file, n, 1 + n % 4, 0}));
  }
  RequireOk(catalog->AddEpoch({1, 0}));
  RequireOk(catalog->AddEpoch({4, UINT64_MAX >> 8}));
  const std::string before = Describe(*catalog);
  REQUIRE(catalog->Objects().size() == 25);
  for (int i = 0; i < 3; ++i) {
    catalog = OpenCatalog(directory.path());
    REQUIRE(Describe(*catalog) == before);
  }
}

TEST_CASE("object_catalog: the newest epochs are kept", "[unit]") {
  ScratchDirectory directory;
  auto catalog = OpenCatalog(directory.path());
  for (uint64_t e = 1; e <= 1200; ++e) RequireOk(catalog->AddEpoch({e, e * 10}));
  catalog = OpenCatalog(directory.path());
  const std::vector<EpochStart> epochs = catalog->epochs();
  REQUIRE(epochs.size() == 1000);
  REQUIRE(epochs.front().epoch == 201);
  REQUIRE(epochs.back().epoch == 1200);
  REQUIRE(epochs.back().sequence == 12000);
}

TEST_CASE("object_catalog: the journal of another database is refused", "[unit]") {
  ScratchDirectory directory;
  OpenCatalog(directory.path());
  std::unique_ptr<ObjectCatalog> catalog;
  const Status s = ObjectCatalog::Open(std::make_shared<UnsyncedFileSystem>(), directory.path(),
                                       "orders", &catalog);
  INFO(s.ToString());
  REQUIRE(s.IsInvalidArgument());
  REQUIRE(s.ToString().find("\"items\"") != std::string::npos);
  REQUIRE(catalog == nullptr);
  // It is still intact.
  OpenCatalog(directory.path());
}

TEST_CASE("object_catalog: a journal that is something else is refused", "[unit]") {
  ScratchDirectory directory;
  auto status_of = [&](const std::string& bytes) {
    std::ofstream(JournalIn(directory), std::ios::binary | std::ios::trunc) << bytes;
    std::unique_ptr<ObjectCatalog> catalog;
    return ObjectCatalog::Open(std::make_shared<UnsyncedFileSystem>(), directory.path(), "items",
                               &catalog);
  };
  REQUIRE(status_of("this is a letter, not a journal of objects").IsCorruption());
  auto record = [](const std::string& r) {
    std::string bytes;
    LogRecordWriter().AddRecord(r, &bytes);
    return bytes;
  };
  REQUIRE(status_of(record("")).IsCorruption());
  REQUIRE(status_of(record("\x01nothing")).IsCorruption());
  REQUIRE(status_of(record("\x7f")).IsCorruption());
  REQUIRE(status_of(record("\x02\xff")).IsCorruption());
  const std::string header = std::string("\x01\x12") + "slipstream objects";
  REQUIRE(status_of(record(header + "\x01\x05items")).ok());
  REQUIRE(status_of(record(header + "\x02\x05items")).IsNotSupported());
  REQUIRE(status_of(record(header + "\x01\x05other")).IsInvalidArgument());
}

TEST_CASE("object_catalog: a journal torn at any byte opens to a state that it had", "[unit]") {
  ScratchDirectory directory;
  std::string journal;
  // What is known once the journal has so many bytes.
  std::map<size_t, std::string> known;
  {
    auto catalog = OpenCatalog(directory.path());
    auto note = [&] {
      journal = testing::ReadWholeFile(JournalIn(directory));
      known[journal.size()] = Describe(*catalog);
    };
    note();
    for (uint64_t n = 1; n <= 4; ++n) {
      RequireOk(catalog->Create({kTable, n * 100, 2, 0}));
      note();
      RequireOk(catalog->Commit(n * 100, n * 5000));
      note();
      if (n % 2 == 0) {
        RequireOk(catalog->Remove(n * 100, Position{2, n, 0}));
        note();
      }
      if (n % 4 == 0) {
        RequireOk(catalog->Deleted({kTable, n * 100, 2, 0}));
        note();
      }
      RequireOk(catalog->AddEpoch({n, n * n}));
      note();
    }
  }
  REQUIRE(known.size() > 14);
  const size_t fresh = known.begin()->first;  // an empty catalogue, which is never seen in parts
  for (size_t size = fresh; size <= journal.size(); ++size) {
    INFO("cut at " << size << " of " << journal.size());
    ScratchDirectory torn;
    std::ofstream(JournalIn(torn), std::ios::binary) << journal.substr(0, size);
    REQUIRE(Describe(*OpenCatalog(torn.path())) == std::prev(known.upper_bound(size))->second);
  }
}

TEST_CASE("object_catalog: a flipped bit in the journal is never taken for something else",
          "[unit]") {
  ScratchDirectory directory;
  std::set<std::string> known;
  {
    auto catalog = OpenCatalog(directory.path());
    known.insert(Describe(*catalog));
    RequireOk(catalog->Create({kTable, 7, 2, 0}));
    known.insert(Describe(*catalog));
    RequireOk(catalog->Commit(7, 10));
    known.insert(Describe(*catalog));
  }
  const std::string journal = testing::ReadWholeFile(JournalIn(directory));
  for (size_t i = 0; i < journal.size(); ++i) {
    std::string damaged = journal;
    damaged[i] ^= static_cast<char>(1 << i % 8);
    ScratchDirectory copy;
    std::ofstream(JournalIn(copy), std::ios::binary) << damaged;
    std::unique_ptr<ObjectCatalog> catalog;
    const Status s =
        ObjectCatalog::Open(std::make_shared<UnsyncedFileSystem>(), copy.path(), "items", &catalog);
    INFO("byte " << i << ": " << s.ToString());
    // A length that is too large looks like a torn tail, which is dropped.
    const bool refused = s.IsCorruption() || s.IsNotSupported();
    REQUIRE((refused || known.count(Describe(*catalog)) == 1));
  }
}

TEST_CASE("object_catalog: a write that fails changes nothing and spoils nothing", "[unit]") {
  for (const size_t written : {0, 1, 7, 9, 1000}) {
    INFO(written << " bytes of the failed write are in the file");
    ScratchDirectory directory;
    auto fs = std::make_shared<UnsyncedFileSystem>();
    auto catalog = OpenCatalog(directory.path(), fs);
    RequireOk(catalog->Create({kTable, 7, 2, 0}));
    RequireOk(catalog->Commit(7, 10));
    const std::string before = Describe(*catalog);
    fs->FailAppend(ObjectCatalog::kFileName + std::string(".tmp"), written);
    REQUIRE_FALSE(catalog->Create({kTable, 8, 2, 0}).ok());
    REQUIRE(Describe(*catalog) == before);
    RequireOk(catalog->Create({kTable, 9, 2, 0}));
    RequireOk(catalog->Commit(9, 20));
    const std::string after = Describe(*catalog);
    catalog.reset();
    REQUIRE(Describe(*OpenCatalog(directory.path())) == after);
  }
}

}  // namespace
}  // namespace slipstream
