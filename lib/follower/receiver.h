// Keeps a stream to the leader open: connects, reads into the queue, acknowledges, and starts over
// when the stream breaks or goes silent.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/core/transport.h"
#include "lib/follower/progress.h"
#include "lib/follower/receive_queue.h"
#include "lib/host/steady_cond_var.h"
#include "slipstream/observe/cancellation.h"
#include "slipstream/observe/task.h"

namespace slipstream {

struct ReceiverOptions {
  std::string database;
  std::string follower_id;
  std::string name;
  std::string observe_endpoint;
  std::string leader_address;              // for people
  observe::TaskRegistry* tasks = nullptr;  // borrowed; null = none
  uint64_t stream_timeout_us = 0;
  uint64_t ack_interval_us = 0;
  // Judges what the leader says of its column families; an error ends the stream.
  std::function<rocksdb::Status(const Welcome&)> check_welcome;
  // Adds to an acknowledgement what the receiver does not know.
  std::function<void(Ack*)> fill_ack;
};

// Starts the threads "ss-receiver", which blocks on the stream and on the queue, or applies what it
// pushes (ReceiveQueue::SetDirect), and "ss-keeper", which sends acknowledgements, is woken by
// progress, and gives up a silent stream.
class Receiver {
 public:
  Receiver(ReceiverOptions options, std::unique_ptr<FollowerTransport> transport,
           ReceiveQueue* queue, Progress* progress);
  ~Receiver();

  void Start();
  // REQUIRES: the queue was stopped.
  void Stop();
  // The present stream is of no use, for this reason: a new one is opened. Any thread.
  void Restart(const rocksdb::Status& why);

  // Why the last stream ended; OK before.
  rocksdb::Status last_error() const;
  uint64_t reconnects() const { return reconnects_.load(std::memory_order_relaxed); }

 private:
  void ReceiveLoop();
  // A task is that of the attempts to get a stream, and then of that stream until its end.
  void BeginTask();
  void EndTask(const rocksdb::Status& status, bool worked);
  void SetTaskStatus(const std::string& status, const observe::Blocker& blocker = {});
  // Keeps the task of an image up to date.
  void NoteImage(const FollowerInput& input);
  bool Push(FollowerInput input);
  // One stream, from hello to its end.
  rocksdb::Status Receive();
  std::optional<Hello> AskHello();
  void Welcomed(const Welcome& welcome);
  void KeepLoop();
  // Sends an acknowledgement, if there is a stream to send it on.
  void Acknowledge();
  void Watch();
  bool stopping() const ABSL_LOCKS_EXCLUDED(mutex_);
  // True if Stop was called, false after the timeout.
  bool WaitForStop(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

  const ReceiverOptions options_;
  const std::unique_ptr<FollowerTransport> transport_;
  ReceiveQueue* const queue_;
  Progress* const progress_;
  // Of the receiver's thread.
  std::optional<observe::TaskScope> task_;
  std::optional<observe::CancelHook> cancel_;
  std::optional<observe::Task> image_;
  uint64_t image_done_ = 0;
  uint64_t image_bytes_ = 0;

  std::thread receiver_;
  std::thread keeper_;
  std::atomic<uint64_t> last_read_us_{0};
  // How often the leader wants to hear of this follower at the least: as often as it is heard of.
  std::atomic<uint64_t> heartbeat_us_{250000};
  std::atomic<uint64_t> reconnects_{0};

  mutable absl::Mutex mutex_;
  SteadyCondVar stopped_;
  // The open stream; the receiver's thread owns it and waits until no acknowledgement is being
  // written before it goes.
  FollowerStream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool welcomed_ ABSL_GUARDED_BY(mutex_) = false;
  rocksdb::Status restart_reason_ ABSL_GUARDED_BY(mutex_);  // of the present stream
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  rocksdb::Status last_error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream
