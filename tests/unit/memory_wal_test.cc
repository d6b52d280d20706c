#include "lib/leader/memory_wal.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/random_seed.h"

namespace slipstream {
namespace {

using rocksdb::IOOptions;
using rocksdb::Slice;

TEST_CASE("memory_wal: reads back what was appended, across blocks and behind the end", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  MemoryWal wal;
  std::string expected;
  while (expected.size() < 1000000) {
    const std::string bytes(random() % 100000, static_cast<char>(random()));
    wal.Append(bytes);
    expected += bytes;
    REQUIRE(wal.size() == expected.size());
  }
  CHECK(wal.capacity() >= wal.size());
  CHECK(wal.capacity() < wal.size() + (256 << 10));
  std::string scratch(200000, '\0');
  for (int i = 0; i < 200; ++i) {
    const uint64_t offset = random() % (expected.size() + 1000);
    const size_t n = random() % scratch.size();
    const size_t read = wal.Read(offset, n, scratch.data());
    const std::string want = offset < expected.size() ? expected.substr(offset, n) : std::string();
    REQUIRE(Slice(scratch.data(), read) == Slice(want));
  }
}

TEST_CASE("memory_wal: files of one WAL see what is appended, also after its removal", "[unit]") {
  MemoryWals wals;
  auto writer = wals.Create(7);
  auto random = wals.OpenRandomAccess(7);
  auto sequential = wals.OpenSequential(7);
  REQUIRE(writer->Append("hello ", IOOptions(), nullptr).ok());
  REQUIRE(writer->Append("world", IOOptions(), nullptr).ok());
  REQUIRE(writer->Sync(IOOptions(), nullptr).ok());
  REQUIRE(writer->IsSyncThreadSafe());
  REQUIRE(writer->GetFileSize(IOOptions(), nullptr) == 11);
  uint64_t size = 0;
  REQUIRE(wals.Find(7, &size));
  REQUIRE(size == 11);
  REQUIRE(wals.Numbers() == std::vector<uint64_t>{7});
  REQUIRE(wals.bytes() >= 11);
  REQUIRE(wals.Remove(7));
  REQUIRE_FALSE(wals.Remove(7));
  REQUIRE_FALSE(wals.Find(7, &size));
  REQUIRE(wals.OpenRandomAccess(7) == nullptr);
  REQUIRE(wals.OpenSequential(7) == nullptr);
  REQUIRE(wals.bytes() == 0);

  char scratch[16];
  Slice result;
  REQUIRE(random->Read(6, 16, IOOptions(), &result, scratch, nullptr).ok());
  REQUIRE(result == "world");
  REQUIRE(sequential->Read(3, IOOptions(), &result, scratch, nullptr).ok());
  REQUIRE(result == "hel");
  REQUIRE(sequential->Skip(3).ok());
  REQUIRE(sequential->Read(16, IOOptions(), &result, scratch, nullptr).ok());
  REQUIRE(result == "world");
  REQUIRE(sequential->Skip(100).ok());
  REQUIRE(sequential->Read(16, IOOptions(), &result, scratch, nullptr).ok());
  REQUIRE(result.empty());
}

}  // namespace
}  // namespace slipstream
