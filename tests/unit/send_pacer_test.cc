#include "lib/core/send_pacer.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <random>

#include "tests/unit/random_seed.h"

namespace slipstream {
namespace {

constexpr uint64_t kStart = 1000000;

// Sends as soon as it may, from `now_us` on; returns when that was.
uint64_t Send(SendPacer* pacer, uint64_t now_us) {
  const uint64_t at = now_us + pacer->Delay(now_us);
  REQUIRE(pacer->Delay(at) == 0);
  pacer->OnSend(at);
  return at;
}

TEST_CASE("send_pacer: without a delay nothing ever waits", "[unit]") {
  SendPacer pacer(0);
  for (int i = 0; i < 1000; ++i) REQUIRE(Send(&pacer, kStart) == kStart);
}

TEST_CASE("send_pacer: a few messages after a pause go at once", "[unit]") {
  SendPacer pacer(200);
  for (int pause = 0; pause < 3; ++pause) {
    const uint64_t now_us = kStart + pause * 1000000;
    for (int i = 0; i < 8; ++i) REQUIRE(Send(&pacer, now_us) == now_us);
    REQUIRE(pacer.Delay(now_us) == 200);
  }
}

TEST_CASE("send_pacer: under load messages are a delay apart", "[unit]") {
  SendPacer pacer(200);
  uint64_t now_us = kStart;
  for (int i = 0; i < 20; ++i) now_us = Send(&pacer, now_us);
  const uint64_t begin = now_us;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t at = Send(&pacer, now_us);
    REQUIRE(at - now_us <= 200);
    now_us = at;
  }
  // One of 33 may go on a token that came back.
  REQUIRE(now_us - begin >= 1000 * 200 * 95 / 100);
  REQUIRE(now_us - begin <= 1000 * 200);
}

TEST_CASE("send_pacer: a slow trickle never waits", "[unit]") {
  SendPacer pacer(200);
  for (uint64_t i = 0; i < 1000; ++i) REQUIRE(Send(&pacer, kStart + i * 800) == kStart + i * 800);
}

TEST_CASE("send_pacer: no wait is longer than the delay, whatever comes", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  SendPacer pacer(500);
  uint64_t now_us = kStart;
  for (int i = 0; i < 5000; ++i) {
    now_us += random() % (random() % 50 == 0 ? 20000 : 300);
    const uint64_t at = Send(&pacer, now_us);
    REQUIRE(at - now_us <= 500);
    now_us = at;
  }
}

TEST_CASE("send_pacer: busy is where something comes within the delay after a message", "[unit]") {
  SendPacer pacer(300);
  uint64_t now_us = kStart;
  for (int i = 0; i < 20; ++i) now_us = Send(&pacer, now_us);  // no tokens are left
  const auto look_after = [&](uint64_t us, bool is_something) {
    pacer.OnLook(now_us + us, is_something);
    return pacer.IsBusy();
  };
  CHECK_FALSE(pacer.IsBusy());
  CHECK(look_after(100, true));
  // Nothing yet says nothing; what is there when the delay is over came within it.
  CHECK(look_after(200, false));
  CHECK(look_after(300, true));
  CHECK(look_after(400, true));
  now_us = Send(&pacer, now_us + 400);
  CHECK_FALSE(look_after(300, false));
  // What comes later does not make it busy again.
  CHECK_FALSE(look_after(350, true));
  now_us = Send(&pacer, now_us + 350);
  CHECK(look_after(299, true));
  // Without a delay nothing comes within it.
  SendPacer immediate(0);
  immediate.OnSend(kStart);
  immediate.OnLook(kStart, true);
  CHECK_FALSE(immediate.IsBusy());
}

TEST_CASE("send_pacer: the next message is near while they come every few milliseconds", "[unit]") {
  for (const uint64_t delay_us : {0, 300}) {
    SendPacer pacer(delay_us);
    CHECK_FALSE(pacer.IsNextNear(kStart));
    pacer.OnSend(kStart);
    CHECK_FALSE(pacer.IsNextNear(kStart));
    pacer.OnSend(kStart + 1000);
    CHECK(pacer.IsNextNear(kStart + 1000));
    CHECK(pacer.IsNextNear(kStart + 3000));
    CHECK_FALSE(pacer.IsNextNear(kStart + 5000));
    pacer.OnSend(kStart + 11000);
    CHECK_FALSE(pacer.IsNextNear(kStart + 11000));
  }
}

TEST_CASE("send_pacer: a clock that stands still or goes back does no harm", "[unit]") {
  SendPacer pacer(200);
  for (int i = 0; i < 20; ++i) pacer.OnSend(kStart);
  REQUIRE(pacer.Delay(kStart) == 200);
  REQUIRE(pacer.Delay(kStart - 100) == 300);
  REQUIRE(pacer.Delay(kStart + 200) == 0);
}

}  // namespace
}  // namespace slipstream
