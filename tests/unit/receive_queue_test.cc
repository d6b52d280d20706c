#include "lib/follower/receive_queue.h"

#include <atomic>
#include <catch2/catch.hpp>
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
