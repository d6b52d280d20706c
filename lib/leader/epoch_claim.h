// The claim of an epoch: an object on the shared storage that exactly one leader can create.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "rocksdb/status.h"
#include "slipstream/shared_storage.h"

namespace slipstream {

// Claims are never deleted: one that is gone would let an older leader claim its epoch again.
//
// Threads: thread-compatible. Calls block on the storage.
class EpochClaim {
 public:
  // claimant: for people, who claims; one line.
  EpochClaim(std::string database, std::shared_ptr<SharedStorage> storage, std::string claimant);

  // Claims an epoch newer than `above` and than every one claimed so far: what an opening does.
  // Returns Busy if other processes claim the same database at this moment; IOError.
  [[nodiscard]] rocksdb::Status ClaimNewest(uint64_t above, uint64_t* epoch);

  // Claims the epoch behind `held`, which this leader holds and goes on from. May be repeated after
  // an IOError: an attempt that reached the storage although it failed is recognised as one's own.
  // Returns Aborted if another leader has claimed an epoch since; IOError.
  [[nodiscard]] rocksdb::Status ClaimNext(uint64_t held, uint64_t* epoch);

  // Of all its claims; no other object's.
  const std::string& content() const { return content_; }

 private:
  rocksdb::Status NewestClaimed(uint64_t* epoch) const;
  rocksdb::Status PutClaim(uint64_t epoch);
  // Whether the claim of `epoch` on the storage is this object's.
  rocksdb::Status IsOwn(uint64_t epoch, bool* own) const;

  const std::string database_;
  const std::shared_ptr<SharedStorage> storage_;
  const std::string content_;
};

}  // namespace slipstream
