// A ReplayTree with one writer, several readers, and a model that knows what each read may show:
// everything inserted before it began must be found, in order; nothing else is ever seen twice,
// out of order, or as an entry that it is not.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "lib/memtable/replay_tree.h"
#include "lib/memtable/tree_cursor.h"
#include "lib/memtable/tree_writer.h"
#include "tests/memtable/key_shapes.h"

namespace slipstream::testing {

// Stops the program at the first difference, with the words needed to replay it.
struct Verdict {
  std::string run;  // seed, shape, ...

  void Require(bool ok, const char* what, int64_t a = 0, int64_t b = 0) const {
    if (ok) return;
    std::fprintf(stderr, "FAILED: %s (%lld, %lld) in %s\n", what, static_cast<long long>(a),
                 static_cast<long long>(b), run.c_str());
    std::abort();
  }
};

// Gives the processor away at random points, so that readers meet every state of the writer.
struct YieldingPause {
  static void Point() {
    thread_local uint64_t state = 88172645463325252ull ^ reinterpret_cast<uintptr_t>(&state);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    if (state % kOneIn == 0) std::this_thread::yield();
  }
  static constexpr uint64_t kOneIn = 48;
};

// Memory for nodes, freed with the model.
class TestMemory {
 public:
  char* operator()(size_t bytes) {
    blocks_->push_back(std::make_unique<char[]>(bytes));
    return blocks_->back().get();
  }

 private:
  std::shared_ptr<std::vector<std::unique_ptr<char[]>>> blocks_ =
      std::make_shared<std::vector<std::unique_ptr<char[]>>>();
};

template <class Order, int kSlots, class Pause>
class TreeModel {
 public:
  using Tree = ReplayTree<Order, kSlots, Pause>;
  using Cursor = TreeCursor<Tree>;

  TreeModel(const EntrySet& entries, const Verdict& verdict, uint64_t seed)
      : entries_(entries), verdict_(verdict), seed_(seed), writer_(&tree_, TestMemory()) {
    by_rank_.resize(static_cast<size_t>(entries.size()));
    std::iota(by_rank_.begin(), by_rank_.end(), 0);
    std::sort(by_rank_.begin(), by_rank_.end(),
              [&](int a, int b) { return order_.Compare(entries[a], KeyOfEntry(entries[b])) < 0; });
    rank_.resize(by_rank_.size());
    for (size_t r = 0; r < by_rank_.size(); ++r) {
      rank_[static_cast<size_t>(by_rank_[r])] = static_cast<int>(r);
    }
  }

  // Inserts all entries while `readers` threads read, then reads once more.
  void Run(int readers) {
    std::vector<std::thread> threads;
    for (int i = 0; i < readers; ++i) {
      threads.emplace_back([this, i] {
        Random random(seed_ * 31 + static_cast<uint64_t>(i));
        do {
          ReadOnce(&random);
        } while (inserted_.load(std::memory_order_acquire) < entries_.size());
      });
    }
    Random random(seed_);
    for (int i = 0; i < entries_.size(); ++i) {
      verdict_.Require(writer_.Insert(entries_[i]), "a new entry was refused", i);
      inserted_.store(i + 1, std::memory_order_release);
      if (Below(&random, 16) == 0) {
        const int again = static_cast<int>(Below(&random, static_cast<uint64_t>(i) + 1));
        verdict_.Require(!writer_.Insert(entries_[again]), "an entry was taken twice", again);
      }
    }
    for (std::thread& t : threads) t.join();
    CheckScans();
    for (int i = 0; i < entries_.size(); ++i) CheckFound(i);
    verdict_.Require(tree_.entry_count() == static_cast<uint64_t>(entries_.size()), "entry count");
  }

 private:
  void ReadOnce(Random* random) {
    const uint64_t choice = Below(random, 100);
    const int known = inserted_.load(std::memory_order_acquire);
    if (choice < 60) {
      if (known > 0) CheckFound(static_cast<int>(Below(random, static_cast<uint64_t>(known))));
    } else if (choice < 80) {
      CheckSeeks(RandomIndex(random));
    } else if (choice < 98) {
      CheckWalk(random);
    } else {
      CheckScans();
    }
  }

  int RandomIndex(Random* random) const {
    return static_cast<int>(Below(random, static_cast<uint64_t>(entries_.size())));
  }
  int RankOf(const char* entry) const {
    const uint32_t number = NumberOf(entry);
    verdict_.Require(number < rank_.size() && entries_[static_cast<int>(number)] == entry,
                     "a pointer that is no entry", number);
    return rank_[number];
  }
  bool Known(int rank, int known) const { return by_rank_[static_cast<size_t>(rank)] < known; }
  // Nothing that was inserted before the read lies in [begin, end).
  void RequireNoneKnown(int begin, int end, int known, const char* what) const {
    for (int r = begin; r < end; ++r) verdict_.Require(!Known(r, known), what, r, known);
  }

  void CheckFound(int index) const {
    Cursor cursor(&tree_);
    const EntryKey key = KeyOfEntry(entries_[index]);
    cursor.Seek(key);
    verdict_.Require(cursor.Valid() && cursor.entry() == entries_[index],
                     "an entry that was inserted is not found", index, rank_[Size(index)]);
    cursor.SeekForPrev(key);
    verdict_.Require(cursor.Valid() && cursor.entry() == entries_[index],
                     "an entry that was inserted is not found backwards", index);
  }

  // The entry may or may not be there yet.
  void CheckSeeks(int index) const {
    const int total = entries_.size();
    const int rank = rank_[Size(index)];
    const EntryKey key = KeyOfEntry(entries_[index]);
    int known = inserted_.load(std::memory_order_acquire);
    Cursor cursor(&tree_);
    cursor.Seek(key);
    int found = cursor.Valid() ? RankOf(cursor.entry()) : total;
    verdict_.Require(found >= rank, "Seek went too far back", found, rank);
    RequireNoneKnown(rank, found, known, "Seek passed an entry");
    known = inserted_.load(std::memory_order_acquire);
    cursor.SeekForPrev(key);
    found = cursor.Valid() ? RankOf(cursor.entry()) : -1;
    verdict_.Require(found <= rank, "SeekForPrev went too far", found, rank);
    RequireNoneKnown(found + 1, rank + 1, known, "SeekForPrev passed an entry");
  }

  // Steps to and fro from a random place.
  void CheckWalk(Random* random) const {
    const int total = entries_.size();
    const int known = inserted_.load(std::memory_order_acquire);
    Cursor cursor(&tree_);
    cursor.Seek(KeyOfEntry(entries_[RandomIndex(random)]));
    bool forward = Below(random, 2) == 0;
    for (int step = 0; step < 40 && cursor.Valid(); ++step) {
      const int from = RankOf(cursor.entry());
      if (Below(random, 8) == 0) forward = !forward;
      if (forward) {
        cursor.Next();
        const int to = cursor.Valid() ? RankOf(cursor.entry()) : total;
        verdict_.Require(to > from, "Next did not advance", from, to);
        RequireNoneKnown(from + 1, to, known, "Next passed an entry");
      } else {
        cursor.Prev();
        const int to = cursor.Valid() ? RankOf(cursor.entry()) : -1;
        verdict_.Require(to < from, "Prev did not go back", from, to);
        RequireNoneKnown(to + 1, from, known, "Prev passed an entry");
      }
    }
  }

  void CheckScans() const {
    const int total = entries_.size();
    Cursor cursor(&tree_);
    int known = inserted_.load(std::memory_order_acquire);
    int at = -1;
    for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) {
      const int to = RankOf(cursor.entry());
      verdict_.Require(to > at, "a scan is out of order", at, to);
      RequireNoneKnown(at + 1, to, known, "a scan passed an entry");
      at = to;
    }
    RequireNoneKnown(at + 1, total, known, "a scan ended early");
    known = inserted_.load(std::memory_order_acquire);
    at = total;
    for (cursor.SeekToLast(); cursor.Valid(); cursor.Prev()) {
      const int to = RankOf(cursor.entry());
      verdict_.Require(to < at, "a scan backwards is out of order", at, to);
      RequireNoneKnown(to + 1, at, known, "a scan backwards passed an entry");
      at = to;
    }
    RequireNoneKnown(0, at, known, "a scan backwards ended early");
  }

  static size_t Size(int i) { return static_cast<size_t>(i); }

  const EntrySet& entries_;
  const Verdict& verdict_;
  const uint64_t seed_;
  const Order order_{};
  std::vector<int> by_rank_;  // entry of each rank
  std::vector<int> rank_;     // rank of each entry
  Tree tree_{Order{}};
  TreeWriter<Tree, TestMemory> writer_;
  std::atomic<int> inserted_{0};
};

}  // namespace slipstream::testing
