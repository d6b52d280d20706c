#include "lib/leader/leader_db.h"

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/rocksdb_release.h"
#include "rocksdb/write_batch.h"
#include "tests/unit/follower_facade.h"
#include "tests/unit/memory_storage.h"

namespace slipstream {
namespace {

using rocksdb::Status;
using rocksdb::WriteOptions;

TEST_CASE("leader_db: writes without the WAL are refused in every form", "[unit]") {
  testing::TemporaryDirectory directory;
  rocksdb::Options options;
  options.create_if_missing = true;
  options.merge_operator = std::make_shared<testing::Append>();
  rocksdb::DB* opened = nullptr;
  REQUIRE(rocksdb::DB::Open(options, directory.path() + "/db", &opened).ok());
  // No newer epoch was claimed.
  const auto storage = std::make_shared<testing::MemoryStorage>();
  const std::unique_ptr<rocksdb::DB> db = NewLeaderDB(
      opened, {directory.path() + "/db", std::make_shared<Fence>("db", storage, 1, ""), nullptr});
  rocksdb::ColumnFamilyHandle* cf = db->DefaultColumnFamily();
  rocksdb::WriteBatch batch;
  REQUIRE(batch.Put("batch", "1").ok());
  using Call = std::function<Status(const WriteOptions&)>;
  std::vector<std::pair<std::string, Call>> calls = {
      {"Put", [&](const WriteOptions& o) { return db->Put(o, "put", "1"); }},
      {"PutEntity",
       [&](const WriteOptions& o) {
         return db->PutEntity(o, cf, "entity", {{"x", "1"}});
       }},
      {"Delete", [&](const WriteOptions& o) { return db->Delete(o, "put"); }},
      {"SingleDelete", [&](const WriteOptions& o) { return db->SingleDelete(o, "none"); }},
      {"DeleteRange", [&](const WriteOptions& o) { return db->DeleteRange(o, cf, "x", "z"); }},
      {"Merge", [&](const WriteOptions& o) { return db->Merge(o, "merge", "1"); }},
      {"Write", [&](const WriteOptions& o) { return db->Write(o, &batch); }},
  };
#if SLIPSTREAM_ROCKSDB_9
  calls.emplace_back("PutEntity of groups", [&](const WriteOptions& o) {
    return db->PutEntity(o, "groups", {rocksdb::AttributeGroup(cf, {{"x", "1"}})});
  });
  calls.emplace_back("WriteWithCallback", [&](const WriteOptions& o) {
    return db->WriteWithCallback(o, &batch, nullptr);
  });
#endif
  for (const auto& [name, call] : calls) {
    INFO(name);
    WriteOptions write;
    const rocksdb::SequenceNumber before = db->GetLatestSequenceNumber();
    write.disableWAL = true;
    const Status refused = call(write);
    CHECK(refused.IsInvalidArgument());
    CHECK(refused.ToString().find("disableWAL") != std::string::npos);
    CHECK(db->GetLatestSequenceNumber() == before);
    write.disableWAL = false;
    CHECK(call(write).ToString() == "OK");
    CHECK(db->GetLatestSequenceNumber() == before + 1);
  }
}

}  // namespace
}  // namespace slipstream
