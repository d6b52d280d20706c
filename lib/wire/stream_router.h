// What the streams of a replication server and its leaders know of each other.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "lib/core/transport.h"
#include "lib/host/plain_mutex.h"

namespace slipstream {

// Threads: Accept, Opened, Closed and Advance the server's one; the others any.
class ServerRouter : public StreamRouter {
 public:
  explicit ServerRouter(std::shared_ptr<StreamWaker> waker);

  // `call` is told of each database whether it is served. Before the first call of Add.
  void OnServing(std::function<void(const std::string&, bool)> call) {
    on_serving_ = std::move(call);
  }

  void Expect(const std::string& database) override;
  void Unexpect(const std::string& database) override;
  rocksdb::Status Add(const std::string& database,
                      std::shared_ptr<LeaderEndpoint> endpoint) override;
  void Remove(const std::string& database) override;
  std::shared_ptr<StreamWaker> waker() override { return waker_; }

  // The session of a stream; null, and why, if it is refused.
  std::shared_ptr<LeaderSession> Accept(const Hello& hello, const std::string& peer,
                                        std::shared_ptr<LeaderStream> stream,
                                        rocksdb::Status* status);
  void Opened(std::shared_ptr<LeaderStream> stream);
  void Closed(const std::shared_ptr<LeaderStream>& stream);

  // Advances all endpoints. Returns when to do so again.
  StreamWait Advance(uint64_t now_us);

  // Ends all streams and waits until they are gone: at most five seconds, and longer than one only
  // for a peer that is stuck.
  void Stop();

 private:
  using Endpoints = std::map<std::string, std::shared_ptr<LeaderEndpoint>>;

  // Why a stream of a database is refused that is not served.
  rocksdb::Status WhyNotLocked(const std::string& database) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WaitUntilClosed(absl::Duration patience);

  const std::shared_ptr<StreamWaker> waker_;
  std::function<void(const std::string&, bool)> on_serving_;

  PlainMutex mutex_;
  std::condition_variable changed_;
  bool began_ ABSL_GUARDED_BY(mutex_) = false;  // a database was announced
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool calling_ ABSL_GUARDED_BY(mutex_) = false;  // the server's thread is in an endpoint
  // Replaced, not changed, so that the server's thread goes through it without the lock.
  std::shared_ptr<const Endpoints> endpoints_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> expected_ ABSL_GUARDED_BY(mutex_);
  std::set<std::shared_ptr<LeaderStream>> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream
