// Messages of a peer, from the wire's bytes to the checks of what they say.
#include <algorithm>
#include <string>

#include "lib/core/frame.h"
#include "lib/core/stream_checks.h"
#include "lib/wire/conversions.h"
#include "tests/fuzz/fuzz.h"

using namespace slipstream;

namespace {

// Unknown fields and kinds are lost on the first way through, and nothing on the second.
template <typename Proto>
Proto Again(const Proto& from) {
  Proto to;
  wire::ToProto(wire::FromProto(from), &to);
  return to;
}

template <typename Proto>
void RequireStable(const Proto& from) {
  const Proto once = Again(from);
  FUZZ_REQUIRE(once.SerializeAsString() == Again(once).SerializeAsString());
}

FollowerInput InputOf(const v1::LeaderMessage& message) {
  FollowerInput input{};
  switch (message.message_case()) {
    case v1::LeaderMessage::kWelcome:
      input.type = FollowerInput::Type::kWelcome;
      input.welcome = wire::FromProto(message.welcome());
      break;
    case v1::LeaderMessage::kImageBegin:
      input.type = FollowerInput::Type::kImageBegin;
      input.image_begin = wire::FromProto(message.image_begin());
      break;
    case v1::LeaderMessage::kImageEnd:
      input.type = FollowerInput::Type::kImageEnd;
      break;
    case v1::LeaderMessage::kFrames:
      input.type = FollowerInput::Type::kFrames;
      input.header = wire::FromProto(message.frames());
      input.payload = message.frames().payload();
      break;
    default:
      input.type = FollowerInput::Type::kHeartbeat;
      input.header.leader = wire::FromProto(message.heartbeat().leader());
      input.header.offset = message.heartbeat().sent();
      break;
  }
  return input;
}

void TakeFollowers(const std::string& bytes) {
  v1::FollowerMessage message;
  if (!message.ParseFromString(bytes)) return;
  RequireStable(message.hello());
  RequireStable(message.ack());
  const Position end{3, 1000, 10};
  const Hello hello = wire::FromProto(message.hello());
  if (CheckHelloSizes(hello).ok() && CheckHello(hello, end).ok()) {
    FUZZ_REQUIRE(hello.held <= end && hello.pin <= end && !hello.follower_id.empty());
  }
  const Ack ack = wire::FromProto(message.ack());
  Ack before;
  before.pin = hello.pin;
  if (CheckAck(ack, before, end).ok()) {
    FUZZ_REQUIRE(ack.applied <= end && ack.received <= end && ack.pin >= hello.pin);
  }
}

void TakeLeaders(const std::string& bytes, InputOrder* order) {
  v1::LeaderMessage message;
  if (!message.ParseFromString(bytes)) return;
  RequireStable(message.welcome());
  RequireStable(message.image_begin());
  order->Check(InputOf(message)).PermitUncheckedError();
  // The prefix that is written by hand, with a payload behind it, is a message.
  const FramesHeader header = wire::FromProto(message.frames());
  const std::string& payload = message.frames().payload();
  v1::LeaderMessage frames;
  FUZZ_REQUIRE(frames.ParseFromString(wire::FramesPrefix(header, payload.size()) + payload));
  FUZZ_REQUIRE(frames.frames().payload() == payload);
  FUZZ_REQUIRE(frames.frames().epoch() == header.epoch);
  FUZZ_REQUIRE(frames.frames().offset() == header.offset);
  FUZZ_REQUIRE(frames.frames().image() == header.image);
  FUZZ_REQUIRE(wire::FromProto(frames.frames().leader()) == header.leader);
}

}  // namespace

// Messages of one stream, each behind one byte that is its length, or the rest.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  InputOrder order(Position{2, 0, 0}, Position{2, 10, 0});
  while (size > 0) {
    const size_t n = data[0] == 0 ? size - 1 : std::min<size_t>(data[0], size - 1);
    const std::string bytes(reinterpret_cast<const char*>(data) + 1, n);
    TakeFollowers(bytes);
    TakeLeaders(bytes, &order);
    data += n + 1;
    size -= n + 1;
  }
  return 0;
}
