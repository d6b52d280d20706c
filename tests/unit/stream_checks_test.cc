#include "lib/core/stream_checks.h"

#include <catch2/catch.hpp>
#include <string>

namespace slipstream {
namespace {

using rocksdb::Status;
using Type = FollowerInput::Type;

void RequireRefused(const Status& s, Status::Code code, const std::string& name) {
  INFO(s.ToString());
  REQUIRE(s.code() == code);
  REQUIRE(s.ToString().find(name) != std::string::npos);
}

const Position kEnd{5, 1000, 10};

Hello GoodHello() {
  Hello hello;
  hello.database = "test";
  hello.follower_id = "1";
  return hello;
}

FollowerInput Input(Type type, uint64_t epoch) {
  FollowerInput input{};
  input.type = type;
  input.welcome.epoch = epoch;
  input.image_begin.cut.epoch = epoch;
  input.header.epoch = epoch;
  input.header.leader.epoch = epoch;
  return input;
}

FollowerInput ImageFrames(uint64_t epoch) {
  FollowerInput input = Input(Type::kFrames, epoch);
  input.header.image = true;
  return input;
}

// Welcomed, in epoch 5.
InputOrder Welcomed() {
  InputOrder order(Position{5, 10, 0}, Position());
  REQUIRE(order.Check(Input(Type::kWelcome, 5)).ok());
  return order;
}

TEST_CASE("stream_checks: a hello at the limits is taken", "[unit]") {
  Hello hello = GoodHello();
  hello.follower_id = std::string(100, 'i');
  hello.name = std::string(kMaxFollowerName, 'n');
  hello.observe_endpoint = std::string(kMaxObserveEndpoint, 'e');
  hello.files.resize(100000);
  hello.held = kEnd;
  hello.pin = Position{4, UINT64_MAX, 0};
  REQUIRE(CheckHelloSizes(hello).ok());
  REQUIRE(CheckHello(hello, kEnd).ok());
  hello.files.resize(100001);
  RequireRefused(CheckHelloSizes(hello), Status::kInvalidArgument, "100001");
  hello = GoodHello();
  hello.observe_endpoint = std::string(kMaxObserveEndpoint + 1, 'e');
  RequireRefused(CheckHelloSizes(hello), Status::kInvalidArgument, "endpoint is 301");
  hello = GoodHello();
  hello.follower_id.clear();
  RequireRefused(CheckHelloSizes(hello), Status::kInvalidArgument, "empty");
}

TEST_CASE("stream_checks: a follower of a newer epoch is told that the leader was replaced",
          "[unit]") {
  Hello hello = GoodHello();
  hello.pin.epoch = 6;
  RequireRefused(CheckHello(hello, kEnd), Status::kAborted, "replaced");
  hello = GoodHello();
  hello.held = Position{5, 1001, 0};
  RequireRefused(CheckHello(hello, kEnd), Status::kInvalidArgument, "5:1001:0");
}

TEST_CASE("stream_checks: an acknowledgement moves forward and not beyond the end", "[unit]") {
  Ack before;
  before.applied = Position{4, 900, 0};
  before.pin = Position{4, 900, 0};
  Ack ack = before;
  REQUIRE(CheckAck(ack, before, kEnd).ok());
  ack.received = ack.applied = ack.pin = kEnd;
  REQUIRE(CheckAck(ack, before, kEnd).ok());
  // What was received starts anew with each image.
  REQUIRE(CheckAck(before, before, kEnd).ok());
  ack.received.offset = 1001;
  RequireRefused(CheckAck(ack, before, kEnd), Status::kInvalidArgument, "received");
  ack = before;
  ack.applied.epoch = 6;
  RequireRefused(CheckAck(ack, before, kEnd), Status::kInvalidArgument, "6:900:0");
  ack = before;
  ack.applied.offset = 899;
  RequireRefused(CheckAck(ack, before, kEnd), Status::kInvalidArgument, "applied went back");
  ack = before;
  ack.pin = Position();
  RequireRefused(CheckAck(ack, before, kEnd), Status::kInvalidArgument, "pin went back");
}

TEST_CASE("stream_checks: a leader's messages in order are taken", "[unit]") {
  InputOrder order = Welcomed();
  REQUIRE(order.Check(Input(Type::kHeartbeat, 5)).ok());
  REQUIRE(order.Check(Input(Type::kHeartbeat, 0)).ok());
  REQUIRE(order.Check(Input(Type::kFrames, 5)).ok());
  for (int i = 0; i < 2; ++i) {
    REQUIRE(order.Check(Input(Type::kImageBegin, 5)).ok());
    REQUIRE(order.Check(ImageFrames(5)).ok());
    REQUIRE(order.Check(Input(Type::kHeartbeat, 5)).ok());
    REQUIRE(order.Check(Input(Type::kImageEnd, 0)).ok());
    REQUIRE(order.Check(Input(Type::kFrames, 5)).ok());
  }
}

TEST_CASE("stream_checks: a leader's messages out of order are refused", "[unit]") {
  for (Type type : {Type::kImageBegin, Type::kImageEnd, Type::kFrames, Type::kHeartbeat}) {
    InputOrder order{Position(), Position()};
    RequireRefused(order.Check(Input(type, 5)), Status::kCorruption, "before its welcome");
  }
  RequireRefused(Welcomed().Check(Input(Type::kWelcome, 5)), Status::kCorruption, "second time");
  RequireRefused(Welcomed().Check(Input(Type::kImageEnd, 5)), Status::kCorruption, "never began");
  RequireRefused(Welcomed().Check(ImageFrames(5)), Status::kCorruption, "outside");
  InputOrder order = Welcomed();
  REQUIRE(order.Check(Input(Type::kImageBegin, 5)).ok());
  InputOrder same = order;
  RequireRefused(order.Check(Input(Type::kImageBegin, 5)), Status::kCorruption, "inside");
  RequireRefused(same.Check(Input(Type::kFrames, 5)), Status::kCorruption, "inside an image");
}

TEST_CASE("stream_checks: everything on a stream is of its epoch", "[unit]") {
  for (uint64_t epoch : {UINT64_C(4), UINT64_C(6)}) {
    const std::string name = "epoch " + std::to_string(epoch) + ", expected 5";
    RequireRefused(Welcomed().Check(Input(Type::kFrames, epoch)), Status::kCorruption, name);
    RequireRefused(Welcomed().Check(Input(Type::kImageBegin, epoch)), Status::kCorruption, name);
    RequireRefused(Welcomed().Check(Input(Type::kHeartbeat, epoch)), Status::kCorruption, name);
    FollowerInput frames = Input(Type::kFrames, 5);
    frames.header.leader.epoch = epoch;
    RequireRefused(Welcomed().Check(frames), Status::kCorruption, name);
  }
}

TEST_CASE("stream_checks: frames follow each other, and what was lost shows", "[unit]") {
  InputOrder order(Position{5, 10, 0}, Position{5, 40, 0});
  REQUIRE(order.Check(Input(Type::kWelcome, 5)).ok());
  FollowerInput frames = Input(Type::kFrames, 5);
  frames.payload = std::string(28, 'f');
  FollowerInput heartbeat = Input(Type::kHeartbeat, 5);
  const auto at = [](FollowerInput input, uint64_t offset) {
    input.header.offset = offset;
    return input;
  };
  REQUIRE(order.Check(at(heartbeat, 40)).ok());
  REQUIRE(order.Check(at(frames, 40)).ok());
  for (const uint64_t offset : {UINT64_C(40), UINT64_C(67), UINT64_C(96), UINT64_MAX}) {
    InputOrder here = order;
    RequireRefused(here.Check(at(frames, offset)), Status::kCorruption, "expected them at 68");
    RequireRefused(here.Check(at(heartbeat, offset)), Status::kCorruption, "those up to 68");
  }
  REQUIRE(order.Check(at(frames, 68)).ok());
  REQUIRE(order.Check(at(heartbeat, 96)).ok());
  // An image says where they go on; its own frames have no place in the log.
  FollowerInput begin = Input(Type::kImageBegin, 5);
  begin.image_begin.cut.offset = 1000;
  REQUIRE(order.Check(begin).ok());
  REQUIRE(order.Check(at(ImageFrames(5), 7)).ok());
  REQUIRE(order.Check(Input(Type::kImageEnd, 5)).ok());
  RequireRefused(order.Check(at(frames, 96)), Status::kCorruption, "expected them at 1000");
  REQUIRE(order.Check(at(frames, 1000)).ok());
  // What is held of another epoch is nothing.
  InputOrder other(Position{4, 10, 0}, Position{4, 40, 0});
  REQUIRE(other.Check(Input(Type::kWelcome, 5)).ok());
  REQUIRE(other.Check(at(frames, 0)).ok());
}

TEST_CASE("stream_checks: an image announces each log file once, by its kind", "[unit]") {
  FollowerInput begin = Input(Type::kImageBegin, 5);
  begin.image_begin.files = {{{FrameFile::kWal, 7}, 1}, {{FrameFile::kManifest, 7}, 2}};
  REQUIRE(Welcomed().Check(begin).ok());
  begin.image_begin.files.push_back({{FrameFile::kWal, 7}, 3});
  RequireRefused(Welcomed().Check(begin), Status::kCorruption, "log file 7 twice");
  begin.image_begin.files.back().id = {FrameFile::kUnspecified, 8};
  RequireRefused(Welcomed().Check(begin), Status::kCorruption, "log file 8 of an unknown kind");
}

TEST_CASE("stream_checks: a leader of an older epoch has been replaced", "[unit]") {
  InputOrder order(Position{5, 10, 0}, Position());
  RequireRefused(order.Check(Input(Type::kWelcome, 4)), Status::kAborted, "replaced");
  RequireRefused(order.Check(Input(Type::kWelcome, 0)), Status::kCorruption, "epoch is 0");
  REQUIRE(order.Check(Input(Type::kWelcome, 6)).ok());
  FollowerInput other = Input(Type::kWelcome, 5);
  other.welcome.protocol = 2;
  InputOrder fresh{Position(), Position()};
  RequireRefused(fresh.Check(other), Status::kNotSupported, "protocol 2");
}

}  // namespace
}  // namespace slipstream
