// One follower's stream as the leader serves it.
//
//            cut in memory              cursor has left memory
//   Welcome ---------------> replicate <------------------------+
//      |                         |                              |
//      +--> image (ImageBegin, frames of files, ImageEnd) ------+
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/core/image_plan.h"
#include "lib/core/send_pacer.h"
#include "lib/core/transport.h"
#include "lib/leader/follower_table.h"
#include "lib/leader/position_source.h"
#include "lib/leader/replication_log.h"
#include "lib/leader/stream_task.h"

namespace slipstream {

// What all sessions of a leader share. Lifetime: until the last session is closed.
struct SessionContext {
  std::shared_ptr<ReplicationLog> log;
  std::shared_ptr<FollowerTable> followers;
  std::shared_ptr<PositionSource> position;
  uint64_t heartbeat_us = 0;
  // A follower that was silent for so long is given up; it confirms at every heartbeat.
  uint64_t silence_us = 0;
  uint64_t max_batch_delay_us = 0;
  // Whether every write that has a sequence number is in the log: not under manual_wal_flush.
  bool log_has_all_writes = true;
  // For the tasks of streams; borrowed, null = none.
  observe::TaskRegistry* tasks = nullptr;
  std::string database;
};

// What a follower is told that wants an image while there is none: `why` is the log's break.
rocksdb::Status ReplicationStopped(const rocksdb::Status& why);

// Threads: Advance from the leader's pump; the others from the transport. At most one of them at a
// time owns the sending side: whoever set busy_.
class StreamSession : public LeaderSession, public std::enable_shared_from_this<StreamSession> {
 public:
  // Registers the follower with its pin: what is removed from here on is kept for it.
  StreamSession(std::shared_ptr<const SessionContext> context, std::shared_ptr<LeaderStream> stream,
                Hello hello, std::string peer, Welcome welcome);

  // What the follower holds is a part of this epoch, so that its stream goes on from there; without
  // this it gets an image from scratch. Before Start.
  void Resume(const Hello& hello);

  // What the pump waits for before it looks again, at the latest after `after_us`.
  struct Next {
    enum class Wait {
      kGrowth,  // everything is sent: for more of the replication log
      kDelay,   // until the next message may be sent
      kSent,    // a message is on its way: OnSent goes on from there, then wakes the pump
    };
    uint64_t after_us;
    Wait wait = Wait::kGrowth;
  };

  // Sends what there is to send, if it is time.
  Next Advance(uint64_t now_us);

  // Ends the stream; the follower sees `status`.
  void Finish(const rocksdb::Status& status);
  bool closed() const;
  // The leader goes: from here on the stream is nobody's task.
  void EndTask(const rocksdb::Status& status) { task_.End(status); }

  void Start() override;
  void OnSent() override;
  void OnAck(const Ack& ack) override;
  void OnClosed() override;

 private:
  enum class Phase { kImageStart, kImageFiles, kImageObjects, kReplicate };

  // Takes the sending side; false if another has it, who will then look again.
  bool TakeTurn();
  // Hands one message to the stream, and with it the sending side to OnSent. False if there is
  // none, or not yet.
  bool SendNext(uint64_t now_us, Next* next);
  bool SendImageStart();
  bool SendImageFiles();
  bool SendImageObjects();
  void SendImageFrames(std::string frames);
  bool SendFromLog(uint64_t now_us, Next* next);

  const std::shared_ptr<const SessionContext> context_;
  const std::shared_ptr<LeaderStream> stream_;
  const std::string follower_id_;
  const uint64_t stream_number_;
  const Welcome welcome_;

  // Owned by the sending side.
  Phase phase_ = Phase::kImageStart;
  SendPacer pacer_;
  uint64_t cursor_ = 0;            // in the replication log
  uint64_t asked_ = UINT64_MAX;    // cursor of the last message that asked for a confirmation
  std::vector<LogFileSize> held_;  // what the follower holds of the log files
  ImageSnapshot image_;
  ImagePlan plan_;
  size_t part_ = 0;
  uint64_t part_done_ = 0;
  size_t object_ = 0;
  uint64_t image_done_ = 0;  // bytes of log files
  uint64_t last_send_us_ = 0;

  Ack last_ack_;  // owned by the receiving side
  std::atomic<uint64_t> heard_us_;
  std::atomic<uint64_t> cancelled_us_{0};  // when its task was; 0 = it was not

  mutable absl::Mutex mutex_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = true;  // until the welcome is sent
  // The pump found this stream busy and relies on OnSent.
  bool awaited_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  rocksdb::Status finished_ ABSL_GUARDED_BY(mutex_);  // what the follower was told first

  StreamTask task_;  // the last one: its hook uses the others
};

}  // namespace slipstream
