#include <atomic>
#include <catch2/catch.hpp>
#include <deque>
#include <latch>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/follower/generation.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"

namespace slipstream {
namespace {

// Contents without a database, in which the id is told three times so that a reader can see whether
// it looks at one generation or at pieces of two.
GenerationContents Contents(uint64_t id) {
  GenerationContents contents;
  contents.id = id;
  contents.cut = Position{1, id, id};
  contents.column_families.emplace_back("a name that is too long for a short string",
                                        static_cast<uint32_t>(id));
  return contents;
}

bool IsWhole(const Generation& g) {
  return g.cut().offset == g.id() && g.contents().column_families.size() == 1 &&
         g.contents().column_families[0].second == g.id();
}

// Tells when the contents that own it were closed.
class WatchedEnv final : public rocksdb::EnvWrapper {
 public:
  explicit WatchedEnv(bool* closed)
      : WatchedEnv(std::unique_ptr<rocksdb::Env>(rocksdb::NewMemEnv(rocksdb::Env::Default())),
                   closed) {}
  ~WatchedEnv() override { *closed_ = true; }

 private:
  WatchedEnv(std::unique_ptr<rocksdb::Env> memory, bool* closed)
      : rocksdb::EnvWrapper(memory.get()), memory_(std::move(memory)), closed_(closed) {}
  std::unique_ptr<rocksdb::Env> memory_;
  bool* const closed_;
};

GenerationContents OpenContents(uint64_t id, bool* closed) {
  GenerationContents contents = Contents(id);
  contents.env = std::make_unique<WatchedEnv>(closed);
  rocksdb::Options options;
  options.create_if_missing = true;
  options.env = contents.env.get();
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  REQUIRE(rocksdb::DB::Open(options, "/generation", {{"default", options}}, &handles, &db).ok());
  contents.db.reset(db);
  contents.handles = {nullptr, handles[0]};
  return contents;
}

TEST_CASE("generation_set: there is nothing to acquire before the first publish", "[unit]") {
  GenerationSet set;
  REQUIRE_FALSE(set.Acquire());
  REQUIRE(set.current() == nullptr);
  REQUIRE(set.live() == 0);
  REQUIRE(set.CloseUnused() == 0);
}

TEST_CASE("generation_set: readers get what was published last and keep what they have", "[unit]") {
  GenerationSet set;
  set.Publish(Contents(1));
  GenerationRef first = set.Acquire();
  REQUIRE(first->id() == 1);
  set.Publish(Contents(2));
  GenerationRef second = set.Acquire();
  REQUIRE(second->id() == 2);
  REQUIRE(first->id() == 1);
  REQUIRE(set.current() == second.get());
  REQUIRE(set.live() == 2);

  GenerationRef moved = std::move(first);
  REQUIRE_FALSE(first);
  REQUIRE(moved->id() == 1);
  moved = std::move(second);
  REQUIRE(moved->id() == 2);
  REQUIRE(set.CloseUnused() == 1);
  REQUIRE(set.live() == 1);
}

TEST_CASE("generation_set: a generation is closed when its last reference is gone", "[unit]") {
  bool closed = false;
  GenerationSet set;
  set.Publish(OpenContents(1, &closed));
  GenerationRef held = set.Acquire();
  REQUIRE(held->handle(0) == nullptr);
  REQUIRE(held->handle(1) != nullptr);
  REQUIRE(held->handle(2) == nullptr);
  REQUIRE(set.CloseUnused() == 0);

  set.Publish(Contents(2));
  GenerationRef shared = held.Share();
  REQUIRE(set.CloseUnused() == 0);
  held.Reset();
  REQUIRE(set.CloseUnused() == 0);
  REQUIRE_FALSE(closed);
  REQUIRE(shared->db()->Put({}, shared->handle(1), "key", "value").ok());

  std::thread([last = std::move(shared)]() mutable { last.Reset(); }).join();
  REQUIRE(set.CloseUnused() == 1);
  REQUIRE(closed);
  REQUIRE(set.CloseUnused() == 0);
}

TEST_CASE("generation_set: a generation that nobody read is closed once it is replaced", "[unit]") {
  bool closed = false;
  GenerationSet set;
  set.Publish(OpenContents(1, &closed));
  REQUIRE(set.CloseUnused() == 0);
  REQUIRE_FALSE(closed);
  set.Publish(Contents(2));
  REQUIRE(set.CloseUnused() == 1);
  REQUIRE(closed);
}

TEST_CASE("generation_set: destruction closes the current generation and retired ones", "[unit]") {
  bool closed[2] = {false, false};
  {
    GenerationSet set;
    set.Publish(OpenContents(1, &closed[0]));
    set.Publish(OpenContents(2, &closed[1]));
  }
  REQUIRE(closed[0]);
  REQUIRE(closed[1]);
}

TEST_CASE("generation_set: the oldest cut is that of the oldest generation in use", "[unit]") {
  GenerationSet set;
  REQUIRE(set.OldestCut(Position{1, 7, 7}) == Position{1, 7, 7});
  set.Publish(Contents(1));
  GenerationRef first = set.Acquire();
  set.Publish(Contents(2));
  GenerationRef second = set.Acquire();
  set.Publish(Contents(3));
  const Position fallback{9, 9, 9};
  REQUIRE(set.OldestCut(fallback).offset == 1);
  second.Reset();
  REQUIRE(set.CloseUnused() == 1);
  REQUIRE(set.OldestCut(fallback).offset == 1);
  first.Reset();
  REQUIRE(set.CloseUnused() == 1);
  REQUIRE(set.OldestCut(fallback).offset == 3);
}

TEST_CASE("generation_set: blocks of closed generations are used again", "[unit]") {
  GenerationSet set;
  std::set<const Generation*> blocks;
  for (uint64_t id = 1; id <= 100; ++id) {
    set.Publish(Contents(id));
    set.CloseUnused();
    REQUIRE(set.Acquire()->id() == id);
    REQUIRE(IsWhole(*set.current()));
    blocks.insert(set.current());
  }
  REQUIRE(blocks.size() == 2);
}

TEST_CASE("generation_set: the retirer is woken by a publish, a last reader and the end",
          "[unit]") {
  GenerationSet set;
  set.Publish(Contents(1));
  GenerationRef first = set.Acquire();
  set.Publish(Contents(2));
  REQUIRE(set.WaitForUnused());
  REQUIRE(set.CloseUnused() == 0);

  std::atomic<size_t> closed{0};
  std::thread retirer([&] {
    while (set.WaitForUnused()) closed += set.CloseUnused();
  });
  first.Reset();
  while (closed == 0) std::this_thread::yield();
  set.Stop();
  retirer.join();
  REQUIRE(closed == 1);
  REQUIRE_FALSE(set.WaitForUnused());
}

TEST_CASE("generation_set: readers see whole generations in order while they are replaced",
          "[unit]") {
  constexpr int kReaders = 4;
  constexpr uint64_t kGenerations = 2000;
  constexpr size_t kHeld = 3;  // references that each reader keeps beyond the current one
  GenerationSet set;
  set.Publish(Contents(1));
  std::atomic<bool> done{false};
  std::atomic<uint64_t> reads{0};
  std::atomic<uint64_t> torn{0};
  std::atomic<uint64_t> backwards{0};
  std::latch started(kReaders);

  std::vector<std::thread> readers;
  for (int r = 0; r < kReaders; ++r) {
    readers.emplace_back([&] {
      started.count_down();
      uint64_t seen = 0;
      std::deque<std::pair<GenerationRef, uint64_t>> held;
      while (!done.load()) {
        GenerationRef ref = set.Acquire();
        const uint64_t id = ref->id();
        if (!IsWhole(*ref.get())) ++torn;
        if (id < seen) ++backwards;
        seen = id;
        if (held.empty() || held.back().second != id) {
          held.emplace_back(ref.Share(), id);
        } else if (reads.load() % 8 == 0) {
          std::this_thread::yield();  // so that the publisher gets a core where there are few
        }
        if (held.size() > kHeld) {
          const auto& [oldest, oldest_id] = held.front();
          if (oldest->id() != oldest_id || !IsWhole(*oldest.get())) ++torn;
          held.pop_front();
        }
        ++reads;
      }
    });
  }
  std::atomic<uint64_t> closed{0};
  std::thread retirer([&] {
    while (set.WaitForUnused()) closed += set.CloseUnused();
  });

  started.wait();
  for (uint64_t id = 2; id <= kGenerations; ++id) {
    // Waits for a few reads, so that generations are replaced under readers and not before them.
    const uint64_t before = reads.load();
    while (reads.load() < before + 4) std::this_thread::yield();
    set.Publish(Contents(id));
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  set.Stop();
  retirer.join();
  closed += set.CloseUnused();

  REQUIRE(torn == 0);
  REQUIRE(backwards == 0);
  REQUIRE(closed == kGenerations - 1);
  REQUIRE(set.live() == 1);
  REQUIRE(set.Acquire()->id() == kGenerations);
}

// Two blocks take turns here, so that a reader which stands still between finding a generation and
// counting itself comes back to a block that is being filled anew.
TEST_CASE("generation_set: a reader that comes late to a block steps back", "[unit]") {
  constexpr int kReaders = 4;
  constexpr uint64_t kGenerations = 50000;
  GenerationSet set;
  set.Publish(Contents(1));
  std::atomic<bool> done{false};
  std::atomic<uint64_t> torn{0};
  std::latch started(kReaders);
  std::vector<std::thread> readers;
  for (int r = 0; r < kReaders; ++r) {
    readers.emplace_back([&] {
      started.count_down();
      while (!done.load(std::memory_order_relaxed)) {
        GenerationRef ref = set.Acquire();
        const uint64_t id = ref->id();
        if (id % 4 == 0) std::this_thread::yield();
        if (ref->id() != id || !IsWhole(*ref.get())) ++torn;
      }
    });
  }
  started.wait();
  for (uint64_t id = 2; id <= kGenerations; ++id) {
    set.Publish(Contents(id));
    set.CloseUnused();
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  set.CloseUnused();
  REQUIRE(torn == 0);
  REQUIRE(set.live() == 1);
}

}  // namespace
}  // namespace slipstream
