#include "lib/wire/grpc_transport.h"

#include <grpc/support/time.h>
#include <grpcpp/grpcpp.h>

#include "lib/wire/conversions.h"
#include "lib/wire/grpc_status.h"
#include "slipstream/v1/replication.grpc.pb.h"

namespace slipstream {
namespace {

class GrpcFollowerStream : public FollowerStream {
 public:
  GrpcFollowerStream(v1::Replication::Stub* stub, std::string address, const Hello& hello)
      : address_(std::move(address)), stream_(stub->Follow(&context_)) {
    v1::FollowerMessage message;
    wire::ToProto(hello, message.mutable_hello());
    // A failure shows at the first Read.
    stream_->Write(message);
  }

  bool Read(FollowerInput* input) override {
    if (!stream_->Read(&message_)) return false;
    switch (message_.message_case()) {
      case v1::LeaderMessage::kWelcome:
        input->type = FollowerInput::Type::kWelcome;
        input->welcome = wire::FromProto(message_.welcome());
        return true;
      case v1::LeaderMessage::kImageBegin:
        input->type = FollowerInput::Type::kImageBegin;
        input->image_begin = wire::FromProto(message_.image_begin());
        return true;
      case v1::LeaderMessage::kImageEnd:
        input->type = FollowerInput::Type::kImageEnd;
        return true;
      case v1::LeaderMessage::kFrames:
        input->type = FollowerInput::Type::kFrames;
        input->header = wire::FromProto(message_.frames());
        input->payload = std::move(*message_.mutable_frames()->mutable_payload());
        return true;
      case v1::LeaderMessage::kHeartbeat:
        input->type = FollowerInput::Type::kHeartbeat;
        input->header = FramesHeader();
        input->header.leader = wire::FromProto(message_.heartbeat().leader());
        return true;
      case v1::LeaderMessage::MESSAGE_NOT_SET:
        break;
    }
    unknown_message_ = true;
    context_.TryCancel();
    return false;
  }

  bool WriteAck(const Ack& ack) override {
    v1::FollowerMessage message;
    wire::ToProto(ack, message.mutable_ack());
    return stream_->Write(message);
  }

  void Cancel() override { context_.TryCancel(); }

  rocksdb::Status Finish() override {
    const grpc::Status status = stream_->Finish();
    if (unknown_message_) {
      return rocksdb::Status::NotSupported(address_ + ": a message of an unknown kind");
    }
    return wire::FromGrpc(status, address_);
  }

 private:
  const std::string address_;
  grpc::ClientContext context_;
  const std::unique_ptr<grpc::ClientReaderWriter<v1::FollowerMessage, v1::LeaderMessage>> stream_;
  v1::LeaderMessage message_;
  bool unknown_message_ = false;
};

class GrpcTransport : public FollowerTransport {
 public:
  GrpcTransport(const std::string& address, std::shared_ptr<grpc::ChannelCredentials> credentials)
      : address_(address) {
    grpc::ChannelArguments arguments;
    // A connection of its own: several followers in one process share nothing.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    channel_ = grpc::CreateCustomChannel(
        address, credentials != nullptr ? credentials : grpc::InsecureChannelCredentials(),
        arguments);
    stub_ = v1::Replication::NewStub(channel_);
  }

  std::unique_ptr<FollowerStream> Open(const Hello& hello) override {
    // A call on a channel that failed to connect before fails at once, and between calls nobody
    // polls the socket of the next attempt: without this wait gRPC would notice only every five
    // seconds that the leader is back. Its result does not matter, as the call tells why it failed.
    constexpr int64_t kConnectWaitMs = 100;
    channel_->WaitForConnected(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                            gpr_time_from_millis(kConnectWaitMs, GPR_TIMESPAN)));
    return std::make_unique<GrpcFollowerStream>(stub_.get(), address_, hello);
  }

 private:
  const std::string address_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Replication::Stub> stub_;
};

}  // namespace

std::unique_ptr<FollowerTransport> NewGrpcTransport(
    const std::string& address, std::shared_ptr<grpc::ChannelCredentials> credentials) {
  return std::make_unique<GrpcTransport>(address, std::move(credentials));
}

}  // namespace slipstream
