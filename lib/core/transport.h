// The seam between the replication protocol and what carries it. lib/wire implements it over gRPC;
// nothing above it knows that.
//
//   leader side     StreamRouter -> LeaderSession <-> LeaderStream
//                   callbacks of one thread of the transport
//   follower side   FollowerTransport -> FollowerStream
//                   one blocking reader, one writer
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/core/messages.h"
#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace slipstream {

// Bytes that several streams may share: `owner` keeps them alive.
struct SharedBytes {
  std::shared_ptr<const void> owner;
  rocksdb::Slice bytes;
};

// The leader's end of one stream. One message is under way at a time: after each Send the session
// waits for OnSent.
// Threads: Finish and Cancel any, the others the transport's one. Calls after OnClosed do nothing.
class LeaderStream {
 public:
  virtual ~LeaderStream() = default;
  virtual void SendWelcome(const Welcome& welcome) = 0;
  virtual void SendImageBegin(const ImageBegin& begin) = 0;
  virtual void SendImageEnd() = 0;
  virtual void SendFrames(const FramesHeader& header, const std::vector<SharedBytes>& frames) = 0;
  // `sent`: end of the frames that this stream has been sent. `confirm`: see FramesHeader.
  virtual void SendHeartbeat(const Position& leader, uint64_t sent, bool confirm) = 0;
  // Ends the stream; the follower sees `status`.
  virtual void Finish(const rocksdb::Status& status) = 0;
  // Ends a stream whose peer takes nothing any more, not even its end.
  virtual void Cancel() = 0;
};

// What a leader does for one stream.
// Threads: the transport's one. OnClosed is the last call.
class LeaderSession {
 public:
  virtual ~LeaderSession() = default;
  // The first call: the session begins to send.
  virtual void Start() = 0;
  virtual void OnSent() = 0;
  virtual void OnAck(const Ack& ack) = 0;
  virtual void OnClosed() = 0;
};

// For what the transport's thread waits until it advances its endpoints again: for the waker, and
// for something to happen to a stream.
struct StreamWait {
  uint64_t after_us = UINT64_MAX;  // at the latest
  bool wake_is_near = false;       // the waker is expected within a few milliseconds
  bool must_hear = false;          // of what happens to a stream, at once

  // What happens to streams may be heard of a few milliseconds later: to wait for the waker alone
  // costs it and the waiting thread much less.
  bool may_be_deaf() const { return wake_is_near && !must_hear; }

  void Join(const StreamWait& other) {
    after_us = std::min(after_us, other.after_us);
    wake_is_near |= other.wake_is_near;
    must_hear |= other.must_hear;
  }
};

// Makes the transport's thread advance its endpoints soon.
// Threads: any. Lifetime: may outlive the transport; does nothing then.
class StreamWaker {
 public:
  virtual ~StreamWaker() = default;
  virtual void Wake() = 0;
};

// Accepts the streams of one database, and sends on them.
// Threads: the transport's one.
class LeaderEndpoint {
 public:
  virtual ~LeaderEndpoint() = default;
  // Returns null and sets `*status` to refuse.
  virtual std::shared_ptr<LeaderSession> Accept(const Hello& hello, const std::string& peer,
                                                std::shared_ptr<LeaderStream> stream,
                                                rocksdb::Status* status) = 0;
  // Sends what is due. Called again when what it returns has happened.
  virtual StreamWait Advance(uint64_t now_us) = 0;
};

// Finds the endpoint of a database.
// Threads: any.
class StreamRouter {
 public:
  virtual ~StreamRouter() = default;
  // Somebody is about to open the database: until it is added, or Unexpect, followers are told to
  // try again. Calls are counted.
  virtual void Expect(const std::string& database) = 0;
  virtual void Unexpect(const std::string& database) = 0;
  // Returns Busy if the database is announced already.
  [[nodiscard]] virtual rocksdb::Status Add(const std::string& database,
                                            std::shared_ptr<LeaderEndpoint> endpoint) = 0;
  // After it returned, the endpoint is not running and will not be called. Open streams are not
  // ended.
  virtual void Remove(const std::string& database) = 0;
  virtual std::shared_ptr<StreamWaker> waker() = 0;
};

// What a follower reads off a stream.
struct FollowerInput {
  enum class Type { kWelcome, kImageBegin, kImageEnd, kFrames, kHeartbeat } type;
  Welcome welcome;
  ImageBegin image_begin;
  // kFrames; of a heartbeat `leader`, `confirm`, and `offset`: what was sent until then
  FramesHeader header;
  std::string payload;  // kFrames
};

// The follower's end of one stream.
// Threads: Read on one thread, WriteAck on another, Cancel on any.
class FollowerStream {
 public:
  virtual ~FollowerStream() = default;
  // Blocks. False at the end of the stream: then Finish tells why.
  virtual bool Read(FollowerInput* input) = 0;
  // Blocks for flow control at most. False when the stream has ended.
  virtual bool WriteAck(const Ack& ack) = 0;
  // Makes a blocked Read or WriteAck return false.
  virtual void Cancel() = 0;
  // The status with which the stream ended. To be called once Read has returned false and no
  // WriteAck is running.
  virtual rocksdb::Status Finish() = 0;
};

class FollowerTransport {
 public:
  virtual ~FollowerTransport() = default;
  // Opens a stream and writes `hello`. Does not wait for the leader to answer.
  virtual std::unique_ptr<FollowerStream> Open(const Hello& hello) = 0;
};

}  // namespace slipstream
