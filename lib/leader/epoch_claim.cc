#include "lib/leader/epoch_claim.h"

#include <algorithm>
#include <cstdio>
#include <random>
#include <utility>
#include <vector>

#include "lib/core/object_name.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

std::string NewToken() {
  std::random_device random;
  char token[33];
  snprintf(token, sizeof(token), "%08x%08x%08x%08x", random(), random(), random(), random());
  return token;
}

}  // namespace

EpochClaim::EpochClaim(std::string database, std::shared_ptr<SharedStorage> storage,
                       std::string claimant)
    : database_(std::move(database)),
      storage_(std::move(storage)),
      content_("slipstream epoch 1\n" + claimant + "\n" + NewToken() + "\n") {}

Status EpochClaim::NewestClaimed(uint64_t* epoch) const {
  std::vector<std::string> names;
  Status s = storage_->List(EpochPrefix(database_), &names);
  *epoch = 0;
  for (const std::string& name : names) {
    uint64_t e = 0;
    if (ParseEpochName(database_, name, &e)) *epoch = std::max(*epoch, e);
  }
  return s;
}

Status EpochClaim::PutClaim(uint64_t epoch) {
  return storage_->PutIfAbsent(EpochName(database_, epoch), content_);
}

Status EpochClaim::IsOwn(uint64_t epoch, bool* own) const {
  *own = false;
  std::unique_ptr<ObjectReader> reader;
  Status s = storage_->NewReader(EpochName(database_, epoch), &reader);
  if (!s.ok()) return s;
  std::string scratch(content_.size(), '\0');
  Slice found;
  s = reader->Read(0, scratch.size(), &found, scratch.data());
  *own = s.ok() && reader->size() == content_.size() && found == Slice(content_);
  return s;
}

Status EpochClaim::ClaimNewest(uint64_t above, uint64_t* epoch) {
  constexpr int kTries = 100;
  uint64_t newest = 0;
  Status s = NewestClaimed(&newest);
  if (!s.ok()) return s;
  newest = std::max(newest, above);
  for (int i = 0; i < kTries; ++i) {
    *epoch = ++newest;
    s = PutClaim(*epoch);
    if (!s.IsBusy()) return s;
  }
  return Status::Busy("database \"" + database_ + "\" on " + storage_->Describe() +
                      ": other processes claim its epochs");
}

Status EpochClaim::ClaimNext(uint64_t held, uint64_t* epoch) {
  const uint64_t wanted = held + 1;
  uint64_t newest = 0;
  Status s = NewestClaimed(&newest);
  if (s.ok() && newest <= wanted) {
    s = PutClaim(wanted);
    if (s.ok()) {
      *epoch = wanted;
      return s;
    }
    bool own = false;
    if (s.IsBusy()) s = IsOwn(wanted, &own);
    if (own) {
      *epoch = wanted;
      return s;
    }
    newest = wanted;
  }
  if (!s.ok()) return s;
  return Status::Aborted("database \"" + database_ + "\" on " + storage_->Describe() +
                         ": another leader has claimed epoch " + std::to_string(newest) +
                         ", this one holds " + std::to_string(held));
}

}  // namespace slipstream
