// All streams of one incarnation of a leader.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/host/plain_mutex.h"
#include "lib/leader/stream_session.h"

namespace slipstream {

// Threads: Accept and Advance from the transport; the rest from the leader.
class SessionSet : public LeaderEndpoint {
 public:
  // welcome: what every follower is told; the epochs and column families of this opening.
  // deleted_through: files removed up to there may be gone from the storage.
  SessionSet(std::shared_ptr<const SessionContext> context, std::string database, Welcome welcome,
             std::function<Position()> deleted_through);
  ~SessionSet() override;

  // Ends all streams with `why`. No stream is accepted after, and none sends.
  void Stop(const rocksdb::Status& why);

  std::shared_ptr<LeaderSession> Accept(const Hello& hello, const std::string& peer,
                                        std::shared_ptr<LeaderStream> stream,
                                        rocksdb::Status* status) override;
  StreamWait Advance(uint64_t now_us) override;

 private:
  rocksdb::Status Check(const Hello& hello) const;
  bool CanResume(const Hello& hello) const;

  const std::shared_ptr<const SessionContext> context_;
  const std::string database_;
  const Welcome welcome_;
  const std::function<Position()> deleted_through_;

  std::vector<std::shared_ptr<StreamSession>> advancing_;  // only during Advance

  PlainMutex mutex_;
  std::vector<std::shared_ptr<StreamSession>> sessions_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace slipstream
