#include "lib/core/follower_registry.h"

#include <catch2/catch.hpp>
#include <string>

namespace slipstream {
namespace {

constexpr uint64_t kLeaseMs = 1000;

Hello HelloOf(const std::string& id, const Position& held = {}) {
  Hello hello;
  hello.follower_id = id;
  hello.name = "name of " + id;
  hello.held = held;
  return hello;
}

Ack AckOf(const Position& received, const Position& applied, const Position& pin = {}) {
  Ack ack;
  ack.received = received;
  ack.applied = applied;
  ack.pin = pin;
  ack.live_generations = 2;
  ack.serving = true;
  return ack;
}

TEST_CASE("follower_registry: a follower is known from its connect to its lease's end", "[unit]") {
  FollowerRegistry registry(kLeaseMs);
  REQUIRE(registry.entries().empty());
  REQUIRE_FALSE(registry.OldestPin());
  const uint64_t stream = registry.Connect(HelloOf("a", {3, 50, 0}), "peer", Position{3, 40, 0});
  const FollowerRegistry::Entry& e = registry.entries().at("a");
  REQUIRE(e.connected);
  REQUIRE_FALSE(e.serving);
  REQUIRE(e.name == "name of a");
  REQUIRE(e.peer == "peer");
  REQUIRE(e.received == Position{3, 50, 0});
  REQUIRE(e.pin == Position{3, 40, 0});
  registry.Expire(UINT64_MAX);
  REQUIRE(registry.entries().size() == 1);  // no lease runs while it is connected

  registry.Disconnect("a", stream, 5000);
  REQUIRE_FALSE(registry.entries().at("a").connected);
  registry.Expire(5000 + kLeaseMs - 1);
  REQUIRE(registry.OldestPin() == Position{3, 40, 0});
  registry.Expire(5000 + kLeaseMs);
  REQUIRE(registry.entries().empty());
  REQUIRE_FALSE(registry.OldestPin());
}

TEST_CASE("follower_registry: one that returns in time keeps its place", "[unit]") {
  FollowerRegistry registry(kLeaseMs);
  const uint64_t first = registry.Connect(HelloOf("a"), "peer", Position{3, 40, 0});
  registry.Disconnect("a", first, 5000);
  const uint64_t second = registry.Connect(HelloOf("a"), "other peer", Position{3, 60, 0});
  REQUIRE(second != first);
  registry.Expire(UINT64_MAX);
  REQUIRE(registry.entries().size() == 1);
  REQUIRE(registry.entries().at("a").peer == "other peer");
  REQUIRE(registry.OldestPin() == Position{3, 60, 0});
}

TEST_CASE("follower_registry: an older stream has nothing more to say", "[unit]") {
  FollowerRegistry registry(kLeaseMs);
  const uint64_t first = registry.Connect(HelloOf("a"), "peer", Position{3, 40, 0});
  const uint64_t second = registry.Connect(HelloOf("a"), "peer", Position{3, 40, 0});
  REQUIRE_FALSE(registry.Confirm("a", first, AckOf({3, 99, 0}, {3, 99, 0}, {3, 99, 0})));
  registry.Disconnect("a", first, 0);
  const FollowerRegistry::Entry& e = registry.entries().at("a");
  REQUIRE(e.connected);
  REQUIRE(e.applied.epoch == 0);
  REQUIRE(e.pin == Position{3, 40, 0});
  REQUIRE(registry.Confirm("a", second, AckOf({3, 99, 0}, {3, 98, 0}, {3, 70, 0})));
  REQUIRE(e.received == Position{3, 99, 0});
  REQUIRE(e.applied == Position{3, 98, 0});
  REQUIRE(e.pin == Position{3, 70, 0});
  REQUIRE(e.serving);
  REQUIRE(e.live_generations == 2);
  REQUIRE_FALSE(registry.Confirm("nobody", 1, AckOf({3, 1, 0}, {3, 1, 0})));
}

TEST_CASE("follower_registry: the pin of the connect stays until there is another", "[unit]") {
  FollowerRegistry registry(kLeaseMs);
  const uint64_t stream = registry.Connect(HelloOf("a"), "peer", Position{3, 40, 0});
  REQUIRE(registry.Confirm("a", stream, AckOf({3, 90, 0}, {})));
  REQUIRE(registry.OldestPin() == Position{3, 40, 0});
}

TEST_CASE("follower_registry: the oldest pin is that of all", "[unit]") {
  FollowerRegistry registry(kLeaseMs);
  registry.Connect(HelloOf("a"), "peer", Position{3, 40, 0});
  const uint64_t b = registry.Connect(HelloOf("b"), "peer", Position{3, 30, 0});
  registry.Connect(HelloOf("c"), "peer", Position{4, 1, 0});
  REQUIRE(registry.OldestPin() == Position{3, 30, 0});
  // While its lease runs it counts.
  registry.Disconnect("b", b, 100);
  REQUIRE(registry.OldestPin() == Position{3, 30, 0});
  registry.Expire(100 + kLeaseMs);
  REQUIRE(registry.OldestPin() == Position{3, 40, 0});
}

TEST_CASE("follower_registry: confirmations of the same epoch count", "[unit]") {
  FollowerRegistry registry(kLeaseMs);
  const uint64_t a = registry.Connect(HelloOf("a"), "peer", Position{3, 0, 0});
  const uint64_t b = registry.Connect(HelloOf("b"), "peer", Position{3, 0, 0});
  const uint64_t c = registry.Connect(HelloOf("c"), "peer", Position{3, 0, 0});
  REQUIRE(registry.Confirm("a", a, AckOf({3, 100, 0}, {3, 50, 0})));
  REQUIRE(registry.Confirm("b", b, AckOf({3, 99, 0}, {3, 99, 0})));
  // Far ahead, but in another history.
  REQUIRE(registry.Confirm("c", c, AckOf({4, 1000, 0}, {2, 1000, 0})));
  REQUIRE(registry.CountReceived({3, 100, 0}) == 1);
  REQUIRE(registry.CountReceived({3, 99, 0}) == 2);
  REQUIRE(registry.CountApplied({3, 99, 0}) == 1);
  REQUIRE(registry.CountApplied({3, 50, 0}) == 2);
  REQUIRE(registry.CountApplied({3, 100, 0}) == 0);
  REQUIRE(registry.CountReceived({2, 1, 0}) == 0);
}

}  // namespace
}  // namespace slipstream
