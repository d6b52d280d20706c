#include "lib/leader/leader_env.h"

#include <cstdint>
#include <string>
#include <vector>

namespace slipstream {
namespace {

using rocksdb::Status;

// RocksDB's composite Env, from which the file operations come, has the threads and the clock of
// Env::Default(): a host that counts, limits or replaces them would find its own unused.
class LeaderEnv : public rocksdb::EnvWrapper {
 public:
  LeaderEnv(rocksdb::Env* host, const std::shared_ptr<rocksdb::FileSystem>& fs)
      : EnvWrapper(rocksdb::NewCompositeEnv(fs)), host_(host) {
    file_system_ = fs;  // the clock asks this object, which asks the host
  }

  void Schedule(void (*function)(void*), void* argument, Priority priority, void* tag,
                void (*unschedule)(void*)) override {
    host_->Schedule(function, argument, priority, tag, unschedule);
  }
  int UnSchedule(void* tag, Priority priority) override { return host_->UnSchedule(tag, priority); }
  void StartThread(void (*function)(void*), void* argument) override {
    host_->StartThread(function, argument);
  }
  void WaitForJoin() override { host_->WaitForJoin(); }
  unsigned int GetThreadPoolQueueLen(Priority priority) const override {
    return host_->GetThreadPoolQueueLen(priority);
  }
  int ReserveThreads(int threads, Priority priority) override {
    return host_->ReserveThreads(threads, priority);
  }
  int ReleaseThreads(int threads, Priority priority) override {
    return host_->ReleaseThreads(threads, priority);
  }
  void SetBackgroundThreads(int number, Priority priority) override {
    host_->SetBackgroundThreads(number, priority);
  }
  int GetBackgroundThreads(Priority priority) override {
    return host_->GetBackgroundThreads(priority);
  }
  void IncBackgroundThreadsIfNeeded(int number, Priority priority) override {
    host_->IncBackgroundThreadsIfNeeded(number, priority);
  }
  void LowerThreadPoolIOPriority(Priority pool) override { host_->LowerThreadPoolIOPriority(pool); }
  void LowerThreadPoolCPUPriority(Priority pool) override {
    host_->LowerThreadPoolCPUPriority(pool);
  }
  Status LowerThreadPoolCPUPriority(Priority pool, rocksdb::CpuPriority priority) override {
    return host_->LowerThreadPoolCPUPriority(pool, priority);
  }
  Status GetThreadList(std::vector<rocksdb::ThreadStatus>* threads) override {
    return host_->GetThreadList(threads);
  }
  rocksdb::ThreadStatusUpdater* GetThreadStatusUpdater() const override {
    return host_->GetThreadStatusUpdater();
  }
  uint64_t GetThreadID() const override { return host_->GetThreadID(); }

  uint64_t NowMicros() override { return host_->NowMicros(); }
  uint64_t NowNanos() override { return host_->NowNanos(); }
  uint64_t NowCPUNanos() override { return host_->NowCPUNanos(); }
  void SleepForMicroseconds(int micros) override { host_->SleepForMicroseconds(micros); }
  Status GetCurrentTime(int64_t* unix_time) override { return host_->GetCurrentTime(unix_time); }
  std::string TimeToString(uint64_t time) override { return host_->TimeToString(time); }
  Status GetHostName(char* name, uint64_t length) override {
    return host_->GetHostName(name, length);
  }
  std::string GenerateUniqueId() override { return host_->GenerateUniqueId(); }

 private:
  rocksdb::Env* const host_;
};

}  // namespace

std::unique_ptr<rocksdb::Env> NewLeaderEnv(rocksdb::Env* host,
                                           const std::shared_ptr<rocksdb::FileSystem>& fs) {
  return std::make_unique<LeaderEnv>(host, fs);
}

}  // namespace slipstream
