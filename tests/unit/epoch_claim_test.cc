#include "lib/leader/epoch_claim.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "lib/core/object_name.h"
#include "tests/unit/memory_storage.h"
#include "tests/unit/scratch_database.h"

namespace slipstream::testing {
namespace {

// Loses the answer of one PutIfAbsent: the object is there, the caller hears of an error.
class AnswerLosingStorage : public MemoryStorage {
 public:
  rocksdb::Status PutIfAbsent(const std::string& name, const rocksdb::Slice& data) override {
    rocksdb::Status s = MemoryStorage::PutIfAbsent(name, data);
    return std::exchange(lose_, false) ? rocksdb::Status::IOError("answer lost") : s;
  }
  void LoseNextAnswer() { lose_ = true; }

 private:
  bool lose_ = false;
};

TEST_CASE("epoch_claim: an opening claims what is newer than every claim and than what it knows",
          "[unit]") {
  auto storage = std::make_shared<MemoryStorage>();
  EpochClaim first("items", storage, "first");
  uint64_t epoch = 0;
  RequireOk(first.ClaimNewest(0, &epoch));
  REQUIRE(epoch == 1);
  EpochClaim second("items", storage, "second");
  RequireOk(second.ClaimNewest(0, &epoch));
  REQUIRE(epoch == 2);
  RequireOk(second.ClaimNewest(7, &epoch));
  REQUIRE(epoch == 8);
  // Another database's epochs are its own.
  EpochClaim other("orders", storage, "other");
  RequireOk(other.ClaimNewest(0, &epoch));
  REQUIRE(epoch == 1);
}

TEST_CASE("epoch_claim: a leader goes on to the epoch behind its own", "[unit]") {
  auto storage = std::make_shared<MemoryStorage>();
  EpochClaim claim("items", storage, "leader");
  uint64_t epoch = 0;
  RequireOk(claim.ClaimNewest(0, &epoch));
  RequireOk(claim.ClaimNext(epoch, &epoch));
  REQUIRE(epoch == 2);
  RequireOk(claim.ClaimNext(epoch, &epoch));
  REQUIRE(epoch == 3);
  REQUIRE(storage->Has(EpochName("items", 3)));
}

TEST_CASE("epoch_claim: a leader that was overtaken does not get another epoch", "[unit]") {
  auto storage = std::make_shared<MemoryStorage>();
  EpochClaim claim("items", storage, "leader");
  uint64_t held = 0;
  RequireOk(claim.ClaimNewest(0, &held));
  EpochClaim rival("items", storage, "rival");
  uint64_t rivals = 0;
  RequireOk(rival.ClaimNewest(0, &rivals));
  uint64_t epoch = 0;
  rocksdb::Status s = claim.ClaimNext(held, &epoch);
  INFO(s.ToString());
  REQUIRE(s.IsAborted());
  REQUIRE(epoch == 0);
  // Nor by one that skipped the number behind it.
  RequireOk(rival.ClaimNewest(9, &rivals));
  s = claim.ClaimNext(7, &epoch);
  REQUIRE(s.IsAborted());
  REQUIRE(!storage->Has(EpochName("items", 8)));
}

TEST_CASE("epoch_claim: an attempt whose answer was lost is recognised when it is repeated",
          "[unit]") {
  auto storage = std::make_shared<AnswerLosingStorage>();
  EpochClaim claim("items", storage, "leader");
  uint64_t held = 0;
  RequireOk(claim.ClaimNewest(0, &held));
  storage->LoseNextAnswer();
  uint64_t epoch = 0;
  REQUIRE(claim.ClaimNext(held, &epoch).IsIOError());
  RequireOk(claim.ClaimNext(held, &epoch));
  REQUIRE(epoch == held + 1);
  // The same text by another process is not one's own.
  EpochClaim twin("items", storage, "leader");
  REQUIRE(twin.ClaimNext(held, &epoch).IsAborted());
}

}  // namespace
}  // namespace slipstream::testing
