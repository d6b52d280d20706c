// A gRPC proxy between a leader and its followers that a test can have lie.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "slipstream/v1/replication.grpc.pb.h"

namespace slipstream::testing {

// Opens a stream of its own to the leader for each that a follower opens, and hands each message
// on, or what the test makes of it.
// Threads: any.
class MessageProxy : private v1::Replication::Service {
 public:
  explicit MessageProxy(int leader_port);
  ~MessageProxy() override;

  int port() const { return port_; }

  // What the follower gets instead of a message of the leader. Called on threads of gRPC, one call
  // at a time.
  using Tamper = std::function<std::vector<v1::LeaderMessage>(const v1::LeaderMessage&)>;
  void SetTamper(Tamper tamper);
  uint64_t streams() const;

 private:
  grpc::Status Follow(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::LeaderMessage, v1::FollowerMessage>* stream) override;
  std::vector<v1::LeaderMessage> Tampered(const v1::LeaderMessage& message);

  const std::unique_ptr<v1::Replication::Stub> leader_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;

  mutable std::mutex mutex_;
  Tamper tamper_;
  uint64_t streams_ = 0;
};

}  // namespace slipstream::testing
