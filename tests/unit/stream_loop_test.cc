#include "lib/wire/stream_loop.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

namespace slipstream {
namespace {

constexpr uint64_t kLongUs = UINT64_C(3600) * 1000 * 1000;
constexpr StreamWait kHearing{.after_us = kLongUs};
constexpr StreamWait kDeaf{.after_us = kLongUs, .wake_is_near = true};

struct Counted : StreamEvent {
  void Complete(bool) override { ++times; }
  int times = 0;
};

// A loop with the queue of a server that serves nothing.
struct Loop {
  Loop() {
    grpc::ServerBuilder builder;
    auto queue = builder.AddCompletionQueue();
    server = builder.BuildAndStart();
    loop = std::make_unique<StreamLoop>(std::move(queue));
  }
  ~Loop() {
    server->Shutdown();
    loop->Shutdown();
    while (loop->Wait({.after_us = 0})) {
    }
  }

  // Comes at once, and `alarm` must be there until it was completed.
  void Fire(grpc::Alarm* alarm, Counted* event) {
    alarm->Set(loop->queue(), std::chrono::system_clock::now(), static_cast<StreamEvent*>(event));
  }

  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<StreamLoop> loop;
};

// Waits like this end while another thread goes on waking.
void RequireWoken(StreamLoop* loop, const StreamWait& wait) {
  std::atomic<bool> over{false};
  std::thread waker([&] {
    while (!over) {
      loop->Wake();
      std::this_thread::yield();
    }
  });
  bool open = true;
  for (int i = 0; i < 100; ++i) open = loop->Wait(wait) && open;
  over = true;
  waker.join();
  REQUIRE(open);
}

}  // namespace

TEST_CASE("stream_loop: a wait that hears is ended by an event, or by Wake", "[unit]") {
  Loop loop;
  grpc::Alarm alarm;
  Counted event;
  loop.Fire(&alarm, &event);
  // Else it would last an hour.
  while (event.times == 0) REQUIRE(loop.loop->Wait(kHearing));
  CHECK(event.times == 1);

  loop.loop->Wake();
  REQUIRE(loop.loop->Wait(kHearing));
  RequireWoken(loop.loop.get(), kHearing);
}

TEST_CASE("stream_loop: a deaf wait ends soon, or by Wake, and completes what there is", "[unit]") {
  Loop loop;
  // Nobody wakes it.
  for (int i = 0; i < 3; ++i) REQUIRE(loop.loop->Wait(kDeaf));
  grpc::Alarm alarm;
  Counted event;
  loop.Fire(&alarm, &event);
  while (event.times == 0) REQUIRE(loop.loop->Wait(kDeaf));
  CHECK(event.times == 1);
  RequireWoken(loop.loop.get(), kDeaf);
}

TEST_CASE("stream_loop: who must hear is never deaf", "[unit]") {
  StreamWait wait;
  CHECK_FALSE(wait.may_be_deaf());  // nobody said that there will be anything
  wait.Join({.after_us = 500, .wake_is_near = true});
  CHECK(wait.may_be_deaf());
  CHECK(wait.after_us == 500);
  wait.Join({.after_us = 900});
  CHECK(wait.may_be_deaf());
  CHECK(wait.after_us == 500);
  wait.Join({.must_hear = true});
  CHECK_FALSE(wait.may_be_deaf());
}

}  // namespace slipstream
