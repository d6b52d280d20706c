#include "lib/leader/database_tasks.h"

#include <vector>

#include "lib/host/thread_name.h"
#include "rocksdb/thread_status.h"

namespace slipstream {
namespace {

using rocksdb::Status;
using rocksdb::ThreadStatus;

// As they stand in ThreadStatus::op_properties.
constexpr int kJobId = 0;
constexpr int kCompactionInputBytes = 3;
constexpr int kCompactionBytesRead = 4;
constexpr int kFlushMemtableBytes = 1;
constexpr int kFlushBytesWritten = 2;

}  // namespace

void DatabaseTasks::Begin(const Key& key, bool flush, const std::string& status) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) return;
  if (flush) EndFlushesOfThisThreadLocked(key.job, Status::Aborted("it did not succeed"));
  observe::Task task(tasks_, flush ? "flush" : "compaction",
                     {{"database", database_}, {"column_family", key.column_family}},
                     {.cancellable = false});
  task.SetAttribute("job", std::to_string(key.job));
  task.SetStatus(status);
  jobs_.insert_or_assign(key, Job{std::move(task), std::this_thread::get_id(), flush});
  changed_.SignalAll();
}

void DatabaseTasks::End(const Key& key, const Status& status) {
  absl::MutexLock lock(&mutex_);
  const auto job = jobs_.find(key);
  if (job == jobs_.end()) return;
  job->second.task.Finish(status);
  jobs_.erase(job);
}

void DatabaseTasks::EndFlushesOfThisThreadLocked(int job, const Status& status) {
  for (auto it = jobs_.begin(); it != jobs_.end();) {
    if (it->second.flush && it->second.thread == std::this_thread::get_id() &&
        it->first.job != job) {
      it->second.task.Finish(status);
      it = jobs_.erase(it);
    } else {
      ++it;
    }
  }
}

void DatabaseTasks::OnFlushBegin(rocksdb::DB*, const rocksdb::FlushJobInfo& info) {
  Begin({info.job_id, info.cf_name}, true, "flushing");
}

void DatabaseTasks::OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo& info) {
  End({info.job_id, info.cf_name}, Status::OK());
}

void DatabaseTasks::OnCompactionBegin(rocksdb::DB*, const rocksdb::CompactionJobInfo& info) {
  Begin({info.job_id, info.cf_name}, false,
        "compacting " + std::to_string(info.input_files.size()) + " files of level " +
            std::to_string(info.base_input_level) + " into level " +
            std::to_string(info.output_level));
}

void DatabaseTasks::OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo& info) {
  End({info.job_id, info.cf_name}, info.status);
}

void DatabaseTasks::OnBackgroundError(rocksdb::BackgroundErrorReason reason, Status* error) {
  if (reason != rocksdb::BackgroundErrorReason::kFlush &&
      reason != rocksdb::BackgroundErrorReason::kFlushNoWAL) {
    return;
  }
  absl::MutexLock lock(&mutex_);
  EndFlushesOfThisThreadLocked(-1, *error);
}

void DatabaseTasks::Tell(const ThreadStatus& thread) {
  const bool flush = thread.operation_type == ThreadStatus::OP_FLUSH;
  if (!flush && thread.operation_type != ThreadStatus::OP_COMPACTION) return;
  if (thread.db_name != path_) return;
  absl::MutexLock lock(&mutex_);
  const auto job = jobs_.find({static_cast<int>(thread.op_properties[kJobId]), thread.cf_name});
  if (job == jobs_.end() || job->second.flush != flush) return;
  job->second.task.SetProgress(
      thread.op_properties[flush ? kFlushBytesWritten : kCompactionBytesRead],
      thread.op_properties[flush ? kFlushMemtableBytes : kCompactionInputBytes], "bytes");
  if (thread.operation_stage != ThreadStatus::STAGE_UNKNOWN) {
    job->second.task.SetAttribute("stage",
                                  ThreadStatus::GetOperationStageName(thread.operation_stage));
  }
}

void DatabaseTasks::Watch(rocksdb::Env* env, std::string path) {
  path_ = std::move(path);
  {
    absl::MutexLock lock(&mutex_);
    watching_ = true;
  }
  watcher_ = std::thread([this, env] {
    NameThisThread("ss-jobs");
    WatchLoop(env);
  });
}

void DatabaseTasks::WatchLoop(rocksdb::Env* env) {
  constexpr absl::Duration kLook = absl::Milliseconds(250);
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      while (watching_ && jobs_.empty()) changed_.Wait(&mutex_);
      if (!watching_) return;
    }
    std::vector<ThreadStatus> threads;
    if (!env->GetThreadList(&threads).ok()) return;  // a RocksDB that was built without it
    for (const ThreadStatus& thread : threads) Tell(thread);
    absl::MutexLock lock(&mutex_);
    const SteadyTime next = DeadlineIn(kLook);
    for (bool late = false; watching_ && !late;) late = changed_.WaitUntil(&mutex_, next);
  }
}

void DatabaseTasks::StopWatching() {
  {
    absl::MutexLock lock(&mutex_);
    watching_ = false;
    changed_.SignalAll();
  }
  if (watcher_.joinable()) watcher_.join();
}

void DatabaseTasks::Stop() {
  StopWatching();
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  jobs_.clear();
}

}  // namespace slipstream
