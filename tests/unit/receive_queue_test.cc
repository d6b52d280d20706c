#include "lib/follower/receive_queue.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <deque>
#include <latch>
#include <string>
#include <thread>

namespace slipstream {
namespace {

FollowerInput Frames(uint64_t offset, size_t bytes) {
  FollowerInput input{};
  input.type = FollowerInput::Type::kFrames;
  input.header.offset = offset;
  input.payload.assign(bytes, 'x');
  return input;
}

std::deque<ReceiveQueue::Item> TakeNow(ReceiveQueue* queue) {
  std::deque<ReceiveQueue::Item> items;
  REQUIRE(queue->Take(&items, absl::ZeroDuration()));
  return items;
}

TEST_CASE("receive_queue: items come out in order, all there are", "[unit]") {
  ReceiveQueue queue(1000);
  REQUIRE(queue.Push(Frames(1, 10)));
  REQUIRE(queue.Push(StreamStart{[](Hello) {}}));
  REQUIRE(queue.Push(Frames(2, 20)));
  REQUIRE(queue.bytes() == 30);
  const std::deque<ReceiveQueue::Item> items = TakeNow(&queue);
  REQUIRE(items.size() == 3);
  REQUIRE(std::get<FollowerInput>(items[0]).header.offset == 1);
  REQUIRE(std::holds_alternative<StreamStart>(items[1]));
  REQUIRE(std::get<FollowerInput>(items[2]).header.offset == 2);
  REQUIRE(TakeNow(&queue).empty());
  REQUIRE(queue.bytes() == 0);
}

TEST_CASE("receive_queue: one item may be larger than the limit", "[unit]") {
  ReceiveQueue queue(100);
  REQUIRE(queue.Push(Frames(1, 5000)));
  REQUIRE(TakeNow(&queue).size() == 1);
  REQUIRE(TakeNow(&queue).empty());
  REQUIRE(queue.Push(Frames(2, 100)));
}

TEST_CASE("receive_queue: items without a payload never wait", "[unit]") {
  ReceiveQueue queue(100);
  REQUIRE(queue.Push(Frames(1, 100)));
  REQUIRE(queue.Push(StreamStart{[](Hello) {}}));
  REQUIRE(queue.Push(Frames(2, 0)));
  REQUIRE_FALSE(queue.full());
}

TEST_CASE("receive_queue: a full queue lets the receiver wait until there is room", "[unit]") {
  ReceiveQueue queue(100);
  REQUIRE(queue.Push(Frames(0, 60)));
  std::thread receiver([&] {
    for (uint64_t i = 1; i < 200; ++i) queue.Push(Frames(i, 60));
    queue.Push(Frames(1000, 0));
  });
  while (!queue.full()) std::this_thread::yield();
  REQUIRE(queue.bytes() <= 100);
  uint64_t next = 0;
  for (bool done = false; !done;) {
    std::deque<ReceiveQueue::Item> items;
    REQUIRE(queue.Take(&items, absl::InfiniteDuration()));
    REQUIRE(queue.bytes() <= 100);
    for (const ReceiveQueue::Item& item : items) {
      const uint64_t offset = std::get<FollowerInput>(item).header.offset;
      if (offset == 1000) {
        done = true;
      } else {
        REQUIRE(offset == next++);
      }
    }
  }
  receiver.join();
  REQUIRE(next == 200);
  REQUIRE_FALSE(queue.full());
}

TEST_CASE("receive_queue: a wake ends a take, once", "[unit]") {
  ReceiveQueue queue(100);
  std::deque<ReceiveQueue::Item> items;
  queue.Wake();
  REQUIRE(queue.Take(&items, absl::InfiniteDuration()));
  REQUIRE(items.empty());
  REQUIRE(queue.Take(&items, absl::ZeroDuration()));
  for (int i = 0; i < 100; ++i) {
    std::latch start(2);
    std::thread waker([&] {
      start.arrive_and_wait();
      queue.Wake();
    });
    start.arrive_and_wait();
    REQUIRE(queue.Take(&items, absl::InfiniteDuration()));
    waker.join();
  }
}

TEST_CASE("receive_queue: a push ends a take", "[unit]") {
  ReceiveQueue queue(100);
  for (uint64_t i = 0; i < 100; ++i) {
    std::thread receiver([&] { queue.Push(Frames(i, 10)); });
    std::deque<ReceiveQueue::Item> items;
    REQUIRE(queue.Take(&items, absl::InfiniteDuration()));
    REQUIRE(items.size() == 1);
    receiver.join();
  }
}

// A consumer that counts what it takes, beside what its receiver deals with directly.
struct Dealt {
  std::atomic<uint64_t> direct{0};
  std::atomic<uint64_t> taken{0};
  std::atomic<bool> in_turn{true};
  uint64_t next = 0;            // of both; whoever deals has the turn
  std::atomic<int> dealing{0};  // never above one

  void Deal(const ReceiveQueue::Item& item) {
    if (dealing.fetch_add(1) != 0) in_turn = false;
    if (std::get<FollowerInput>(item).header.offset != next++) in_turn = false;
    dealing.fetch_sub(1);
  }
  void TakeAll(ReceiveQueue* queue) {
    std::deque<ReceiveQueue::Item> items;
    while (queue->Take(&items, absl::InfiniteDuration())) {
      for (const ReceiveQueue::Item& item : items) Deal(item);
      taken += items.size();
    }
  }
};

TEST_CASE("receive_queue: the receiver deals with an item while the applier waits", "[unit]") {
  ReceiveQueue queue(100);
  Dealt dealt;
  queue.SetDirect([&](ReceiveQueue::Item* item) {
    if (!queue.full()) dealt.in_turn = false;
    dealt.Deal(*item);
    ++dealt.direct;
    return true;
  });
  std::thread applier([&] { dealt.TakeAll(&queue); });
  // Until the applier waits, items are taken.
  uint64_t pushed = 0;
  while (dealt.direct < 100) REQUIRE(queue.Push(Frames(pushed++, 10)));
  queue.Stop();
  applier.join();
  REQUIRE(dealt.in_turn);
  REQUIRE_FALSE(queue.full());
}

TEST_CASE("receive_queue: an item that is declined is taken, in order", "[unit]") {
  ReceiveQueue queue(1000);
  Dealt dealt;
  queue.SetDirect([&](ReceiveQueue::Item* item) {
    if (std::get<FollowerInput>(*item).header.offset % 3 == 0) return false;
    dealt.Deal(*item);
    ++dealt.direct;
    return true;
  });
  std::thread applier([&] { dealt.TakeAll(&queue); });
  uint64_t pushed = 0;
  for (; pushed < 1000 || dealt.direct < 100; ++pushed) REQUIRE(queue.Push(Frames(pushed, 10)));
  while (dealt.direct + dealt.taken < pushed) std::this_thread::yield();
  queue.Stop();
  applier.join();
  REQUIRE(dealt.in_turn);
  REQUIRE(dealt.taken >= pushed / 3);
}

TEST_CASE("receive_queue: a wake and a timeout wait for who deals", "[unit]") {
  for (const bool wakes : {true, false}) {
    ReceiveQueue queue(100);
    std::atomic<bool> returned{false};
    std::atomic<bool> early{false};
    std::latch dealing(1);
    queue.SetDirect([&](ReceiveQueue::Item*) {
      dealing.count_down();
      if (wakes) queue.Wake();
      // The applier's time passes.
      const auto begin = std::chrono::steady_clock::now();
      while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(5)) {
        std::this_thread::yield();
      }
      early = returned.load();
      return true;
    });
    std::thread applier([&] {
      std::deque<ReceiveQueue::Item> items;
      while (!dealing.try_wait()) {
        queue.Take(&items, wakes ? absl::InfiniteDuration() : absl::Milliseconds(1));
      }
      returned = true;
    });
    // Until the applier is there, items wait to be taken.
    for (uint64_t i = 0; !dealing.try_wait(); ++i) REQUIRE(queue.Push(Frames(i, 0)));
    applier.join();
    REQUIRE_FALSE(early);
  }
}

TEST_CASE("receive_queue: stopping ends both sides, now and later", "[unit]") {
  std::atomic<int> refused{0};
  for (int i = 0; i < 50; ++i) {
    ReceiveQueue full(100);
    REQUIRE(full.Push(Frames(0, 100)));
    ReceiveQueue empty(100);
    std::thread receiver([&] { refused += full.Push(Frames(1, 1)) ? 0 : 1; });
    std::thread applier([&] {
      std::deque<ReceiveQueue::Item> items;
      refused += empty.Take(&items, absl::InfiniteDuration()) ? 0 : 1;
    });
    full.Stop();
    empty.Stop();
    receiver.join();
    applier.join();
    std::deque<ReceiveQueue::Item> items;
    REQUIRE_FALSE(full.Take(&items, absl::InfiniteDuration()));
    REQUIRE_FALSE(empty.Push(Frames(1, 1)));
  }
  REQUIRE(refused == 100);
}

}  // namespace
}  // namespace slipstream
