#include "tests/e2e/raw_follower.h"

#include <chrono>

#include "tests/e2e/eventually.h"

namespace slipstream::testing {

RawFollower::RawFollower(int port, std::shared_ptr<grpc::ChannelCredentials> credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  stub_ = v1::Replication::NewStub(grpc::CreateCustomChannel(
      "127.0.0.1:" + std::to_string(port),
      credentials != nullptr ? credentials : grpc::InsecureChannelCredentials(), arguments));
  context_.set_deadline(std::chrono::system_clock::now() + kPatience);
  stream_ = stub_->Follow(&context_);
}

RawFollower::~RawFollower() { context_.TryCancel(); }

v1::Hello RawFollower::GoodHello() {
  v1::Hello hello;
  hello.set_min_protocol(1);
  hello.set_max_protocol(1);
  hello.set_database("test");
  hello.set_follower_id("raw");
  return hello;
}

void RawFollower::SendHello(const v1::Hello& hello) {
  v1::FollowerMessage message;
  *message.mutable_hello() = hello;
  Send(message);
}

void RawFollower::SendAck(const v1::Ack& ack) {
  v1::FollowerMessage message;
  *message.mutable_ack() = ack;
  Send(message);
}

grpc::Status RawFollower::AwaitEnd() {
  v1::LeaderMessage message;
  while (Read(&message)) {
  }
  return stream_->Finish();
}

}  // namespace slipstream::testing
