#include "lib/wire/grpc_transport.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "lib/wire/conversions.h"
#include "lib/wire/grpc_status.h"
#include "slipstream/v1/replication.grpc.pb.h"

namespace slipstream {
namespace {

// Of bytes under way to this follower: what a fast network holds in a few milliseconds.
constexpr int kWindowBytes = 4 << 20;
// A message of the replication log is up to 1 MiB long.
constexpr int kMaxHttp2FrameBytes = 1 << 20;

class GrpcFollowerStream : public FollowerStream {
 public:
  GrpcFollowerStream(std::unique_ptr<v1::Replication::Stub> stub, std::string address,
                     const Hello& hello)
      : address_(std::move(address)),
        stub_(std::move(stub)),
        context_(NewContext()),
        stream_(stub_->Follow(context_.get())) {
    wire::ToProto(hello, hello_.mutable_hello());
  }

  bool Read(FollowerInput* input) override {
    // Here and not before, as it blocks until there is a connection: Cancel can end it.
    if (!std::exchange(greeted_, true) && !stream_->Write(hello_)) return false;
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
        input->header.offset = message_.heartbeat().sent();
        input->header.confirm = message_.heartbeat().confirm();
        return true;
      case v1::LeaderMessage::MESSAGE_NOT_SET:
        break;
    }
    unknown_message_ = true;
    context_->TryCancel();
    return false;
  }

  bool WriteAck(const Ack& ack) override {
    v1::FollowerMessage message;
    wire::ToProto(ack, message.mutable_ack());
    return stream_->Write(message);
  }

  void Cancel() override { context_->TryCancel(); }

  rocksdb::Status Finish() override {
    const grpc::Status status = stream_->Finish();
    if (unknown_message_) {
      return rocksdb::Status::NotSupported(address_ + ": a message of an unknown kind");
    }
    return wire::FromGrpc(status, address_);
  }

 private:
  static std::unique_ptr<grpc::ClientContext> NewContext() {
    auto context = std::make_unique<grpc::ClientContext>();
    // Else opening the stream would block until there is a connection.
    context->set_initial_metadata_corked(true);
    return context;
  }

  const std::string address_;
  const std::unique_ptr<v1::Replication::Stub> stub_;
  const std::unique_ptr<grpc::ClientContext> context_;
  const std::unique_ptr<grpc::ClientReaderWriter<v1::FollowerMessage, v1::LeaderMessage>> stream_;
  v1::FollowerMessage hello_;
  bool greeted_ = false;
  v1::LeaderMessage message_;
  bool unknown_message_ = false;
};

class GrpcTransport : public FollowerTransport {
 public:
  GrpcTransport(std::string address, std::shared_ptr<grpc::ChannelCredentials> credentials)
      : address_(std::move(address)),
        credentials_(credentials != nullptr ? std::move(credentials)
                                            : grpc::InsecureChannelCredentials()) {}

  // Each stream has a channel of its own. One that failed to connect would try again by gRPC's
  // timers, which nobody drives between two calls, and which stand still for as long as the wall
  // clock was set back.
  std::unique_ptr<FollowerStream> Open(const Hello& hello) override {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    // The window is large from the start, so nothing probes for the bandwidth with pings: a
    // follower takes frames into its queue as fast as they come, and that has the limit.
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kWindowBytes);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kMaxHttp2FrameBytes);
    // There is one call on a channel, and the receiver is what opens the next one.
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
    return std::make_unique<GrpcFollowerStream>(
        v1::Replication::NewStub(grpc::CreateCustomChannel(address_, credentials_, arguments)),
        address_, hello);
  }

 private:
  const std::string address_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
};

}  // namespace

std::unique_ptr<FollowerTransport> NewGrpcTransport(
    const std::string& address, std::shared_ptr<grpc::ChannelCredentials> credentials) {
  return std::make_unique<GrpcTransport>(address, std::move(credentials));
}

}  // namespace slipstream
