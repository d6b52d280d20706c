// RocksDB's flushes and compactions as tasks.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/host/steady_cond_var.h"
#include "rocksdb/env.h"
#include "rocksdb/listener.h"
#include "slipstream/observe/task.h"

namespace slipstream {

// Threads: any; RocksDB's call it without its mutex. Where RocksDB keeps track of its threads
// (DBOptions::enable_thread_tracking), the thread "ss-jobs" asks how far they are, as long as there
// are any.
// Lifetime: shared with the database's options, which may outlive the leader and the registry:
// after Stop it touches neither.
class DatabaseTasks : public rocksdb::EventListener {
 public:
  DatabaseTasks(observe::TaskRegistry* tasks, std::string database)
      : tasks_(tasks), database_(std::move(database)) {}
  ~DatabaseTasks() override { Stop(); }

  // Starts the thread. path: the database's. `env` is used until StopWatching.
  void Watch(rocksdb::Env* env, std::string path);
  void StopWatching();
  void Stop();

  const char* Name() const override { return "SlipstreamDatabaseTasks"; }
  void OnFlushBegin(rocksdb::DB* db, const rocksdb::FlushJobInfo& info) override;
  void OnFlushCompleted(rocksdb::DB* db, const rocksdb::FlushJobInfo& info) override;
  void OnCompactionBegin(rocksdb::DB* db, const rocksdb::CompactionJobInfo& info) override;
  void OnCompactionCompleted(rocksdb::DB* db, const rocksdb::CompactionJobInfo& info) override;
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) override;

  // What RocksDB says of a thread of its own. Public for tests.
  void Tell(const rocksdb::ThreadStatus& thread);

 private:
  // An atomic flush has one job for several column families.
  struct Key {
    int job = 0;
    std::string column_family;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Job {
    observe::Task task;
    std::thread::id thread;
    bool flush = false;
  };

  void Begin(const Key& key, bool flush, const std::string& status);
  void End(const Key& key, const rocksdb::Status& status);
  // Of a flush that fails RocksDB does not say that it has ended: those of this thread, but for
  // `job`, have.
  void EndFlushesOfThisThreadLocked(int job, const rocksdb::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WatchLoop(rocksdb::Env* env);

  observe::TaskRegistry* const tasks_;
  const std::string database_;
  std::string path_;
  std::thread watcher_;

  absl::Mutex mutex_;
  SteadyCondVar changed_;
  std::map<Key, Job> jobs_ ABSL_GUARDED_BY(mutex_);
  bool watching_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace slipstream
