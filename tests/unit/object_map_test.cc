#include "lib/follower/object_map.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lib/core/object_name.h"
#include "tests/unit/memory_storage.h"
#include "tests/unit/scratch_database.h"

namespace slipstream {
namespace {

using rocksdb::Status;
using testing::MemoryStorage;
using testing::RequireOk;

TEST_CASE("object_map: removed objects stay until no cut is before their removal", "[unit]") {
  ObjectMap map;
  map.Add({FrameFile::kTable, 7, 2, 100});
  map.Add({FrameFile::kBlob, 8, 3, 200});
  REQUIRE(map.Find(7)->size == 100);
  REQUIRE(map.Find(8)->file == FrameFile::kBlob);
  REQUIRE(map.Find(8)->epoch == 3);
  REQUIRE_FALSE(map.Find(9));
  map.Remove(7, Position{3, 50, 0});
  map.Remove(8, Position{3, 60, 0});
  map.Remove(9, Position{3, 60, 0});  // never heard of
  map.Prune(Position{3, 49, 0});
  REQUIRE(map.Find(7));
  map.Prune(Position{3, 50, 0});  // a cut at a removal does not need what it removed
  REQUIRE_FALSE(map.Find(7));
  REQUIRE(map.Find(8));
  map.Prune(Position{4, 0, 0});
  REQUIRE_FALSE(map.Find(8));
}

TEST_CASE("object_map: a prune without a cut forgets nothing", "[unit]") {
  ObjectMap map;
  map.Add({FrameFile::kTable, 7, 2, 100});
  map.Remove(7, Position{2, 50, 0});
  map.Prune(Position());
  REQUIRE(map.Find(7));
}

constexpr ObjectInfo kObject{FrameFile::kTable, 7, 2, 6};

std::shared_ptr<MemoryStorage> StorageWithObject() {
  auto storage = std::make_shared<MemoryStorage>();
  RequireOk(storage->Put(ObjectNameOf("items", kObject), "table!"));
  return storage;
}

TEST_CASE("object_pool: an object in use is opened once", "[unit]") {
  auto storage = StorageWithObject();
  ObjectPool pool(storage, "items");
  std::shared_ptr<const ObjectReader> first, second;
  RequireOk(pool.Open(kObject, &first));
  RequireOk(pool.Open(kObject, &second));
  REQUIRE(first == second);
  REQUIRE(storage->opens() == 1);
  char scratch[10];
  rocksdb::Slice read;
  RequireOk(first->Read(0, 10, &read, scratch));
  REQUIRE(read == "table!");
  first.reset();
  second.reset();
  RequireOk(pool.Open(kObject, &first));
  REQUIRE(storage->opens() == 2);
}

TEST_CASE("object_pool: what a reader variable held before does not matter", "[unit]") {
  auto storage = StorageWithObject();
  constexpr ObjectInfo kOther{FrameFile::kTable, 8, 2, 5};
  RequireOk(storage->Put(ObjectNameOf("items", kOther), "other"));
  ObjectPool pool(storage, "items");
  std::shared_ptr<const ObjectReader> reader;
  RequireOk(pool.Open(kObject, &reader));
  RequireOk(pool.Open(kOther, &reader));
  REQUIRE(reader->size() == 5);
}

TEST_CASE("object_pool: a missing object and one of another size are errors", "[unit]") {
  auto storage = StorageWithObject();
  ObjectPool pool(storage, "items");
  std::shared_ptr<const ObjectReader> reader;
  ObjectInfo object = kObject;
  object.number = 8;
  REQUIRE(pool.Open(object, &reader).IsNotFound());
  object = kObject;
  object.epoch = 3;
  REQUIRE(pool.Open(object, &reader).IsNotFound());
  object = kObject;
  object.size = 7;
  const Status s = pool.Open(object, &reader);
  REQUIRE(s.IsCorruption());
  REQUIRE(s.ToString().find("expected 7") != std::string::npos);
  REQUIRE(reader == nullptr);
  RequireOk(pool.Open(kObject, &reader));
}

TEST_CASE("object_pool: many objects and many threads", "[unit]") {
  auto storage = std::make_shared<MemoryStorage>();
  for (uint64_t n = 0; n < 300; ++n) {
    RequireOk(storage->Put(ObjectNameOf("items", {FrameFile::kTable, n, 1, 0}), std::to_string(n)));
  }
  ObjectPool pool(storage, "items");
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 2000; ++i) {
        const uint64_t n = i * (t + 1) % 300;
        const std::string expected = std::to_string(n);
        std::shared_ptr<const ObjectReader> reader;
        if (!pool.Open({FrameFile::kTable, n, 1, expected.size()}, &reader).ok()) ++wrong;
        char scratch[10];
        rocksdb::Slice read;
        if (reader == nullptr || !reader->Read(0, 10, &read, scratch).ok() || read != expected) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(wrong == 0);
}

}  // namespace
}  // namespace slipstream
