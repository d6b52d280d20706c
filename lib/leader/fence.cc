#include "lib/leader/fence.h"

#include <algorithm>
#include <utility>

#include "lib/core/object_name.h"
#include "lib/host/thread_name.h"
#include "lib/storage/small_object.h"

namespace slipstream {
namespace {

using rocksdb::Status;

constexpr size_t kMaxClaimBytes = 64 << 10;

// The line that says who has claimed; see the claim.
std::string ClaimantOf(const std::string& claim) {
  const size_t begin = claim.find('\n');
  if (begin == std::string::npos) return "unknown";
  return claim.substr(begin + 1, claim.find('\n', begin + 1) - begin - 1);
}

}  // namespace

Fence::Fence(std::string database, std::shared_ptr<SharedStorage> storage, uint64_t epoch,
             std::string own_claim)
    : database_(std::move(database)),
      storage_(std::move(storage)),
      own_claim_(std::move(own_claim)),
      epoch_(epoch) {}

Fence::~Fence() { Stop(); }

void Fence::Start(absl::Duration interval, std::function<void(const Status&)> on_fenced) {
  on_fenced_ = std::move(on_fenced);
  thread_ = std::thread([this, interval] {
    NameThisThread("ss-fence");
    Run(interval);
  });
}

void Fence::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    woken_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

void Fence::LookNow() {
  absl::MutexLock lock(&mutex_);
  look_now_ = true;
  woken_.Signal();
}

void Fence::Run(absl::Duration interval) {
  for (;;) {
    {
      const SteadyTime deadline = DeadlineIn(interval);
      absl::MutexLock lock(&mutex_);
      for (bool late = false; !stopping_ && !look_now_ && !late;) {
        late = woken_.WaitUntil(&mutex_, deadline);
      }
      if (stopping_) return;
      look_now_ = false;
    }
    // A storage that does not answer is asked again; only an answer fences.
    if (Check().IsAborted()) {
      on_fenced_(status());
      return;
    }
  }
}

Status Fence::Check() {
  for (;;) {
    if (fenced()) return status();
    const uint64_t epoch = this->epoch();
    const std::string next = EpochName(database_, epoch + 1);
    uint64_t size = 0;
    Status s = storage_->Size(next, &size);
    if (s.IsNotFound()) return Status::OK();
    std::string claim;
    if (s.ok()) s = ReadSmallObject(storage_.get(), next, kMaxClaimBytes, &claim);
    if (!s.ok()) return s;
    if (claim == own_claim_) {
      uint64_t expected = epoch;
      epoch_.compare_exchange_strong(expected, epoch + 1, std::memory_order_acq_rel);
      continue;
    }
    absl::MutexLock lock(&mutex_);
    if (status_.ok()) {
      status_ = Status::Aborted("slipstream: epoch " + std::to_string(epoch) + " of database \"" +
                                database_ + "\" is fenced by epoch " + std::to_string(epoch + 1) +
                                ", claimed by " + ClaimantOf(claim) + "; reopen");
      fenced_by_.store(epoch + 1, std::memory_order_release);
      look_now_ = true;  // so that the thread says so, whoever found out
      woken_.Signal();
    }
    return status_;
  }
}

Status Fence::status() const {
  absl::MutexLock lock(&mutex_);
  return status_;
}

}  // namespace slipstream
