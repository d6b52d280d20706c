#include "lib/leader/reclaimer.h"

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/object_name.h"
#include "lib/leader/lineage.h"
#include "tests/unit/memory_storage.h"
#include "tests/unit/scratch_database.h"
#include "tests/unit/unsynced_file_system.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;
using testing::RequireOk;

constexpr char kOwn[] = "slipstream epoch 1\nhere:/db\nown\n";
constexpr char kOther[] = "slipstream epoch 1\nthere:/copy\nother\n";

// Does something when a list of deletions has been announced, and fails deletes on demand.
class HookedStorage : public testing::MemoryStorage {
 public:
  Status Put(const std::string& name, const Slice& data) override {
    Status s = MemoryStorage::Put(name, data);
    if (announced) announced(data.ToString());
    return s;
  }
  Status Delete(const std::string& name) override {
    ++deletes;
    if (fail_deletes) return Status::IOError("the storage is away");
    return MemoryStorage::Delete(name);
  }
  std::function<void(const std::string&)> announced;
  int deletes = 0;
  bool fail_deletes = false;
};

// A leader of epoch 7 whose objects 1 to 3 were removed.
struct Fixture {
  Fixture() {
    std::unique_ptr<ObjectCatalog> opened;
    RequireOk(ObjectCatalog::Open(std::make_shared<testing::UnsyncedFileSystem>(), directory.path(),
                                  "db", &opened));
    catalog = std::move(opened);
    RequireOk(storage->PutIfAbsent(EpochName("db", 7), kOwn));
    for (uint64_t number = 1; number <= 3; ++number) {
      const ObjectInfo object{FrameFile::kTable, number, 7, 10};
      RequireOk(catalog->Create(object));
      RequireOk(catalog->Commit(number, 10));
      RequireOk(storage->Put(Name(number), "0123456789"));
      RequireOk(catalog->Remove(number, Position{7, number, 0}));
    }
    reclaimer = std::make_unique<Reclaimer>("db", storage, catalog, followers, fence, nullptr);
  }
  static std::string Name(uint64_t number) {
    return ObjectNameOf("db", {FrameFile::kTable, number, 7, 10});
  }
  int Present() const {
    return storage->Has(Name(1)) + storage->Has(Name(2)) + storage->Has(Name(3));
  }

  testing::ScratchDirectory directory;
  std::shared_ptr<HookedStorage> storage = std::make_shared<HookedStorage>();
  std::shared_ptr<ObjectCatalog> catalog;
  std::shared_ptr<FollowerTable> followers = std::make_shared<FollowerTable>(1000);
  std::shared_ptr<Fence> fence = std::make_shared<Fence>("db", storage, 7, kOwn);
  std::unique_ptr<Reclaimer> reclaimer;
};

TEST_CASE("reclaimer: what no follower needs is announced and then deleted", "[unit]") {
  Fixture f;
  std::vector<std::string> names;
  f.storage->announced = [&](const std::string& content) {
    RequireOk(DecodeDeletions(content, &names));
    CHECK(f.storage->deletes == 0);
  };
  f.reclaimer->Reclaim();
  CHECK(names == std::vector<std::string>{f.Name(1), f.Name(2), f.Name(3)});
  CHECK(f.Present() == 0);
  CHECK(f.reclaimer->deleted() == 3);
  CHECK(f.catalog->pinned().first == 0);
  // Nothing to do is nothing to say.
  f.storage->announced = [](const std::string&) { FAIL("announced without need"); };
  f.reclaimer->Reclaim();
}

TEST_CASE("reclaimer: a fenced leader deletes nothing", "[unit]") {
  Fixture f;
  RequireOk(f.storage->PutIfAbsent(EpochName("db", 8), kOther));
  f.reclaimer->Reclaim();
  CHECK(f.storage->deletes == 0);
  CHECK(f.Present() == 3);
  CHECK(f.fence->fenced_by() == 8);
  // Whatever becomes of the claim.
  RequireOk(f.storage->MemoryStorage::Delete(EpochName("db", 8)));
  f.reclaimer->Reclaim();
  CHECK(f.Present() == 3);
}

TEST_CASE("reclaimer: a claim that comes with the announcement is seen before a delete", "[unit]") {
  Fixture f;
  f.storage->announced = [&](const std::string&) {
    RequireOk(f.storage->PutIfAbsent(EpochName("db", 8), kOther));
  };
  f.reclaimer->Reclaim();
  CHECK(f.storage->deletes == 0);
  CHECK(f.Present() == 3);
}

TEST_CASE("reclaimer: what is under way is announced to the next leader", "[unit]") {
  Fixture f;
  // This leader stands still between its look and its first delete; a copy of its directory from
  // before the removals is opened meanwhile.
  Lineage copy("db", f.storage, "/copy", "there:/copy");
  RequireOk(Lineage("db", f.storage, "/db", "here:/db").Record(7, "id"));
  RequireOk(copy.CheckDirectory({true, "id", {{7, 0}}}));
  f.storage->fail_deletes = true;
  f.reclaimer->Reclaim();
  RequireOk(f.storage->PutIfAbsent(EpochName("db", 8), kOther));
  bool needed = false;
  RequireOk(copy.NeedsObjectCheck(8, &needed));
  CHECK(needed);
  CHECK(copy.CheckObjects({{FrameFile::kTable, 2, 7, 10}}).IsAborted());
}

TEST_CASE("reclaimer: a delete that failed is announced again until it succeeds", "[unit]") {
  Fixture f;
  f.storage->fail_deletes = true;
  f.reclaimer->Reclaim();
  CHECK(f.storage->deletes == 1);
  // A follower comes that needs all of them: the storage may delete the first one yet.
  Hello hello;
  hello.follower_id = "f";
  hello.pin = Position{7, 0, 0};
  f.followers->Connect(hello, "peer", Position{7, 9, 0});
  const ObjectInfo other{FrameFile::kTable, 4, 6, 10};
  RequireOk(f.catalog->Create(other));
  RequireOk(f.catalog->Remove(4, Position{6, 1, 0}));
  f.storage->fail_deletes = false;
  std::vector<std::string> names;
  f.storage->announced = [&](const std::string& content) {
    RequireOk(DecodeDeletions(content, &names));
  };
  f.reclaimer->Reclaim();
  CHECK(names == std::vector<std::string>{f.Name(1), ObjectNameOf("db", other)});
  CHECK(f.Present() == 3);
}

}  // namespace
}  // namespace slipstream
