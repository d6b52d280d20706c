#include "tests/e2e/message_proxy.h"

#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "catch2/catch.hpp"

namespace slipstream::testing {

MessageProxy::MessageProxy(int leader_port)
    : leader_(v1::Replication::NewStub(grpc::CreateChannel(
          "127.0.0.1:" + std::to_string(leader_port), grpc::InsecureChannelCredentials()))) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  REQUIRE(server_ != nullptr);
}

MessageProxy::~MessageProxy() { server_->Shutdown(std::chrono::system_clock::now()); }

void MessageProxy::SetTamper(Tamper tamper) {
  std::lock_guard<std::mutex> lock(mutex_);
  tamper_ = std::move(tamper);
}

uint64_t MessageProxy::streams() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return streams_;
}

std::vector<v1::LeaderMessage> MessageProxy::Tampered(const v1::LeaderMessage& message) {
  std::lock_guard<std::mutex> lock(mutex_);
  return tamper_ ? tamper_(message) : std::vector<v1::LeaderMessage>{message};
}

grpc::Status MessageProxy::Follow(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<v1::LeaderMessage, v1::FollowerMessage>* stream) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ++streams_;
  }
  grpc::ClientContext leader_context;
  auto leader = leader_->Follow(&leader_context);
  std::thread acks([&] {
    v1::FollowerMessage message;
    while (stream->Read(&message) && leader->Write(message)) {
    }
    leader_context.TryCancel();
  });
  v1::LeaderMessage message;
  bool open = true;
  while (open && leader->Read(&message)) {
    for (const v1::LeaderMessage& m : Tampered(message)) open = open && stream->Write(m);
  }
  leader_context.TryCancel();
  context->TryCancel();
  acks.join();
  while (leader->Read(&message)) {
  }
  return leader->Finish();
}

}  // namespace slipstream::testing
