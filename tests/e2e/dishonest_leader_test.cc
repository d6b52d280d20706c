// Leaders that break the protocol's rules, and streams that damage what they carry: a follower
// never shows any of it, says what was wrong, and starts over by itself.
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/message_proxy.h"
#include "tests/e2e/mixed_load.h"

namespace slipstream::testing {
namespace {

using Message = v1::LeaderMessage;
using Messages = std::vector<Message>;

// Has one message, the first that `wanted` likes, replaced by what `lie` makes of it. What `lie`
// holds back is sent before the next message.
class OneLie {
 public:
  OneLie(std::function<bool(const Message&)> wanted, std::function<Messages(Message)> lie)
      : wanted_(std::move(wanted)), lie_(std::move(lie)) {}

  Messages operator()(const Message& message) {
    if (*told_ || !wanted_(message)) return {message};
    *told_ = true;
    return lie_(message);
  }
  bool told() const { return *told_; }

 private:
  std::function<bool(const Message&)> wanted_;
  std::function<Messages(Message)> lie_;
  std::shared_ptr<std::atomic<bool>> told_ = std::make_shared<std::atomic<bool>>(false);
};

bool IsLogFrames(const Message& m) { return m.has_frames() && !m.frames().image(); }
bool IsImageFrames(const Message& m) { return m.has_frames() && m.frames().image(); }

std::string* PayloadOf(Message* m) { return m->mutable_frames()->mutable_payload(); }

Message WithByteFlipped(Message m, size_t at) {
  std::string* payload = PayloadOf(&m);
  (*payload)[at % payload->size()] ^= 0x20;
  return m;
}

Message Heartbeat(uint64_t epoch) {
  Message m;
  m.mutable_heartbeat()->mutable_leader()->set_epoch(epoch);
  return m;
}

struct Lie {
  std::string name;
  std::function<Messages(Message)> make;
};

// About frames of the log.
std::vector<Lie> LiesAboutFrames() {
  auto edited = [](auto edit) {
    return [edit](Message m) {
      edit(&m);
      return Messages{m};
    };
  };
  auto before = [](Message inserted) {
    return [inserted](Message m) { return Messages{inserted, m}; };
  };
  Message image_begin, image_end;
  image_begin.mutable_image_begin()->mutable_cut()->set_epoch(1);
  image_begin.mutable_image_begin()->set_from_scratch(true);
  image_end.mutable_image_end();
  Message completing = image_begin;
  completing.mutable_image_begin()->set_from_scratch(false);
  return {
      {"a checksum is wrong", [](Message m) { return Messages{WithByteFlipped(m, 1)}; }},
      {"a length is wrong", [](Message m) { return Messages{WithByteFlipped(m, 5)}; }},
      {"a type is wrong", [](Message m) { return Messages{WithByteFlipped(m, 8)}; }},
      {"a file number is wrong", [](Message m) { return Messages{WithByteFlipped(m, 12)}; }},
      {"a byte of a record is wrong", [](Message m) { return Messages{WithByteFlipped(m, 40)}; }},
      {"torn", edited([](Message* m) { PayloadOf(m)->pop_back(); })},
      {"torn in its first header", edited([](Message* m) { PayloadOf(m)->resize(5); })},
      {"duplicated",
       [](Message m) {
         return Messages{m, m};
       }},
      {"duplicated within a message", edited([](Message* m) { *PayloadOf(m) += *PayloadOf(m); })},
      {"lost", [](Message) { return Messages{}; }},
      {"of another place",
       edited([](Message* m) { m->mutable_frames()->set_offset(m->frames().offset() + 28); })},
      {"of a place far away",
       edited([](Message* m) { m->mutable_frames()->set_offset(UINT64_MAX - 3); })},
      {"of an older epoch", edited([](Message* m) { m->mutable_frames()->set_epoch(0); })},
      {"of an unknown epoch", edited([](Message* m) { m->mutable_frames()->set_epoch(7); })},
      {"of a leader elsewhere",
       edited([](Message* m) { m->mutable_frames()->mutable_leader()->set_epoch(7); })},
      {"oversized", edited([](Message* m) { PayloadOf(m)->append(6 << 20, '\0'); })},
      {"of an image that was not begun",
       edited([](Message* m) { m->mutable_frames()->set_image(true); })},
      {"preceded by an empty message", before(Message())},
      {"preceded by the end of an image", before(image_end)},
      {"inside an image", before(image_begin)},
      {"inside an image that completes another", before(completing)},
      {"behind a heartbeat of another epoch", before(Heartbeat(7))},
  };
}

// About an image.
std::vector<Lie> LiesAboutImages() {
  auto begin = [](auto edit) {
    return [edit](Message m) {
      edit(m.mutable_image_begin());
      return Messages{m};
    };
  };
  return {
      {"a log file is announced larger than it is",
       begin([](v1::ImageBegin* b) { b->mutable_files(0)->set_size(b->files(0).size() + 1); })},
      {"a log file is announced smaller than it is",
       begin([](v1::ImageBegin* b) { b->mutable_files(0)->set_size(b->files(0).size() - 1); })},
      {"a log file is announced twice", begin([](v1::ImageBegin* b) {
         *b->add_files() = b->files(0);
         b->mutable_files(0)->set_size(1);
       })},
      {"a log file is not announced",
       begin([](v1::ImageBegin* b) { b->mutable_files()->RemoveLast(); })},
      {"a log file that does not exist is announced", begin([](v1::ImageBegin* b) {
         *b->add_files() = b->files(0);
         b->mutable_files(b->files_size() - 1)->set_number(4711);
       })},
      {"a log file of no kind is announced",
       begin([](v1::ImageBegin* b) { b->mutable_files(0)->clear_kind(); })},
      {"CURRENT names a manifest that is not there",
       begin([](v1::ImageBegin* b) { b->set_current_manifest(4711); })},
      {"it completes what the follower does not hold",
       begin([](v1::ImageBegin* b) { b->set_from_scratch(false); })},
      {"it is of another epoch", begin([](v1::ImageBegin* b) { b->mutable_cut()->set_epoch(7); })},
      {"it ends before it begins",
       [](Message m) {
         Message end;
         end.mutable_image_end();
         return Messages{end, m};
       }},
      {"it ends at once",
       [](Message m) {
         Message end;
         end.mutable_image_end();
         return Messages{m, end};
       }},
      {"it begins twice",
       [](Message m) {
         return Messages{m, m};
       }},
      {"its beginning is lost", [](Message) { return Messages{}; }},
  };
}

}  // namespace

TEST_CASE("dishonest leader: a lie about frames is never shown and ends in a new stream", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  MessageProxy proxy(leader.leader->port());
  LocalFollower follower = cluster.StartFollower(cluster.follower_options(proxy.port()));
  MixedLoad load(leader.db(), leader.families, 100, 1);
  for (const Lie& lie : LiesAboutFrames()) {
    INFO("frames are " << lie.name);
    const FollowerStats before = follower.follower->stats();
    OneLie told(IsLogFrames, lie.make);
    proxy.SetTamper(told);
    RequireOk(load.Write(50));
    REQUIRE(Eventually([&] { return told.told(); }));
    RequireOk(load.Write(50));
    RequireEqual(leader, follower);
    REQUIRE(Eventually([&] { return follower.follower->stats().reconnects > before.reconnects; }));
    RequireEqual(leader, follower);
    const FollowerStats after = follower.follower->stats();
    CHECK(after.history_resets == 0);
    CHECK(after.resyncs <= before.resyncs + 1);
    CHECK(Eventually([&] { return follower.follower->stats().status.ok(); }));
  }
  // Damage inside of frames is found when they are applied, and costs an image.
  CHECK(follower.follower->stats().resyncs >= 7);
}

TEST_CASE("dishonest leader: frames that change places end in a new stream", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  MessageProxy proxy(leader.leader->port());
  LocalFollower follower = cluster.StartFollower(cluster.follower_options(proxy.port()));
  auto held = std::make_shared<Messages>();
  auto swapped = std::make_shared<std::atomic<bool>>(false);
  proxy.SetTamper([held, swapped](const Message& m) -> Messages {
    if (*swapped || !IsLogFrames(m)) return {m};
    if (held->empty()) {
      held->push_back(m);
      return {};
    }
    *swapped = true;
    return {m, held->front()};
  });
  MixedLoad load(leader.db(), leader.families, 100, 1);
  for (int i = 0; i < 1000 && !*swapped; ++i) {
    RequireOk(load.Write(10));
    AwaitNextLook();
  }
  REQUIRE(*swapped);
  RequireEqual(leader, follower);
  REQUIRE(Eventually([&] { return follower.follower->stats().reconnects >= 1; }));
  RequireEqual(leader, follower);
}

TEST_CASE("dishonest leader: frames that are lost are missed though nothing follows them",
          "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  MessageProxy proxy(leader.leader->port());
  LocalFollower follower = cluster.StartFollower(cluster.follower_options(proxy.port()));
  OneLie told(IsLogFrames, [](Message) { return Messages{}; });
  proxy.SetTamper(told);
  RequireOk(leader.db()->Put(rocksdb::WriteOptions(), "a", "1"));
  RequireEqual(leader, follower);
  CHECK(told.told());
  CHECK(follower.Get(0, "a") == "1");
  CHECK(follower.follower->stats().reconnects >= 1);
}

TEST_CASE("dishonest leader: a lie about an image is refused and the next image is taken",
          "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  MixedLoad load(leader.db(), leader.families, 100, 1);
  RequireOk(load.Write(500));
  leader.Flush();
  RequireOk(load.Write(500));
  MessageProxy proxy(leader.leader->port());
  for (const Lie& lie : LiesAboutImages()) {
    INFO("of an image " << lie.name);
    OneLie told([](const Message& m) { return m.has_image_begin(); }, lie.make);
    proxy.SetTamper(told);
    LocalFollower follower = cluster.StartFollower(cluster.follower_options(proxy.port()));
    CHECK(told.told());
    RequireEqual(leader, follower);
    CHECK(follower.follower->stats().reconnects >= 1);
    CHECK(follower.follower->stats().status.ok());
  }
}

TEST_CASE("dishonest leader: damage to an image's frames is refused and the next one is taken",
          "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  MixedLoad load(leader.db(), leader.families, 100, 1);
  RequireOk(load.Write(500));
  leader.Flush();
  RequireOk(load.Write(500));
  MessageProxy proxy(leader.leader->port());
  const std::vector<Lie> lies{
      {"lost", [](Message) { return Messages{}; }},
      {"sent twice",
       [](Message m) {
         return Messages{m, m};
       }},
      {"torn",
       [](Message m) {
         PayloadOf(&m)->resize(PayloadOf(&m)->size() / 2);
         return Messages{m};
       }},
      {"flipped", [](Message m) { return Messages{WithByteFlipped(m, 1000)}; }},
      {"of the log",
       [](Message m) {
         m.mutable_frames()->set_image(false);
         return Messages{m};
       }},
      {"of another epoch",
       [](Message m) {
         m.mutable_frames()->set_epoch(7);
         return Messages{m};
       }},
  };
  for (const Lie& lie : lies) {
    INFO("frames are " << lie.name);
    OneLie told(IsImageFrames, lie.make);
    proxy.SetTamper(told);
    LocalFollower follower = cluster.StartFollower(cluster.follower_options(proxy.port()));
    CHECK(told.told());
    RequireEqual(leader, follower);
    CHECK(follower.follower->stats().reconnects >= 1);
  }
}

TEST_CASE("dishonest leader: a welcome that cannot be is named", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  MessageProxy proxy(leader.leader->port());
  FollowerOptions options = cluster.follower_options(proxy.port());
  options.open_timeout_ms = 500;
  std::function<void(v1::Welcome*)> edit;
  std::string expected;
  bool final = false;
  SECTION("protocol") {
    edit = [](v1::Welcome* w) { w->set_protocol(2); };
    expected = "the leader speaks protocol 2, this follower 1";
    final = true;
  }
  SECTION("no epoch") {
    edit = [](v1::Welcome* w) { w->set_epoch(0); };
    expected = "epoch is 0";
  }
  SECTION("another epoch than what follows") {
    edit = [](v1::Welcome* w) { w->set_epoch(9); };
    expected = "an image of epoch 1, expected 9";
  }
  proxy.SetTamper([edit](Message m) {
    if (m.has_welcome()) edit(m.mutable_welcome());
    return Messages{m};
  });
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  std::unique_ptr<Follower> follower;
  const rocksdb::Status s =
      Follower::Open(options, rocksdb::DBOptions(), TestColumnFamilies(), &handles, &follower);
  INFO(s.ToString());
  CHECK((final ? s.IsNotSupported() : s.IsTimedOut()));
  CHECK(s.ToString().find(expected) != std::string::npos);
}

TEST_CASE("dishonest leader: an image that never ends is given up", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  MessageProxy proxy(leader.leader->port());
  FollowerOptions options = cluster.follower_options(proxy.port());
  const bool beats = GENERATE(false, true);
  options.stream_timeout_ms = 200;
  if (beats) options.open_timeout_ms = 600;
  auto streams = std::make_shared<std::atomic<int>>(0);
  proxy.SetTamper([streams, beats](const Message& m) -> Messages {
    if (m.has_welcome()) ++*streams;
    // The first stream gets no further than its image; with a heart that beats, all do.
    const bool stuck = beats || *streams == 1;
    if (stuck && (m.has_image_end() || IsLogFrames(m))) return {};
    if (stuck && !beats && m.has_heartbeat()) return {};
    return {m};
  });
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  std::unique_ptr<Follower> follower;
  const rocksdb::Status s =
      Follower::Open(options, rocksdb::DBOptions(), TestColumnFamilies(), &handles, &follower);
  INFO(s.ToString());
  if (beats) {
    CHECK(s.IsTimedOut());
    CHECK(s.ToString().find("has not arrived yet") != std::string::npos);
    return;
  }
  RequireOk(s);
  CHECK(follower->stats().reconnects >= 1);
  for (rocksdb::ColumnFamilyHandle* handle : handles) delete handle;
}

TEST_CASE("dishonest leader: one of an older epoch than reads show is refused", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  leader.Close();
  LocalLeader second = cluster.StartLeader();
  REQUIRE(second.leader->position().epoch == 2);
  MessageProxy proxy(second.leader->port());
  LocalFollower follower = cluster.StartFollower(cluster.follower_options(proxy.port()));
  RequireOk(second.db()->Put(rocksdb::WriteOptions(), "a", "1"));
  RequireEqual(second, follower);
  // As a leader would say that was replaced and does not know it.
  OneLie told([](const Message& m) { return m.has_welcome(); },
              [](Message m) {
                m.mutable_welcome()->set_epoch(1);
                return Messages{m};
              });
  proxy.SetTamper([told](const Message& m) mutable -> Messages {
    if (!told.told() && m.has_heartbeat()) {
      Message lie = m;
      lie.mutable_heartbeat()->mutable_leader()->set_epoch(1);
      return {lie};
    }
    return told(m);
  });
  REQUIRE(Eventually([&] { return told.told(); }));
  REQUIRE(Eventually([&] { return follower.follower->stats().reconnects >= 2; }));
  RequireOk(second.db()->Put(rocksdb::WriteOptions(), "a", "2"));
  RequireEqual(second, follower);
  CHECK(follower.follower->position().epoch == 2);
  CHECK(follower.follower->stats().resyncs == 0);
}

}  // namespace slipstream::testing
