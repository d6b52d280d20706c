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
#include "lib/core/image_plan.h"
#include "lib/core/send_pacer.h"
#include "lib/core/transport.h"
#include "lib/host/plain_mutex.h"
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

// Threads: the transport's one; Finish and closed any.
class StreamSession : public LeaderSession {
 public:
  // Registers the follower with its pin: what is removed from here on is kept for it.
  StreamSession(std::shared_ptr<const SessionContext> context, std::shared_ptr<LeaderStream> stream,
                Hello hello, std::string peer, Welcome welcome);

  // What the follower holds is a part of this epoch, so that its stream goes on from there; without
  // this it gets an image from scratch. Before Start.
  void Resume(const Hello& hello);

  // What has to happen before Advance is of use again, at the latest after `after_us`.
  struct Next {
    enum class Wait {
      kGrowth,  // everything is sent: for more of the replication log
      kDelay,   // until the next message may be sent
      kSent,    // a message is on its way: for OnSent
    };
    uint64_t after_us;
    Wait wait = Wait::kGrowth;
    bool growth_is_near = false;  // it is expected within a few milliseconds
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

  // Hands one message to the stream. False if there is none, or not yet.
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

  Ack last_ack_;
  uint64_t heard_us_;
  bool busy_ = true;  // a message is under way; until the welcome is sent
  std::atomic<bool> closed_{false};
  std::atomic<uint64_t> cancelled_us_{0};  // when its task was; 0 = it was not

  PlainMutex mutex_;
  rocksdb::Status finished_ ABSL_GUARDED_BY(mutex_);  // what the follower was told first

  StreamTask task_;  // the last one: its hook uses the others
};

}  // namespace slipstream
