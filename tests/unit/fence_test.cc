#include "lib/leader/fence.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>

#include "absl/synchronization/notification.h"
#include "lib/core/object_name.h"
#include "tests/unit/memory_storage.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

constexpr char kOwn[] = "slipstream epoch 1\nhere:/db\nown\n";
constexpr char kOther[] = "slipstream epoch 1\nthere:/copy\nother\n";

// Counts the looks at names of epochs, and fails them on demand.
class WatchedStorage : public testing::MemoryStorage {
 public:
  Status Size(const std::string& name, uint64_t* size) override {
    ++sizes;
    if (fail) return Status::IOError("the storage is away");
    return MemoryStorage::Size(name, size);
  }
  int sizes = 0;
  bool fail = false;
};

void Claim(SharedStorage* storage, uint64_t epoch, const char* claim) {
  REQUIRE(storage->PutIfAbsent(EpochName("db", epoch), claim).ok());
}

TEST_CASE("fence: a leader leads until the next epoch is claimed", "[unit]") {
  auto storage = std::make_shared<WatchedStorage>();
  Claim(storage.get(), 7, kOwn);
  Fence fence("db", storage, 7, kOwn);
  REQUIRE(fence.Check().ok());
  REQUIRE_FALSE(fence.fenced());
  REQUIRE(fence.status().ok());
  Claim(storage.get(), 8, kOther);
  REQUIRE_FALSE(fence.fenced());  // nobody has looked
  const Status s = fence.Check();
  REQUIRE(s.IsAborted());
  for (const char* part : {"epoch 7", "\"db\"", "epoch 8", "there:/copy", "reopen"}) {
    INFO(s.ToString());
    REQUIRE(s.ToString().find(part) != std::string::npos);
  }
  REQUIRE(fence.fenced_by() == 8);
  REQUIRE(fence.status() == s);
}

TEST_CASE("fence: a look is one question, and none once it is fenced", "[unit]") {
  auto storage = std::make_shared<WatchedStorage>();
  for (uint64_t epoch = 1; epoch <= 100; ++epoch) Claim(storage.get(), epoch, kOwn);
  Fence fence("db", storage, 100, kOwn);
  for (int i = 0; i < 10; ++i) REQUIRE(fence.Check().ok());
  REQUIRE(storage->sizes == 10);
  REQUIRE(storage->lists() == 0);
  REQUIRE(storage->opens() == 0);
  Claim(storage.get(), 101, kOther);
  REQUIRE(fence.Check().IsAborted());
  // What fences is never forgotten, even if the claim is gone.
  REQUIRE(storage->Delete(EpochName("db", 101)).ok());
  REQUIRE(fence.Check().IsAborted());
  REQUIRE(storage->sizes == 11);
}

TEST_CASE("fence: a leader's own later epochs do not fence it", "[unit]") {
  auto storage = std::make_shared<WatchedStorage>();
  Claim(storage.get(), 1, kOwn);
  Fence fence("db", storage, 1, kOwn);
  Claim(storage.get(), 2, kOwn);
  Claim(storage.get(), 3, kOwn);
  REQUIRE(fence.Check().ok());
  REQUIRE(fence.epoch() == 3);
  Claim(storage.get(), 4, kOther);
  REQUIRE(fence.Check().IsAborted());
  REQUIRE(fence.fenced_by() == 4);
}

TEST_CASE("fence: a storage that does not answer neither fences nor permits", "[unit]") {
  auto storage = std::make_shared<WatchedStorage>();
  Claim(storage.get(), 1, kOwn);
  Fence fence("db", storage, 1, kOwn);
  storage->fail = true;
  REQUIRE(fence.Check().IsIOError());
  REQUIRE_FALSE(fence.fenced());
  storage->fail = false;
  REQUIRE(fence.Check().ok());
}

TEST_CASE("fence: its thread says so once, whoever finds out", "[unit]") {
  auto storage = std::make_shared<WatchedStorage>();
  Claim(storage.get(), 1, kOwn);
  Fence fence("db", storage, 1, kOwn);
  absl::Notification fenced;
  Status said;
  // An hour between its own looks: it is woken by the look of another thread.
  fence.Start(absl::Hours(1), [&](const Status& s) {
    said = s;
    fenced.Notify();  // aborts when called twice
  });
  Claim(storage.get(), 2, kOther);
  REQUIRE(fence.Check().IsAborted());
  REQUIRE(fenced.WaitForNotificationWithTimeout(absl::Seconds(20)));
  REQUIRE(said.IsAborted());
  fence.Stop();
}

TEST_CASE("fence: its thread looks by itself and when it is told to", "[unit]") {
  auto storage = std::make_shared<WatchedStorage>();
  Claim(storage.get(), 1, kOwn);
  Claim(storage.get(), 2, kOther);
  Fence fence("db", storage, 1, kOwn);
  absl::Notification fenced;
  const bool told = GENERATE(true, false);
  fence.Start(told ? absl::Hours(1) : absl::Milliseconds(1),
              [&](const Status&) { fenced.Notify(); });
  if (told) fence.LookNow();
  REQUIRE(fenced.WaitForNotificationWithTimeout(absl::Seconds(20)));
  fence.Stop();
}

}  // namespace
}  // namespace slipstream
