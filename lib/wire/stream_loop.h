// The one thread's work of a replication server: it waits for gRPC and for leaders that have
// something to send, at once.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include <condition_variable>
#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "lib/core/transport.h"
#include "lib/host/plain_mutex.h"

namespace slipstream {

// What a tag of the completion queue points to.
class StreamEvent {
 public:
  // ok: as CompletionQueue::Next says.
  virtual void Complete(bool ok) = 0;

 protected:
  ~StreamEvent() = default;
};

// gRPC's callbacks run on threads of their own, and each message that was sent wakes two of them:
// twice what the message itself costs. Here the thread that sends collects what has come of it,
// when it is awake anyway.
//
// Threads: Wake any; the others one. Lifetime: the queue is used until Shutdown and a last Wait.
class StreamLoop : public StreamWaker {
 public:
  explicit StreamLoop(std::unique_ptr<grpc::ServerCompletionQueue> queue);

  grpc::ServerCompletionQueue* queue() { return queue_.get(); }

  // Blocks until there is an event, Wake was called, or the time has passed. Events do not end a
  // wait that may be deaf, which then takes 2 milliseconds at most, or one of less than a
  // millisecond, which gRPC knows nothing of. Then completes the events that are there. False once
  // the queue is shut down and empty.
  bool Wait(const StreamWait& wait);

  // No operation may be started on the queue any more.
  void Shutdown();

  void Wake() override;

 private:
  struct Alarm : StreamEvent {
    void Complete(bool ok) override;
    StreamLoop* loop = nullptr;
  };
  enum class State { kRunning, kPausing, kPolling };

  // Sleeps if the wait is short or deaf; microseconds that are left to wait for events.
  uint64_t Pause(const StreamWait& wait);

  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  PlainMutex mutex_;
  std::condition_variable woken_or_late_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kRunning;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  // What ends a wait in the queue; its event is on its way while it is set.
  bool alarm_set_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Alarm alarm_ ABSL_GUARDED_BY(mutex_);
  Alarm alarm_event_;
};

}  // namespace slipstream
