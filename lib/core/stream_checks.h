// What a peer may say, and when. A peer that breaks these rules is of another make, or lies: its
// stream is ended with a status that names the message, the value found and the one expected.
// Pure. Threads: thread-compatible.
#pragma once

#include <cstdint>

#include "lib/core/messages.h"
#include "lib/core/transport.h"
#include "rocksdb/status.h"
#include "slipstream/position.h"

namespace slipstream {

// Longest FollowerOptions::name.
inline constexpr size_t kMaxFollowerName = 1000;
// Longest FollowerOptions::observe_endpoint.
inline constexpr size_t kMaxObserveEndpoint = 300;

// The sizes of what a hello carries, before anything is done with it.
// Returns InvalidArgument.
[[nodiscard]] rocksdb::Status CheckHelloSizes(const Hello& hello);

// `end`: epoch and end of the leader's replication log.
// Returns NotSupported for another protocol, Aborted for a follower that has seen a newer epoch,
// InvalidArgument for positions that this leader cannot have given.
[[nodiscard]] rocksdb::Status CheckHello(const Hello& hello, const Position& end);

// `before`: the last acknowledgement of this stream; at first what its hello said.
// Returns InvalidArgument for what the leader never sent, and for what goes back.
[[nodiscard]] rocksdb::Status CheckAck(const Ack& ack, const Ack& before, const Position& end);

// The order of a leader's messages on one stream:
//
//   Welcome, then any number of Heartbeats, Frames of the log, and images, each of which is
//   ImageBegin, Frames of it, ImageEnd; all of the epoch that Welcome named. Frames of the log
//   follow each other, and a heartbeat says how far they went.
class InputOrder {
 public:
  // shown: what reads show; a leader of an older epoch has been replaced.
  // held: what the hello said; without an image, frames go on from there.
  InputOrder(const Position& shown, const Position& held) : shown_(shown), held_(held) {}

  // Returns NotSupported for another protocol, Aborted for an older epoch, else Corruption.
  [[nodiscard]] rocksdb::Status Check(const FollowerInput& input);

 private:
  rocksdb::Status CheckWelcome(const Welcome& welcome);
  rocksdb::Status CheckEpoch(const char* what, uint64_t epoch) const;
  rocksdb::Status CheckImageBegin(const ImageBegin& begin);
  rocksdb::Status CheckFrames(const FollowerInput& input);
  rocksdb::Status CheckHeartbeat(const FramesHeader& header) const;

  const Position shown_;
  const Position held_;
  bool welcomed_ = false;
  uint64_t epoch_ = 0;
  bool in_image_ = false;
  uint64_t next_ = 0;  // where the next frames of the log begin
};

}  // namespace slipstream
