#include "lib/leader/follower_table.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "lib/host/steady_clock.h"

namespace slipstream {
namespace {

using rocksdb::Status;

constexpr uint64_t kForeverUs = 60000000;
const auto kNoAsk = [] {};

Hello HelloOf(const std::string& id, const Position& pin = {}) {
  Hello hello;
  hello.follower_id = id;
  hello.pin = pin;
  return hello;
}

Ack Applied(uint64_t received, uint64_t applied) {
  Ack ack;
  ack.received = Position{1, received, received};
  ack.applied = Position{1, applied, applied};
  return ack;
}

TEST_CASE("follower_table: with a timeout of 0 it looks once", "[unit]") {
  FollowerTable table(10000);
  const Position target{1, 100, 0};
  REQUIRE(table.Wait(target, 0, AckLevel::kApplied, 0, kNoAsk).ok());
  const Status s = table.Wait(target, 1, AckLevel::kApplied, 0, kNoAsk);
  REQUIRE(s.IsTimedOut());
  REQUIRE(s.ToString().find("0 of 1") != std::string::npos);
  const uint64_t stream = table.Connect(HelloOf("a"), "peer", Position{1, 0, 0});
  table.Confirm("a", stream, Applied(100, 99));
  REQUIRE(table.Wait(target, 1, AckLevel::kReceived, 0, kNoAsk).ok());
  REQUIRE(table.Wait(target, 1, AckLevel::kApplied, 0, kNoAsk).IsTimedOut());
  table.Confirm("a", stream, Applied(100, 100));
  REQUIRE(table.Wait(target, 1, AckLevel::kApplied, 0, kNoAsk).ok());
  REQUIRE(table.Wait(target, 2, AckLevel::kApplied, 0, kNoAsk).IsTimedOut());
  // A short wait that nobody ends.
  REQUIRE(table.Wait(target, 2, AckLevel::kApplied, 1000, kNoAsk).IsTimedOut());
}

TEST_CASE("follower_table: a wait ends when enough followers have confirmed", "[unit]") {
  FollowerTable table(10000);
  std::vector<uint64_t> streams;
  for (const char* id : {"a", "b", "c"}) {
    streams.push_back(table.Connect(HelloOf(id), "peer", Position{1, 0, 0}));
  }
  for (uint64_t offset = 1; offset < 100; ++offset) {
    std::latch start(2);
    Status s;
    std::thread waiter([&] {
      start.arrive_and_wait();
      s = table.Wait(Position{1, offset, 0}, 2, AckLevel::kApplied, kForeverUs, kNoAsk);
    });
    start.arrive_and_wait();
    table.Confirm("a", streams[0], Applied(offset, offset));
    table.Confirm("b", streams[1], Applied(offset, offset - 1));
    table.Confirm("c", streams[2], Applied(offset, offset));
    waiter.join();
    REQUIRE(s.ok());
  }
}

TEST_CASE("follower_table: stopping ends all waits, now and later", "[unit]") {
  FollowerTable table(10000);
  std::vector<std::thread> waiters;
  std::atomic<int> aborted{0};
  std::latch start(5);
  for (int i = 0; i < 4; ++i) {
    waiters.emplace_back([&] {
      start.arrive_and_wait();
      if (table.Wait(Position{1, 1, 0}, 1, AckLevel::kReceived, kForeverUs, kNoAsk).IsAborted())
        ++aborted;
    });
  }
  start.arrive_and_wait();
  table.Stop(rocksdb::Status::Aborted("the leader is closing"));
  for (std::thread& waiter : waiters) waiter.join();
  REQUIRE(aborted == 4);
  REQUIRE(table.Wait(Position{1, 1, 0}, 0, AckLevel::kReceived, 0, kNoAsk).IsAborted());
}

TEST_CASE("follower_table: a follower pins the older of its cut and its image's", "[unit]") {
  FollowerTable table(10000);
  REQUIRE_FALSE(table.OldestPin());
  table.Connect(HelloOf("a"), "peer", Position{2, 500, 0});
  REQUIRE(table.OldestPin() == Position{2, 500, 0});
  table.Connect(HelloOf("b", Position{2, 400, 0}), "peer", Position{2, 500, 0});
  REQUIRE(table.OldestPin() == Position{2, 400, 0});
  table.Connect(HelloOf("c", Position{1, 900, 0}), "peer", Position{2, 500, 0});
  REQUIRE(table.OldestPin() == Position{1, 900, 0});
  table.Connect(HelloOf("c", Position{2, 600, 0}), "peer", Position{2, 500, 0});
  REQUIRE(table.OldestPin() == Position{2, 400, 0});
}

TEST_CASE("follower_table: without a lease one that left is forgotten at once", "[unit]") {
  FollowerTable table(0);
  const uint64_t stream = table.Connect(HelloOf("a"), "peer", Position{2, 500, 0});
  table.Disconnect("a", stream + 1);  // of another stream
  REQUIRE(table.OldestPin());
  table.Disconnect("a", stream);
  REQUIRE(table.List(Position{2, 500, 0}).size() == 1);
  REQUIRE_FALSE(table.OldestPin());
  REQUIRE(table.List(Position{2, 500, 0}).empty());
}

TEST_CASE("follower_table: the list tells how far behind each is", "[unit]") {
  FollowerTable table(10000);
  Hello hello = HelloOf("a");
  hello.name = "reader";
  const uint64_t stream = table.Connect(hello, "peer", Position{1, 0, 0});
  const uint64_t long_ago_us = 1;
  table.Sent("a", stream, Position{1, 60, 0}, 60, long_ago_us);
  table.Sent("a", stream, Position{1, 100, 0}, 40, long_ago_us);
  table.Sent("a", stream + 1, Position{1, 1000, 0}, 900, long_ago_us);
  table.Sent("nobody", stream, Position{1, 1000, 0}, 900, long_ago_us);
  auto info = [&] {
    const std::vector<FollowerInfo> list = table.List(Position{1, 100, 100});
    REQUIRE(list.size() == 1);
    return list[0];
  };
  REQUIRE(info().id == "a");
  REQUIRE(info().name == "reader");
  REQUIRE(info().address == "peer");
  REQUIRE(info().connected);
  REQUIRE(info().bytes_sent == 100);
  REQUIRE(info().lag_bytes == 100);
  REQUIRE(info().lag_sequences == 100);
  REQUIRE(info().lag_us > 0);
  table.Confirm("a", stream, Applied(100, 60));
  REQUIRE(info().lag_bytes == 40);
  REQUIRE(info().lag_sequences == 40);
  REQUIRE(info().lag_us > 0);
  table.Confirm("a", stream, Applied(100, 100));
  REQUIRE(info().lag_bytes == 0);
  REQUIRE(info().lag_us == 0);
  table.Disconnect("a", stream);
  REQUIRE_FALSE(info().connected);
}

TEST_CASE("follower_table: messages ask for a confirmation while somebody waits", "[unit]") {
  FollowerTable table(10000);
  const uint64_t stream = table.Connect(HelloOf("a"), "peer", Position{1, 0, 0});
  const auto sent_asks = [&](uint64_t now_us) {
    return table.Sent("a", stream, Position{1, 100, 0}, 1, now_us);
  };
  REQUIRE_FALSE(sent_asks(SteadyMicros()));
  std::latch asked(1);
  Status s;
  std::thread waiter([&] {
    s = table.Wait(Position{1, 100, 0}, 1, AckLevel::kApplied, kForeverUs,
                   [&] { asked.count_down(); });
  });
  asked.wait();
  // However long it lasts.
  REQUIRE(sent_asks(SteadyMicros() + kForeverUs));
  REQUIRE(table.IsAwaited(SteadyMicros() + kForeverUs));
  table.Confirm("a", stream, Applied(100, 100));
  waiter.join();
  REQUIRE(s.ok());
  // Whoever waited waits again soon, but not for ever.
  const uint64_t after_us = SteadyMicros();
  REQUIRE_FALSE(sent_asks(after_us + 1000000));
  REQUIRE_FALSE(table.IsAwaited(after_us + 1000000));
  REQUIRE(sent_asks(after_us - 1));
  // Those who only look are waiting too, just not here.
  int looks = 0;
  FollowerTable other(10000);
  const auto look = [&] { ++looks; };
  REQUIRE(other.Wait(Position{1, 1, 0}, 1, AckLevel::kReceived, 0, look).IsTimedOut());
  REQUIRE(looks == 1);
  REQUIRE(other.IsAwaited(SteadyMicros() - 1000));
  // Nothing is asked for what is confirmed.
  REQUIRE(table.Wait(Position{1, 100, 0}, 1, AckLevel::kApplied, 0, look).ok());
  REQUIRE(looks == 1);
}

TEST_CASE("follower_table: very many unconfirmed messages take bounded memory", "[unit]") {
  FollowerTable table(10000);
  const uint64_t stream = table.Connect(HelloOf("a"), "peer", Position{1, 0, 0});
  for (uint64_t i = 1; i <= 20000; ++i) table.Sent("a", stream, Position{1, i, 0}, 1, i);
  REQUIRE(table.List(Position{1, 20000, 0})[0].lag_us > 0);
  table.Confirm("a", stream, Applied(20000, 19999));
  REQUIRE(table.List(Position{1, 20000, 0})[0].lag_us > 0);
  table.Confirm("a", stream, Applied(20000, 20000));
  REQUIRE(table.List(Position{1, 20000, 0})[0].lag_us == 0);
}

}  // namespace
}  // namespace slipstream
