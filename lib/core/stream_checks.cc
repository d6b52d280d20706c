#include "lib/core/stream_checks.h"

#include <algorithm>
#include <set>
#include <string>

namespace slipstream {
namespace {

using rocksdb::Status;

constexpr size_t kMaxId = 100;
constexpr size_t kMaxFiles = 100000;

Status CheckSize(const char* what, size_t size, size_t most) {
  if (size <= most) return Status::OK();
  return Status::InvalidArgument("hello: size of " + std::string(what) + " is " +
                                 std::to_string(size) + ", expected at most " +
                                 std::to_string(most));
}

Status CheckReached(const char* what, const Position& position, const Position& end) {
  if (position <= end) return Status::OK();
  return Status::InvalidArgument(std::string(what) + " is " + position.ToString() +
                                 ", expected at most the leader's " + end.ToString());
}

Status CheckForward(const char* what, const Position& position, const Position& before) {
  if (position >= before) return Status::OK();
  return Status::InvalidArgument(std::string(what) + " went back to " + position.ToString() +
                                 " from " + before.ToString());
}

const char* NameOf(FollowerInput::Type type) {
  switch (type) {
    case FollowerInput::Type::kWelcome:
      return "a welcome";
    case FollowerInput::Type::kImageBegin:
      return "the beginning of an image";
    case FollowerInput::Type::kImageEnd:
      return "the end of an image";
    case FollowerInput::Type::kFrames:
      return "frames";
    case FollowerInput::Type::kHeartbeat:
      return "a heartbeat";
  }
  return "a message";
}

}  // namespace

Status CheckHelloSizes(const Hello& hello) {
  Status s = CheckSize("the database's name", hello.database.size(), kMaxId);
  if (s.ok()) s = CheckSize("the follower's id", hello.follower_id.size(), kMaxId);
  if (s.ok() && hello.follower_id.empty()) {
    s = Status::InvalidArgument("hello: the follower's id is empty");
  }
  if (s.ok()) s = CheckSize("the follower's name", hello.name.size(), kMaxFollowerName);
  if (s.ok()) {
    s = CheckSize("the follower's observe endpoint", hello.observe_endpoint.size(),
                  kMaxObserveEndpoint);
  }
  if (s.ok()) s = CheckSize("the database's identity", hello.db_identity.size(), kMaxFollowerName);
  if (s.ok()) s = CheckSize("the list of files", hello.files.size(), kMaxFiles);
  return s;
}

Status CheckHello(const Hello& hello, const Position& end) {
  if (hello.min_protocol > kProtocolVersion || hello.max_protocol < kProtocolVersion) {
    return Status::NotSupported(
        "the follower speaks protocol " + std::to_string(hello.min_protocol) + " to " +
        std::to_string(hello.max_protocol) + ", the leader " + std::to_string(kProtocolVersion));
  }
  if (hello.held.epoch > end.epoch || hello.pin.epoch > end.epoch) {
    return Status::Aborted("the follower has seen epoch " +
                           std::to_string(std::max(hello.held.epoch, hello.pin.epoch)) +
                           ", this leader is of epoch " + std::to_string(end.epoch) +
                           ": it has been replaced");
  }
  Status s = CheckReached("hello: position held", hello.held, end);
  if (s.ok()) s = CheckReached("hello: pin", hello.pin, end);
  return s;
}

Status CheckAck(const Ack& ack, const Ack& before, const Position& end) {
  Status s = CheckReached("ack: position received", ack.received, end);
  if (s.ok()) s = CheckReached("ack: position applied", ack.applied, end);
  if (s.ok()) s = CheckReached("ack: pin", ack.pin, end);
  if (s.ok()) s = CheckForward("ack: position applied", ack.applied, before.applied);
  if (s.ok()) s = CheckForward("ack: pin", ack.pin, before.pin);
  return s;
}

Status InputOrder::Check(const FollowerInput& input) {
  using Type = FollowerInput::Type;
  if (welcomed_ == (input.type == Type::kWelcome)) {
    return Status::Corruption("the leader sent " + std::string(NameOf(input.type)) +
                              (welcomed_ ? " for a second time" : " before its welcome"));
  }
  switch (input.type) {
    case Type::kWelcome:
      return CheckWelcome(input.welcome);
    case Type::kImageBegin:
      if (in_image_) return Status::Corruption("the leader began an image inside of another");
      in_image_ = true;
      return CheckImageBegin(input.image_begin);
    case Type::kImageEnd:
      if (!in_image_) return Status::Corruption("the leader ended an image that it never began");
      in_image_ = false;
      return Status::OK();
    case Type::kFrames:
      return CheckFrames(input);
    case Type::kHeartbeat:
      return CheckHeartbeat(input.header);
  }
  return Status::OK();
}

Status InputOrder::CheckWelcome(const Welcome& welcome) {
  if (welcome.protocol != kProtocolVersion) {
    return Status::NotSupported("the leader speaks protocol " + std::to_string(welcome.protocol) +
                                ", this follower " + std::to_string(kProtocolVersion));
  }
  if (welcome.epoch == 0) return Status::Corruption("the leader's epoch is 0, expected 1 or more");
  if (welcome.epoch < shown_.epoch) {
    return Status::Aborted("the leader is of epoch " + std::to_string(welcome.epoch) +
                           ", reads show epoch " + std::to_string(shown_.epoch) +
                           ": it has been replaced");
  }
  welcomed_ = true;
  epoch_ = welcome.epoch;
  if (held_.epoch == epoch_) next_ = held_.offset;
  return Status::OK();
}

Status InputOrder::CheckEpoch(const char* what, uint64_t epoch) const {
  if (epoch == epoch_) return Status::OK();
  return Status::Corruption("the leader sent " + std::string(what) + " of epoch " +
                            std::to_string(epoch) + ", expected " + std::to_string(epoch_));
}

Status InputOrder::CheckImageBegin(const ImageBegin& begin) {
  Status s = CheckEpoch("an image", begin.cut.epoch);
  if (!s.ok()) return s;
  next_ = begin.cut.offset;
  std::set<LogFileId> announced;
  for (const LogFileSize& file : begin.files) {
    const bool is_log = file.id.file == FrameFile::kWal || file.id.file == FrameFile::kManifest;
    if (!is_log || !announced.insert(file.id).second) {
      return Status::Corruption("the leader announced log file " + std::to_string(file.id.number) +
                                (is_log ? " twice" : " of an unknown kind"));
    }
  }
  return s;
}

Status InputOrder::CheckHeartbeat(const FramesHeader& header) const {
  // Epoch 0: the leader is closing its database and does not know any more.
  Status s =
      header.leader.epoch == 0 ? Status::OK() : CheckEpoch("a heartbeat", header.leader.epoch);
  if (s.ok() && header.offset != next_) {
    s = Status::Corruption("the leader has sent frames up to " + std::to_string(header.offset) +
                           ", received were those up to " + std::to_string(next_));
  }
  return s;
}

Status InputOrder::CheckFrames(const FollowerInput& input) {
  const FramesHeader& header = input.header;
  Status s = CheckEpoch("frames", header.epoch);
  if (s.ok() && header.leader.epoch != 0) s = CheckEpoch("a position", header.leader.epoch);
  if (s.ok() && header.image != in_image_) {
    s = Status::Corruption(header.image ? "the leader sent frames of an image outside of one"
                                        : "the leader sent frames of its log inside an image");
  }
  if (!s.ok() || header.image) return s;
  if (header.offset != next_) {
    return Status::Corruption("the leader sent frames at " + std::to_string(header.offset) +
                              ", expected them at " + std::to_string(next_));
  }
  next_ += input.payload.size();
  return s;
}

}  // namespace slipstream
