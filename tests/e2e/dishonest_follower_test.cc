// Followers that break the protocol's rules: refused by name, and the leader is none the worse.
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"
#include "tests/e2e/raw_follower.h"

namespace slipstream::testing {
namespace {

void CheckRefused(RawFollower* follower, grpc::StatusCode code,
                  const std::vector<std::string>& names) {
  const grpc::Status s = follower->AwaitEnd();
  INFO(s.error_code() << " " << s.error_message());
  CHECK(s.error_code() == code);
  for (const std::string& name : names) {
    CHECK(s.error_message().find(name) != std::string::npos);
  }
}

v1::Position ToProto(const Position& p) {
  v1::Position to;
  to.set_epoch(p.epoch);
  to.set_offset(p.offset);
  to.set_sequence(p.sequence);
  return to;
}

// A leader with some writes, and what it says it has.
struct Served {
  Served() : leader(cluster.StartLeader()) {
    RequireOk(MixedLoad(leader.db(), leader.families, 100, 1).Write(100));
    end = leader.leader->position();
  }
  ~Served() {
    // Honest followers are served as before.
    LocalFollower follower = cluster.StartFollower(leader);
    RequireEqual(leader, follower);
  }
  int port() const { return leader.leader->port(); }

  LocalCluster cluster;
  LocalLeader leader;
  Position end;
};

}  // namespace

TEST_CASE("dishonest follower: a hello of another protocol is refused with both versions",
          "[e2e]") {
  Served served;
  const auto versions =
      GENERATE(std::pair<int, int>{2, 3}, std::pair<int, int>{0, 0}, std::pair<int, int>{3, 1});
  RawFollower follower(served.port());
  v1::Hello hello = RawFollower::GoodHello();
  hello.set_min_protocol(versions.first);
  hello.set_max_protocol(versions.second);
  follower.SendHello(hello);
  CheckRefused(
      &follower, grpc::StatusCode::FAILED_PRECONDITION,
      {"protocol " + std::to_string(versions.first) + " to " + std::to_string(versions.second),
       "the leader 1"});
}

TEST_CASE("dishonest follower: a range of protocols that contains the leader's is served",
          "[e2e]") {
  Served served;
  RawFollower follower(served.port());
  v1::Hello hello = RawFollower::GoodHello();
  hello.set_min_protocol(0);
  hello.set_max_protocol(1000);
  follower.SendHello(hello);
  v1::LeaderMessage message;
  REQUIRE(follower.Read(&message));
  REQUIRE(message.has_welcome());
  CHECK(message.welcome().protocol() == 1);
}

TEST_CASE("dishonest follower: a hello of absurd size is refused by the field", "[e2e]") {
  Served served;
  RawFollower follower(served.port());
  v1::Hello hello = RawFollower::GoodHello();
  std::vector<std::string> names{"at most"};
  grpc::StatusCode code = grpc::StatusCode::INVALID_ARGUMENT;
  SECTION("database") {
    hello.set_database(std::string(1 << 20, 'd'));
    names.push_back("the database's name is 1048576");
  }
  SECTION("id") {
    hello.set_follower_id(std::string(101, 'i'));
    names.push_back("the follower's id is 101");
  }
  SECTION("no id") {
    hello.set_follower_id("");
    names = {"id is empty"};
  }
  SECTION("name") {
    hello.set_name(std::string(1001, 'n'));
    names.push_back("the follower's name is 1001");
  }
  SECTION("identity") {
    hello.set_db_identity(std::string(5000, 'n'));
    names.push_back("identity is 5000");
  }
  SECTION("files") {
    for (int i = 0; i < 150000; ++i) hello.add_files()->set_number(i);
    names.push_back("list of files is 150000");
  }
  SECTION("all of it") {
    hello.set_database(std::string(20 << 20, 'd'));
    code = grpc::StatusCode::RESOURCE_EXHAUSTED;
    names.clear();
  }
  follower.SendHello(hello);
  CheckRefused(&follower, code, names);
  CHECK(served.leader.leader->followers().empty());
}

TEST_CASE("dishonest follower: a hello from where this leader never was is refused", "[e2e]") {
  Served served;
  RawFollower follower(served.port());
  v1::Hello hello = RawFollower::GoodHello();
  grpc::StatusCode code = grpc::StatusCode::INVALID_ARGUMENT;
  std::vector<std::string> names{served.end.ToString().substr(0, 3)};
  const Position beyond{served.end.epoch, served.end.offset + 1, 0};
  SECTION("beyond its end") {
    *hello.mutable_held() = ToProto(beyond);
    names.push_back(beyond.ToString());
  }
  SECTION("a pin beyond its end") {
    *hello.mutable_pin() = ToProto(beyond);
    names.push_back(beyond.ToString());
  }
  SECTION("a newer epoch") {
    *hello.mutable_held() = ToProto({served.end.epoch + 6, 0, 0});
    code = grpc::StatusCode::ABORTED;
    names = {"epoch 7", "epoch 1"};
  }
  SECTION("another database") {
    hello.set_db_identity("somebody else");
    names = {"somebody else"};
  }
  follower.SendHello(hello);
  CheckRefused(&follower, code, names);
}

TEST_CASE("dishonest follower: messages out of order are refused by name", "[e2e]") {
  Served served;
  RawFollower follower(served.port());
  SECTION("an ack before the hello") {
    follower.SendAck(v1::Ack());
    CheckRefused(&follower, grpc::StatusCode::INVALID_ARGUMENT, {"expected a hello"});
  }
  SECTION("two hellos") {
    follower.SendHello(RawFollower::GoodHello());
    follower.SendHello(RawFollower::GoodHello());
    CheckRefused(&follower, grpc::StatusCode::INVALID_ARGUMENT, {"expected an ack"});
  }
  SECTION("an empty message") {
    follower.Send(v1::FollowerMessage());
    CheckRefused(&follower, grpc::StatusCode::INVALID_ARGUMENT, {"expected a hello"});
  }
  SECTION("an empty message behind the hello") {
    follower.SendHello(RawFollower::GoodHello());
    follower.Send(v1::FollowerMessage());
    CheckRefused(&follower, grpc::StatusCode::INVALID_ARGUMENT, {"expected an ack"});
  }
  SECTION("text that is none") {
    v1::Hello hello = RawFollower::GoodHello();
    hello.set_database("\xff\xfe");
    follower.SendHello(hello);
    CheckRefused(&follower, grpc::StatusCode::NOT_FOUND, {"no database"});
  }
}

TEST_CASE("dishonest follower: a stream without a hello is ended", "[e2e]") {
  Served served;
  RawFollower follower(served.port());
  CheckRefused(&follower, grpc::StatusCode::DEADLINE_EXCEEDED, {"no hello within 5 seconds"});
}

TEST_CASE("dishonest follower: an acknowledgement that lies is refused and counts for nothing",
          "[e2e]") {
  Served served;
  RawFollower follower(served.port());
  follower.SendHello(RawFollower::GoodHello());
  const Position end = served.end;
  const Position beyond{end.epoch, end.offset + 1, end.sequence + 1};
  const Position half{end.epoch, end.offset / 2, 0};
  v1::Ack ack;
  ack.set_serving(true);
  std::vector<std::string> names;
  SECTION("received more than there is") {
    *ack.mutable_received() = ToProto(beyond);
    names = {"received", beyond.ToString()};
  }
  SECTION("applied more than there is") {
    *ack.mutable_applied() = ToProto(beyond);
    names = {"applied", beyond.ToString()};
  }
  SECTION("of an epoch to come") {
    *ack.mutable_applied() = ToProto({end.epoch + 1, 0, 0});
    names = {"applied", "2:0:0"};
  }
  SECTION("a pin of an epoch to come") {
    *ack.mutable_pin() = ToProto({end.epoch + 1, 0, 0});
    names = {"pin", "2:0:0"};
  }
  SECTION("a pin that goes back") {
    *ack.mutable_pin() = ToProto(end);
    follower.SendAck(ack);
    *ack.mutable_pin() = ToProto(half);
    names = {"pin went back", half.ToString(), end.ToString()};
  }
  SECTION("a position that goes back") {
    *ack.mutable_applied() = ToProto(end);
    follower.SendAck(ack);
    *ack.mutable_applied() = ToProto(half);
    names = {"applied went back", half.ToString(), end.ToString()};
  }
  follower.SendAck(ack);
  CheckRefused(&follower, grpc::StatusCode::INVALID_ARGUMENT, names);
  CHECK(served.leader.leader->WaitForFollowers(beyond, 1, AckLevel::kReceived, 0).IsTimedOut());
  for (const FollowerInfo& info : served.leader.leader->followers()) {
    CHECK(info.applied <= end);
    CHECK(info.received <= end);
    CHECK(info.lag_bytes <= end.offset);
    CHECK(info.lag_sequences <= end.sequence);
  }
}

}  // namespace slipstream::testing
