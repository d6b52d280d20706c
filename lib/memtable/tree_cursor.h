// A position in a ReplayTree: what iterators and point reads are made of. It owns nothing.
//
// The cursor keeps a copy of the order of its leaf. While the leaf's word stays the same, a step is
// a load from it; when it has changed, the cursor finds its current entry again. The leaf that
// followed at the time of the copy is where the entries after it go on, whatever was split since.
// A scan therefore shows, in order, all entries that were there when it began.
//
// Threads: one cursor is for one thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

#include "lib/memtable/entry_key.h"
#include "lib/memtable/replay_tree.h"
#include "lib/memtable/tree_node.h"

namespace slipstream {

template <class Tree>
class TreeCursor {
 public:
  explicit TreeCursor(const Tree* tree) : tree_(tree) {}

  bool Valid() const { return entry_ != nullptr; }
  // REQUIRES: Valid(), here and for Next and Prev.
  const char* entry() const { return entry_; }

  // To the first entry at or after the key.
  void Seek(const EntryKey& key) {
    Place place;
    entry_ = nullptr;
    if (!tree_->template Descend<true>(key, &place)) return;
    Settle<true, false>(key, place, 0);
    if (entry_ == nullptr) EnterNextLeaf();
  }

  // To the last entry at or before the key.
  void SeekForPrev(const EntryKey& key) {
    Place place;
    entry_ = nullptr;
    if (tree_->template Descend<true>(key, &place)) Settle<true, true>(key, place, -1);
  }

  void SeekToFirst() {
    next_ = tree_->first_leaf();
    EnterNextLeaf();
  }

  void SeekToLast() {
    entry_ = nullptr;
    const Node* node = tree_->root();
    while (node != nullptr) node = LastBelow(node);
  }

  void Next() {
    const int index = index_ + 1;
    if (index >= count_) {
      EnterNextLeaf();
      return;
    }
    const char* entry = Load(index);
    Tree::Pause::Point();
    if (leaf_->IsStill(word_)) {
      entry_ = entry;
      index_ = index;
      PrefetchEntry(index + kPrefetchDistance);
      return;
    }
    Settle<true, true>(KeyOfEntry(entry_), {leaf_, NodeWord(0), true}, 0);
    if (entry_ == nullptr) EnterNextLeaf();
  }

  void Prev() {
    const EntryKey key = KeyOfEntry(entry_);
    if (index_ > 0) {
      const char* entry = Load(index_ - 1);
      Tree::Pause::Point();
      if (leaf_->IsStill(word_)) {
        entry_ = entry;
        --index_;
        PrefetchEntry(index_ - kPrefetchDistance);
        return;
      }
      Settle<false, false>(key, {leaf_, NodeWord(0), true}, -1);
      if (entry_ != nullptr) return;
    }
    // The entry before it is in a leaf to the left, to which no link leads.
    Place place;
    entry_ = nullptr;
    if (tree_->template Descend<false>(key, &place)) Settle<false, false>(key, place, -1);
    PrefetchEntry(index_ - 1);
    PrefetchEntry(index_ - 2);
  }

  // Somewhere: each leaf is about as likely as any other. `random` returns 64 random bits.
  template <class Random>
  void SeekToRandom(const Random& random);

  // About how many entries are before the cursor, or all if it is not valid.
  double EstimateRank() const;

  // Entries between this cursor and a later one, if both stand in the same version of one leaf;
  // else -1.
  int DistanceInLeaf(const TreeCursor& later) const {
    if (!Valid() || !later.Valid() || leaf_ != later.leaf_) return -1;
    return word_.bits() == later.word_.bits() ? later.index_ - index_ : -1;
  }

 private:
  using Leaf = typename Tree::Leaf;
  using Inner = typename Tree::Inner;
  using Place = typename Tree::Place;
  static constexpr int kPrefetchDistance = 4;

  // Goes to the entry at the key's rank plus `offset` in the leaf that holds the key; entry_ is
  // null if that is outside of the leaf. kMove and kRank: whether the key itself counts as before.
  template <bool kMove, bool kRank>
  void Settle(const EntryKey& key, Place place, int offset) {
    for (;;) {
      tree_->template MoveRight<kMove>(key, &place);
      Take(place);
      index_ = tree_->template Rank<kRank>(*leaf_, word_, Ord(), key) + offset;
      entry_ = index_ >= 0 && index_ < count_ ? Load(index_) : nullptr;
      Tree::Pause::Point();
      if (leaf_->IsStill(word_)) return;
    }
  }

  void Take(const Place& place) {
    leaf_ = static_cast<const Leaf*>(place.node);
    word_ = place.word;
    count_ = word_.count();
    const auto& ord = leaf_->ord[word_.side()];
    for (int i = 0; i < Leaf::kOrdWords; ++i) ord_[i] = ord[i].load(std::memory_order_acquire);
    next_ =
        static_cast<const Leaf*>(leaf_->edge[word_.side()].next.load(std::memory_order_acquire));
  }

  void EnterNextLeaf() {
    entry_ = nullptr;
    if (next_ == nullptr) return;
    const Leaf* leaf = next_;
    do {
      Take({leaf, leaf->Load(), true});
      Tree::Pause::Point();
      entry_ = Load(0);
    } while (!leaf_->IsStill(word_));
    index_ = 0;
    for (int i = 1; i <= kPrefetchDistance; ++i) PrefetchEntry(i);
    if (next_ != nullptr) Tree::Prefetch(next_);
  }

  // One step of the way to the last entry: the node to go on with, or null when the cursor is
  // there.
  const Node* LastBelow(const Node* node) {
    const NodeWord word = node->Load();
    Tree::Pause::Point();
    const int side = word.side();
    const Node* next = node->edge[side].next.load(std::memory_order_acquire);
    if (next == nullptr && word.leaf()) {
      Take({node, word, true});
      index_ = count_ - 1;
      entry_ = Load(index_);
    } else if (next == nullptr) {
      next = static_cast<const Inner*>(node)->side[side].child[word.count() - 1].load(
          std::memory_order_acquire);
    }
    return node->IsStill(word) ? next : node;
  }

  const uint8_t* Ord() const { return reinterpret_cast<const uint8_t*>(ord_); }
  const char* Load(int index) const {
    return leaf_->entry[Ord()[index]].load(std::memory_order_acquire);
  }
  // Entries lie where the arena put them: apart.
  void PrefetchEntry(int index) const {
    if (index < 0 || index >= count_) return;
    const char* entry = Load(index);
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + 64);
  }

  const Tree* tree_;
  const Leaf* leaf_ = nullptr;
  const Leaf* next_ = nullptr;
  const char* entry_ = nullptr;
  NodeWord word_{0};
  int count_ = 0;
  int index_ = 0;
  uint64_t ord_[Leaf::kOrdWords] = {};
};

template <class Tree>
template <class Random>
void TreeCursor<Tree>::SeekToRandom(const Random& random) {
  entry_ = nullptr;
  const Node* node = tree_->root();
  while (node != nullptr) {
    const NodeWord word = node->Load();
    const int index = static_cast<int>(random() % static_cast<uint64_t>(word.count()));
    const Node* child = nullptr;
    if (word.leaf()) {
      Take({node, word, true});
      index_ = index;
      entry_ = Load(index);
    } else {
      child = static_cast<const Inner*>(node)->side[word.side()].child[index].load(
          std::memory_order_acquire);
    }
    if (node->IsStill(word)) node = child;
  }
}

// Takes all children of a node to be of one size, and so on down.
template <class Tree>
double TreeCursor<Tree>::EstimateRank() const {
  const auto total = static_cast<double>(tree_->entry_count());
  if (!Valid()) return total;
  const EntryKey key = KeyOfEntry(entry_);
  double before = 0;
  double share = 1;
  Place place{tree_->root(), NodeWord(0), false};
  for (;;) {
    tree_->template MoveRight<true>(key, &place);
    if (place.word.leaf()) break;
    const auto& inner = static_cast<const Inner&>(*place.node);
    const int index = tree_->template ChildIndex<true>(inner, place.word, key);
    const Node* child = inner.side[place.word.side()].child[index].load(std::memory_order_acquire);
    if (!inner.IsStill(place.word)) continue;
    share /= place.word.count();
    before += share * index;
    place = {child, NodeWord(0), false};
  }
  return total * (before + share * index_ / count_);
}

}  // namespace slipstream
