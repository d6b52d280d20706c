// The follower's end of a stream in the test's own hands.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "slipstream/v1/replication.grpc.pb.h"

namespace slipstream::testing {

// Speaks the protocol's messages and knows none of its rules. Everything ends after a deadline.
// Threads: the test's only.
class RawFollower {
 public:
  // credentials: null = none.
  explicit RawFollower(int port, std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr);
  ~RawFollower();

  // A hello that the leader of LocalCluster accepts.
  static v1::Hello GoodHello();

  void Send(const v1::FollowerMessage& message) { stream_->Write(message); }
  void SendHello(const v1::Hello& hello);
  void SendAck(const v1::Ack& ack);
  // False at the end of the stream.
  bool Read(v1::LeaderMessage* message) { return stream_->Read(message); }
  // Reads whatever comes up to the stream's end, and returns how it ended.
  grpc::Status AwaitEnd();

 private:
  std::unique_ptr<v1::Replication::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::FollowerMessage, v1::LeaderMessage>> stream_;
};

}  // namespace slipstream::testing
