#include "lib/leader/barrier_gate.h"

#include <algorithm>
#include <string>

namespace slipstream {

using rocksdb::Status;

void BarrierGate::BeginWrite() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](bool* barrier) { return !*barrier; }, &barrier_));
  ++writes_;
}

void BarrierGate::EndWrite() {
  absl::MutexLock lock(&mutex_);
  --writes_;
}

void BarrierGate::BeginBarrier() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](bool* barrier) { return !*barrier; }, &barrier_));
  // Further writes wait from here on, so that those under way come to an end.
  barrier_ = true;
  mutex_.Await(absl::Condition(
      +[](uint64_t* writes) { return *writes == 0; }, &writes_));
}

void BarrierGate::EndBarrier() {
  absl::MutexLock lock(&mutex_);
  barrier_ = false;
}

void BarrierGate::Opened(uint64_t sequence) {
  absl::MutexLock lock(&mutex_);
  watching_ = true;
  sequence_ = std::max(sequence_, sequence);
}

void BarrierGate::OnWalRecord(uint64_t sequence) {
  absl::MutexLock lock(&mutex_);
  sequence_ = std::max(sequence_, sequence);
}

Status BarrierGate::OnEdit(const VersionEditSummary& edit) {
  const uint64_t found = edit.last_sequence.value_or(0);
  absl::MutexLock lock(&mutex_);
  if (watching_ && !barrier_ && found > sequence_) {
    return Status::NotSupported(
        "slipstream: under manual_wal_flush a file was added at sequence number " +
        std::to_string(found) + " round the leader's handle, and the WAL has reached " +
        std::to_string(sequence_) + " only; use Leader::db()");
  }
  sequence_ = std::max(sequence_, found);
  return Status::OK();
}

}  // namespace slipstream
