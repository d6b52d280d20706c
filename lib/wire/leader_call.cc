#include "lib/wire/leader_call.h"

#include <utility>

#include "lib/host/steady_clock.h"
#include "lib/wire/conversions.h"
#include "lib/wire/grpc_status.h"

namespace slipstream {
namespace {

using grpc::ByteBuffer;
using rocksdb::Status;

// A stream without a hello is nobody's: no lease and no leader would ever end it.
constexpr uint64_t kHelloPatienceUs = 5'000'000;

}  // namespace

LeaderCall::LeaderCall(std::shared_ptr<const CallContext> context) : context_(std::move(context)) {}

void LeaderCall::Request() {
  self_ = shared_from_this();
  {
    PlainLock lock(&mutex_);
    operations_ = 1;
  }
  server_context_.AsyncNotifyWhenDone(static_cast<StreamEvent*>(&done_));
  grpc::ServerCompletionQueue* queue = context_->loop->queue();
  context_->service->RequestFollow(&server_context_, &stream_, queue, queue,
                                   static_cast<StreamEvent*>(&requested_));
}

void LeaderCall::Complete(void (LeaderCall::*completed)(bool), bool ok) {
  (this->*completed)(ok);
  {
    PlainLock lock(&mutex_);
    if (--operations_ > 0) return;
    closed_ = true;
  }
  if (session_ != nullptr) session_->OnClosed();
  session_.reset();
  context_->router->Closed(self_);
  context_->gone();
  self_.reset();  // destroys it
}

void LeaderCall::OnRequested(bool ok) {
  if (!ok) return;  // the server shuts down
  {
    PlainLock lock(&mutex_);
    ++operations_;  // done_, which comes only of a call that has come
  }
  peer_ = server_context_.peer();
  came_us_ = SteadyMicros();
  context_->router->Opened(self_);
  context_->arrived(self_);
  Read();
}

uint64_t LeaderCall::CheckHello(uint64_t now_us) {
  {
    PlainLock lock(&mutex_);
    if (session_ != nullptr || ending_) return UINT64_MAX;
  }
  const uint64_t waited_us = now_us > came_us_ ? now_us - came_us_ : 0;
  if (waited_us < kHelloPatienceUs) return kHelloPatienceUs - waited_us;
  Finish(Status::TimedOut("no hello within 5 seconds"));
  return UINT64_MAX;
}

void LeaderCall::Read() {
  PlainLock lock(&mutex_);
  if (ending_) return;
  ++operations_;
  stream_.Read(&incoming_, static_cast<StreamEvent*>(&read_));
}

void LeaderCall::OnRead(bool ok) {
  if (!ok) {
    Finish(Status::OK());
    return;
  }
  v1::FollowerMessage message;
  const grpc::Status parsed =
      grpc::SerializationTraits<v1::FollowerMessage>::Deserialize(&incoming_, &message);
  Status s = parsed.ok() ? Take(message)
                         : Status::InvalidArgument("malformed message from " + peer_ + ": " +
                                                   parsed.error_message());
  if (s.ok()) {
    Read();
  } else {
    Finish(s);
  }
}

Status LeaderCall::Take(const v1::FollowerMessage& message) {
  if (session_ != nullptr && message.has_ack()) {
    session_->OnAck(wire::FromProto(message.ack()));
    return Status::OK();
  }
  if (session_ == nullptr && message.has_hello()) {
    Status s;
    session_ = context_->router->Accept(wire::FromProto(message.hello()), peer_, self_, &s);
    if (s.ok()) session_->Start();
    return s;
  }
  return Status::InvalidArgument(
      std::string("unexpected message from ") + peer_ +
      (session_ == nullptr ? ", expected a hello" : ", expected an ack"));
}

void LeaderCall::OnWritten(bool ok) {
  if (ok) {
    session_->OnSent();
  } else {
    Finish(Status::OK());
  }
}

// The client has cancelled the call or gone, or has been told its end.
void LeaderCall::OnDone(bool) { Finish(Status::OK()); }

void LeaderCall::Finish(const Status& status) {
  PlainLock lock(&mutex_);
  if (std::exchange(ending_, true)) return;
  ++operations_;
  stream_.Finish(wire::ToGrpc(status), static_cast<StreamEvent*>(&finished_));
}

void LeaderCall::Cancel() {
  PlainLock lock(&mutex_);
  if (!closed_) server_context_.TryCancel();
}

void LeaderCall::Send(const ByteBuffer& buffer) {
  PlainLock lock(&mutex_);
  if (ending_) return;
  ++operations_;
  stream_.Write(buffer, static_cast<StreamEvent*>(&written_));
}

void LeaderCall::SendMessage(const v1::LeaderMessage& message) {
  grpc::Slice slice(message.SerializeAsString());
  Send(ByteBuffer(&slice, 1));
}

void LeaderCall::SendWelcome(const Welcome& welcome) {
  v1::LeaderMessage message;
  wire::ToProto(welcome, message.mutable_welcome());
  SendMessage(message);
}

void LeaderCall::SendImageBegin(const ImageBegin& begin) {
  v1::LeaderMessage message;
  wire::ToProto(begin, message.mutable_image_begin());
  SendMessage(message);
}

void LeaderCall::SendImageEnd() {
  v1::LeaderMessage message;
  message.mutable_image_end();
  SendMessage(message);
}

void LeaderCall::SendHeartbeat(const Position& leader, uint64_t sent, bool confirm) {
  v1::LeaderMessage message;
  wire::ToProto(leader, message.mutable_heartbeat()->mutable_leader());
  message.mutable_heartbeat()->set_sent(sent);
  message.mutable_heartbeat()->set_confirm(confirm);
  SendMessage(message);
}

void LeaderCall::SendFrames(const FramesHeader& header, const std::vector<SharedBytes>& frames) {
  size_t size = 0;
  for (const SharedBytes& f : frames) size += f.bytes.size();
  std::vector<grpc::Slice> slices;
  slices.reserve(frames.size() + 1);
  slices.emplace_back(wire::FramesPrefix(header, size));
  for (const SharedBytes& f : frames) {
    // All streams share the bytes; the last slice that is freed lets go of them.
    auto* owner = new std::shared_ptr<const void>(f.owner);
    slices.emplace_back(
        const_cast<char*>(f.bytes.data()), f.bytes.size(),
        [](void* o) { delete static_cast<std::shared_ptr<const void>*>(o); }, owner);
  }
  Send(ByteBuffer(slices.data(), slices.size()));
}

}  // namespace slipstream
