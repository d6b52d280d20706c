#include "lib/observe/call_gate.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <latch>
#include <optional>
#include <thread>

namespace slipstream::observe {
namespace {

TEST_CASE("call_gate: closing waits for calls that have passed, and lets no other pass", "[unit]") {
  CallGate gate;
  std::optional<CallGate::Pass> first(std::in_place, &gate);
  REQUIRE(*first);
  std::atomic<bool> closed{false};
  std::latch begun(1);
  std::thread closer([&] {
    begun.count_down();
    gate.Close();
    closed = true;
  });
  begun.wait();
  while (CallGate::Pass(&gate)) std::this_thread::yield();  // until it is closing
  CHECK_FALSE(closed);
  first.reset();
  closer.join();
  CHECK(closed);
  CHECK_FALSE(CallGate::Pass(&gate));
  gate.Close();
}

}  // namespace
}  // namespace slipstream::observe
