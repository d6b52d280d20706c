#include "slipstream/observe/cancellation.h"

#include <thread>

#include "lib/host/steady_cond_var.h"
#include "lib/observe/task_record.h"

namespace slipstream::observe {

bool CancellationToken::cancelled() const { return record_ != nullptr && record_->cancelled(); }

rocksdb::Status CancellationToken::Check() const {
  return record_ == nullptr ? rocksdb::Status::OK() : record_->CheckCancelled();
}

bool CancellationToken::WaitFor(uint64_t timeout_us) const {
  if (record_ != nullptr) return record_->WaitForCancel(timeout_us);
  std::this_thread::sleep_until(DeadlineIn(timeout_us));
  return false;
}

CancelHook::CancelHook(const CancellationToken& token, std::function<void()> call)
    : record_(token.record_) {
  if (record_ == nullptr) return;
  hook_ = record_->AddHook(call);
  if (hook_ == 0) call();
}

CancelHook::~CancelHook() {
  if (hook_ != 0) record_->RemoveHook(hook_);
}

}  // namespace slipstream::observe
