// All streams of one leader, and the thread that feeds them.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/leader/stream_session.h"

namespace slipstream {

// Threads: Accept from the transport; the rest from the leader. Starts the thread "ss-pump", which
// is woken by growth of the replication log and calls the transport.
class SessionSet : public LeaderEndpoint {
 public:
  // welcome: what every follower is told; the epochs and column families of this opening.
  // deleted_through: files removed up to there may be gone from the storage.
  SessionSet(std::shared_ptr<const SessionContext> context, std::string database, Welcome welcome,
             std::function<Position()> deleted_through);
  ~SessionSet() override;

  void Start();
  // Ends all streams with `why` and joins the pump. No stream is accepted after.
  void Stop(const rocksdb::Status& why);

  std::shared_ptr<LeaderSession> Accept(const Hello& hello, const std::string& peer,
                                        std::shared_ptr<LeaderStream> stream,
                                        rocksdb::Status* status) override;

 private:
  void Pump();
  rocksdb::Status Check(const Hello& hello) const;
  bool CanResume(const Hello& hello) const;

  const std::shared_ptr<const SessionContext> context_;
  const std::string database_;
  const Welcome welcome_;
  const std::function<Position()> deleted_through_;
  std::atomic<bool> stopping_{false};
  std::thread pump_;

  absl::Mutex mutex_;
  std::vector<std::shared_ptr<StreamSession>> sessions_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace slipstream
