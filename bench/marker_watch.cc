#include "bench/marker_watch.h"

#include <cstring>

#include "lib/host/timer_slack.h"

namespace slipstream::bench {

void MarkerWatch::Begin() {
  before_ = CpuTime::Of(RUSAGE_SELF);
  if (settings_.period_us > 0) thread_ = std::thread([this] { Run(); });
}

void MarkerWatch::Stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

WatchResult MarkerWatch::End() {
  Stop();
  const CpuTime used = CpuTime::Of(RUSAGE_SELF) - before_;
  result_.measuring_cpu_seconds =
      thread_cpu_.seconds - static_cast<double>(catch_up_cpu_ns_) * 1e-9;
  result_.cpu_seconds = used.seconds - result_.measuring_cpu_seconds;
  result_.switches = used.switches - thread_cpu_.switches;
  result_.preemptions = used.preemptions - thread_cpu_.preemptions;
  return result_;
}

void MarkerWatch::Run() {
  WakeThisThreadInTime();
  for (bool last = false; !last;) {
    // One more look after the request to stop: everything is visible by then.
    last = stopping_;
    if (database_->secondary() != nullptr) CatchUp();
    if (board_ != nullptr) Look();
    if (!last) Pause();
  }
  thread_cpu_ = CpuTime::Of(RUSAGE_THREAD);
}

void MarkerWatch::CatchUp() {
  const uint64_t before_ns = ThreadCpuNs();
  if (!database_->secondary()->TryCatchUpWithPrimary().ok()) ++result_.failed_catch_ups;
  catch_up_cpu_ns_ += ThreadCpuNs() - before_ns;
}

void MarkerWatch::Look() {
  value_.Reset();
  const rocksdb::Status s =
      database_->db()->Get(rocksdb::ReadOptions(), database_->families()[0], kMarkerKey, &value_);
  const uint64_t now_ns = NowNs();
  ++result_.looks;
  uint64_t counter = 0;
  if (!s.ok() || value_.size() != sizeof(counter)) return;
  memcpy(&counter, value_.data(), sizeof(counter));
  if (counter <= seen_) return;
  board_->Seen(settings_.reader, seen_ + 1, counter, now_ns);
  seen_ = counter;
}

void MarkerWatch::Pause() const {
  if (database_->secondary() == nullptr) {
    SleepUs(settings_.period_us);
    return;
  }
  const uint64_t period_ns = settings_.period_us * 1000;
  SleepUs((period_ns - NowNs() % period_ns) / 1000 + 1);
}

}  // namespace slipstream::bench
