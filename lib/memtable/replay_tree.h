// A B-link tree of pointers to memtable entries: one writer, any number of readers that take no
// lock, insert only. This is the part that readers need; TreeWriter inserts, TreeCursor iterates.
//
// Nodes and entries are never freed before the tree is, so every pointer is safe to follow. What a
// reader takes from a node counts only if the node's word is unchanged afterwards (tree_node.h);
// if it is not, the writer has published something, so nobody ever waits for a preempted writer.
// Why no key is lost:
//
// * A node's low end never changes, its high end only moves down, and the node to the right is
//   complete before it is linked. So a parent that is out of date leads at most too far left, and
//   links lead right.
// * An insert that splits a node reaches all its parents before the next insert begins. So what a
//   parent leads to lies within the range that the child had when it was made, and may be compared
//   with the child's high end by windows. After a step over a link the keys are compared in full.
// * Only what lies between a node's low and high end is compared with the windows of its entries.
#pragma once

#include <atomic>
#include <cstdint>

#include "lib/memtable/entry_key.h"
#include "lib/memtable/tree_node.h"

namespace slipstream {

// Called between steps of readers and the writer; tests put a yield there.
struct NoPause {
  static void Point() {}
};

template <class OrderType, int kSlotsOfNode = 64, class PauseType = NoPause>
class ReplayTree {
 public:
  using Order = OrderType;
  using Pause = PauseType;
  static constexpr int kSlots = kSlotsOfNode;
  using Leaf = LeafNode<kSlots, Order::kHasWindows>;
  using Inner = InnerNode<kSlots, Order::kHasWindows>;
  using Windows = WindowSet<kSlots>;

  explicit ReplayTree(Order order) : order_(order) {}
  ReplayTree(const ReplayTree&) = delete;
  ReplayTree& operator=(const ReplayTree&) = delete;

  // A node that a reader came to, and the word it found there.
  struct Place {
    const Node* node = nullptr;
    NodeWord word{0};
    bool by_link = false;  // not from a parent
  };

  // The leaf for `key`, not validated: the caller does so after it has read the leaf. kInclusive:
  // the leaf whose range holds the key; else the one that holds what is just before it.
  // False if the tree is empty.
  template <bool kInclusive>
  bool Descend(const EntryKey& key, Place* place) const;

  // From a node whose range begins at or before the key to the one that holds it.
  template <bool kInclusive>
  void MoveRight(const EntryKey& key, Place* place) const;

  // How many of the node's first `count` entries are before the key, or, if kInclusive, not after
  // it. The result means something only if the leaf turns out to be unchanged.
  template <bool kInclusive>
  int Rank(const Leaf& leaf, NodeWord word, const uint8_t* ord, const EntryKey& key) const;
  template <bool kInclusive>
  int ChildIndex(const Inner& inner, NodeWord word, const EntryKey& key) const;

  const Order& order() const { return order_; }
  Node* root() const { return root_.load(std::memory_order_acquire); }
  // Stays the leftmost one.
  const Leaf* first_leaf() const {
    return static_cast<const Leaf*>(first_leaf_.load(std::memory_order_acquire));
  }
  uint64_t entry_count() const { return entry_count_.load(std::memory_order_acquire); }

  static uint64_t Window(const EntryKey& key, size_t skip) {
    return Order::kHasWindows ? WindowOf(key, skip) : 0;
  }

  // Fetches what a search reads, all at once: one wait for memory in place of one for each step.
  static void Prefetch(const Node* node) {
    const char* p = reinterpret_cast<const char*>(node);
    for (size_t i = 0; i < Leaf::kSearchBytes; i += 64) __builtin_prefetch(p + i);
  }

 private:
  template <class Tree, class Source>
  friend class TreeWriter;

  template <bool kInclusive>
  static bool Precedes(int comparison) {
    return kInclusive ? comparison <= 0 : comparison < 0;
  }
  template <bool kInclusive, class KeyAt>
  int Search(const std::atomic<uint64_t>* windows, int first, int count, size_t skip,
             const EntryKey& key, const KeyAt& entry_at, const uint8_t* ord) const;

  const Order order_;
  std::atomic<Node*> root_{nullptr};
  std::atomic<Node*> first_leaf_{nullptr};
  std::atomic<uint64_t> entry_count_{0};
};

template <class O, int S, class P>
template <bool kInclusive>
bool ReplayTree<O, S, P>::Descend(const EntryKey& key, Place* place) const {
  *place = {root(), NodeWord(0), false};
  if (place->node == nullptr) return false;
  for (;;) {
    MoveRight<kInclusive>(key, place);
    if (place->word.leaf()) return true;
    const auto& inner = static_cast<const Inner&>(*place->node);
    const int index = ChildIndex<kInclusive>(inner, place->word, key);
    const Node* child = inner.side[place->word.side()].child[index].load(std::memory_order_acquire);
    Pause::Point();
    if (!inner.IsStill(place->word)) continue;
    Prefetch(child);
    *place = {child, NodeWord(0), false};
  }
}

template <class O, int S, class P>
template <bool kInclusive>
void ReplayTree<O, S, P>::MoveRight(const EntryKey& key, Place* place) const {
  for (;;) {
    const Node& node = *place->node;
    place->word = node.Load();
    Pause::Point();
    const Node::Edge& edge = node.edge[place->word.side()];
    const char* high = edge.high.load(std::memory_order_acquire);
    if (high == nullptr) return;
    if (O::kHasWindows && !place->by_link) {
      const uint64_t high_window = edge.high_window.load(std::memory_order_acquire);
      const uint64_t window = Window(key, place->word.skip());
      if (window < high_window) return;
      if (window == high_window && !Precedes<kInclusive>(order_.Compare(high, key))) return;
    } else if (!Precedes<kInclusive>(order_.Compare(high, key))) {
      return;
    }
    const Node* next = edge.next.load(std::memory_order_acquire);
    Pause::Point();
    if (!node.IsStill(place->word)) continue;
    place->node = next;
    place->by_link = true;
  }
}

// A binary search. While the writer disturbs the node its steps may see anything that was ever
// stored in a slot, or a slot that was never used: nothing here may depend on their order.
template <class O, int S, class P>
template <bool kInclusive, class KeyAt>
int ReplayTree<O, S, P>::Search(const std::atomic<uint64_t>* windows, int first, int count,
                                size_t skip, const EntryKey& key, const KeyAt& entry_at,
                                const uint8_t* ord) const {
  const uint64_t window = Window(key, skip);
  int low = first;
  int n = count - first;
  while (n > 0) {
    const int half = n / 2;
    const int slot = ord == nullptr ? low + half : ord[low + half];
    const uint64_t w = O::kHasWindows ? windows[slot].load(std::memory_order_acquire) : window;
    bool before = w < window;
    if (w == window) {
      const char* entry = entry_at(slot);
      before = entry != nullptr && Precedes<kInclusive>(order_.Compare(entry, key));
    }
    low = before ? low + half + 1 : low;
    n = before ? n - half - 1 : half;
  }
  return low;
}

template <class O, int S, class P>
template <bool kInclusive>
int ReplayTree<O, S, P>::Rank(const Leaf& leaf, NodeWord word, const uint8_t* ord,
                              const EntryKey& key) const {
  const std::atomic<uint64_t>* windows = leaf.window;
  size_t skip = word.skip();
  if (word.closed()) {
    const auto* set =
        static_cast<const Windows*>(leaf.closed_windows.load(std::memory_order_acquire));
    windows = set->window;
    skip = set->skip;
  }
  return Search<kInclusive>(
      windows, 0, word.count(), skip, key,
      [&](int slot) { return leaf.entry[slot].load(std::memory_order_acquire); }, ord);
}

template <class O, int S, class P>
template <bool kInclusive>
int ReplayTree<O, S, P>::ChildIndex(const Inner& inner, NodeWord word, const EntryKey& key) const {
  const auto& side = inner.side[word.side()];
  return Search<kInclusive>(
             side.window, 1, word.count(), side.skip.load(std::memory_order_acquire), key,
             [&](int i) { return side.separator[i].load(std::memory_order_acquire); }, nullptr) -
         1;
}

}  // namespace slipstream
