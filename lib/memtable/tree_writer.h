// The writer of a ReplayTree.
//
// Threads: one at a time; readers may run meanwhile.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <utility>

#include "lib/memtable/entry_key.h"
#include "lib/memtable/node_memory.h"
#include "lib/memtable/replay_tree.h"
#include "lib/memtable/tree_node.h"

namespace slipstream {

template <class Tree, class Source>
class TreeWriter {
 public:
  // source: gives memory for nodes; see NodeMemory.
  // Lifetime: `tree` and the source must outlive the writer.
  TreeWriter(Tree* tree, Source source) : tree_(*tree), memory_(std::move(source)) {}

  // Returns false, and does nothing, if the tree has an entry of the same key and sequence number.
  // The entry must stay as it is for as long as the tree is read.
  bool Insert(const char* entry);

 private:
  using Order = typename Tree::Order;
  using Leaf = typename Tree::Leaf;
  using Inner = typename Tree::Inner;
  using Windows = typename Tree::Windows;
  using Pause = typename Tree::Pause;
  static constexpr int kSlots = Tree::kSlots;
  // Of inner nodes: with 8 slots, half full, enough for 4^15 leaves.
  static constexpr int kMaxLevels = 16;
  // A longer prefix is skipped when it is at least so much longer: with the same one, windows can
  // be copied, and reading the entries is what makes new ones expensive.
  static constexpr size_t kMinSkipGain = 4;

  // What splits an inner node in two: its children and the new one.
  struct Children {
    int count = 0;
    const char* separator[kSlots + 1];
    Node* child[kSlots + 1];
  };

  template <class T>
  static T Get(const std::atomic<T>& field) {
    return field.load(std::memory_order_acquire);
  }
  template <class T>
  static void Set(std::atomic<T>* field, std::type_identity_t<T> value) {
    Pause::Point();
    field->store(value, std::memory_order_release);
  }
  static uint64_t WindowOfEntry(const char* entry, size_t skip) {
    return entry == nullptr ? 0 : Tree::Window(KeyOfEntry(entry), skip);
  }
  static size_t SkipFor(const char* low, const char* high);
  static void SetEdge(Node* node, int side, const char* high, Node* next);
  static void ReadOrd(const Leaf& leaf, uint8_t* ord);
  static void SetOrd(Leaf* leaf, int side, const uint8_t* ord);
  static void SetEntry(Leaf* leaf, NodeWord word, int slot, const char* entry);

  void Begin(const char* entry);
  bool FingerHolds(const EntryKey& key) const;
  Leaf* Find(const EntryKey& key);
  void InsertInLeaf(Leaf* leaf, int position, const char* entry);
  void SplitLeaf(Leaf* leaf, int position, const char* entry);
  Leaf* NewRightLeaf(const Leaf& left, const uint8_t* ord, int cut, const char* alone);
  NodeWord Close(Leaf* leaf, NodeWord next, const uint8_t* ord, const char* high);
  void AddToParent(int level, Node* left, Node* right, const char* separator);
  void InsertChild(Inner* inner, int position, Node* child, const char* separator);
  void SplitInner(int level, Inner* inner, int position, Node* child, const char* separator);
  static void SetChildren(typename Inner::Side* side, size_t skip, const Children& from, int begin,
                          int end);

  Tree& tree_;
  NodeMemory<Source> memory_;

  // Found by the last descent: inner nodes from the leaf's parent upwards, and where the leaf's
  // range begins (null: minus infinity).
  Inner* path_[kMaxLevels] = {};
  int levels_ = 0;
  Leaf* finger_ = nullptr;
  const char* finger_low_ = nullptr;
  // The last two inserts went to the same leaf, so the next one is worth a look there.
  bool finger_is_hot_ = false;
};

template <class Tree, class Source>
bool TreeWriter<Tree, Source>::Insert(const char* entry) {
  const EntryKey key = KeyOfEntry(entry);
  if (tree_.root() == nullptr) {
    Begin(entry);
    return true;
  }
  if (finger_is_hot_) finger_is_hot_ = FingerHolds(key);
  Leaf* leaf = finger_is_hot_ ? finger_ : Find(key);
  const NodeWord word = leaf->Load();
  uint8_t ord[kSlots];
  ReadOrd(*leaf, ord);
  const int position = tree_.template Rank<false>(*leaf, word, ord, key);
  if (position < word.count() && tree_.order().Compare(Get(leaf->entry[ord[position]]), key) == 0) {
    return false;
  }
  if (word.count() < kSlots) {
    InsertInLeaf(leaf, position, entry);
  } else {
    if (finger_is_hot_) Find(key);  // for the path
    SplitLeaf(leaf, position, entry);
    finger_ = nullptr;
    finger_is_hot_ = false;
  }
  Set(&tree_.entry_count_, Get(tree_.entry_count_) + 1);
  return true;
}

template <class Tree, class Source>
void TreeWriter<Tree, Source>::Begin(const char* entry) {
  Leaf* leaf = memory_.template New<Leaf>(0, 1);
  uint8_t ord[kSlots];
  for (int i = 0; i < kSlots; ++i) ord[i] = static_cast<uint8_t>(i);
  SetOrd(leaf, 0, ord);
  SetEntry(leaf, leaf->Load(), 0, entry);
  Set(&tree_.first_leaf_, leaf);
  Set(&tree_.root_, leaf);
  Set(&tree_.entry_count_, 1);
}

template <class Tree, class Source>
bool TreeWriter<Tree, Source>::FingerHolds(const EntryKey& key) const {
  const Order& order = tree_.order();
  const char* high = Get(finger_->edge[finger_->Load().side()].high);
  return (high == nullptr || order.Compare(high, key) > 0) &&
         (finger_low_ == nullptr || order.Compare(finger_low_, key) <= 0);
}

template <class Tree, class Source>
typename TreeWriter<Tree, Source>::Leaf* TreeWriter<Tree, Source>::Find(const EntryKey& key) {
  Inner* down[kMaxLevels];
  int depth = 0;
  const char* low = nullptr;
  Node* node = tree_.root();
  for (NodeWord word = node->Load(); !word.leaf(); word = node->Load()) {
    auto* inner = static_cast<Inner*>(node);
    down[depth++] = inner;
    const int index = tree_.template ChildIndex<true>(*inner, word, key);
    const auto& side = inner->side[word.side()];
    if (const char* separator = Get(side.separator[index]); separator != nullptr) low = separator;
    node = Get(side.child[index]);
    Tree::Prefetch(node);
  }
  levels_ = depth;
  for (int i = 0; i < depth; ++i) path_[i] = down[depth - 1 - i];
  auto* leaf = static_cast<Leaf*>(node);
  finger_is_hot_ = leaf == finger_;
  finger_ = leaf;
  finger_low_ = low;
  return leaf;
}

template <class Tree, class Source>
size_t TreeWriter<Tree, Source>::SkipFor(const char* low, const char* high) {
  if (!Order::kHasWindows || low == nullptr || high == nullptr) return 0;
  return std::min(CommonPrefix(KeyOfEntry(low), KeyOfEntry(high)), NodeWord::kMaxSkip);
}

template <class Tree, class Source>
void TreeWriter<Tree, Source>::SetEdge(Node* node, int side, const char* high, Node* next) {
  Node::Edge* edge = &node->edge[side];
  Set(&edge->high, high);
  Set(&edge->high_window, WindowOfEntry(high, node->Load().skip()));
  Set(&edge->next, next);
}

template <class Tree, class Source>
void TreeWriter<Tree, Source>::ReadOrd(const Leaf& leaf, uint8_t* ord) {
  const auto& from = leaf.ord[leaf.Load().side()];
  for (int i = 0; i < Leaf::kOrdWords; ++i) {
    const uint64_t eight = Get(from[i]);
    std::memcpy(ord + 8 * i, &eight, 8);
  }
}

template <class Tree, class Source>
void TreeWriter<Tree, Source>::SetOrd(Leaf* leaf, int side, const uint8_t* ord) {
  for (int i = 0; i < Leaf::kOrdWords; ++i) {
    uint64_t eight = 0;
    std::memcpy(&eight, ord + 8 * i, 8);
    Set(&leaf->ord[side][i], eight);
  }
}

template <class Tree, class Source>
void TreeWriter<Tree, Source>::SetEntry(Leaf* leaf, NodeWord word, int slot, const char* entry) {
  if constexpr (Order::kHasWindows) {
    std::atomic<uint64_t>* windows = leaf->window;
    size_t skip = word.skip();
    if (word.closed()) {
      auto* set = static_cast<Windows*>(Get(leaf->closed_windows));
      windows = set->window;
      skip = set->skip;
    }
    Set(&windows[slot], WindowOfEntry(entry, skip));
  }
  Set(&leaf->entry[slot], entry);
}

template <class Tree, class Source>
void TreeWriter<Tree, Source>::InsertInLeaf(Leaf* leaf, int position, const char* entry) {
  const NodeWord word = leaf->Load();
  const int count = word.count();
  const int other = 1 - word.side();
  uint8_t ord[kSlots];
  ReadOrd(*leaf, ord);
  const uint8_t slot = ord[count];
  std::memmove(ord + position + 1, ord + position, static_cast<size_t>(count - position));
  ord[position] = slot;

  NodeWord::Run run = NodeWord::kNoRun;
  if (position == word.last() + 1) {
    run = word.run() == NodeWord::kNoRun || word.run() == NodeWord::kDescending
              ? NodeWord::kAscendingOnce
              : NodeWord::kAscending;
  } else if (position == word.last()) {
    run = NodeWord::kDescending;
  }
  const Node::Edge& edge = leaf->edge[word.side()];
  Node::Edge* other_edge = &leaf->edge[other];
  SetEntry(leaf, word, slot, entry);
  SetOrd(leaf, other, ord);
  Set(&other_edge->high, Get(edge.high));
  Set(&other_edge->high_window, Get(edge.high_window));
  Set(&other_edge->next, Get(edge.next));
  Set(&leaf->word, word.Next(count + 1).WithRun(position, run).bits());
}

// The leaf is full. The right half is complete before the left one is published with fewer entries;
// then the parents. A slot that the left one gave up may be used again only after that.
template <class Tree, class Source>
void TreeWriter<Tree, Source>::SplitLeaf(Leaf* leaf, int position, const char* entry) {
  const NodeWord word = leaf->Load();
  const bool ascending = word.run() == NodeWord::kAscending && position == word.last() + 1;
  const bool descending = word.run() == NodeWord::kDescending && position == word.last();
  const bool append = ascending && position == kSlots;
  int cut = kSlots / 2;
  if (ascending || descending) cut = std::max(position, 1);

  uint8_t ord[kSlots];
  ReadOrd(*leaf, ord);
  Leaf* right = NewRightLeaf(*leaf, ord, cut, append ? entry : nullptr);
  const char* separator = append ? entry : Get(leaf->entry[ord[cut]]);
  if (!append && position > cut) InsertInLeaf(right, position - cut, entry);

  const int other = 1 - word.side();
  NodeWord next = word.Next(cut).WithRun(ascending ? cut - 1 : 0,
                                         ascending ? NodeWord::kAscending : NodeWord::kNoRun);
  SetOrd(leaf, other, ord);
  SetEdge(leaf, other, separator, right);
  if (append) next = Close(leaf, next, ord, separator);
  Set(&leaf->word, next.bits());
  AddToParent(0, leaf, right, separator);
  if (position <= cut && !append) InsertInLeaf(leaf, position, entry);
}

// A leaf with the entries of `left` from `cut` on or, if there are none, with `alone`.
template <class Tree, class Source>
typename TreeWriter<Tree, Source>::Leaf* TreeWriter<Tree, Source>::NewRightLeaf(const Leaf& left,
                                                                                const uint8_t* ord,
                                                                                int cut,
                                                                                const char* alone) {
  const NodeWord word = left.Load();
  const Node::Edge& edge = left.edge[word.side()];
  const char* high = Get(edge.high);
  const char* low = alone != nullptr ? alone : Get(left.entry[ord[cut]]);
  const std::atomic<uint64_t>* windows = left.window;
  size_t skip = word.skip();
  if (word.closed()) {
    const auto* set = static_cast<const Windows*>(Get(left.closed_windows));
    windows = set->window;
    skip = set->skip;
  }
  const size_t longer = SkipFor(low, high);
  const bool copy = longer < skip + kMinSkipGain;
  if (!copy) skip = longer;

  const int count = alone != nullptr ? 1 : kSlots - cut;
  Leaf* right = memory_.template New<Leaf>(skip, count);
  uint8_t right_ord[kSlots];
  for (int i = 0; i < kSlots; ++i) right_ord[i] = static_cast<uint8_t>(i);
  SetOrd(right, 0, right_ord);
  SetEdge(right, 0, high, Get(edge.next));
  if (alone != nullptr) {
    SetEntry(right, right->Load(), 0, alone);
    Set(&right->word, right->Load().WithRun(0, NodeWord::kAscending).bits());
    return right;
  }
  for (int i = 0; i < count; ++i) {
    const uint8_t slot = ord[cut + i];
    const char* entry = Get(left.entry[slot]);
    if constexpr (Order::kHasWindows) {
      Set(&right->window[i], copy ? Get(windows[slot]) : WindowOfEntry(entry, skip));
    }
    Set(&right->entry[i], entry);
  }
  return right;
}

// Gives a leaf that ascending keys have filled windows at the prefix that its range now has in
// common; returns the word that says so.
template <class Tree, class Source>
NodeWord TreeWriter<Tree, Source>::Close(Leaf* leaf, NodeWord next, const uint8_t* ord,
                                         const char* high) {
  const size_t skip = SkipFor(finger_low_, high);
  if (next.closed() || skip < next.skip() + kMinSkipGain) return next;
  Windows* set = memory_.template New<Windows>();
  set->skip = skip;
  for (int i = 0; i < next.count(); ++i) {
    Set(&set->window[ord[i]], WindowOfEntry(Get(leaf->entry[ord[i]]), skip));
  }
  Set(&leaf->closed_windows, set);
  return next.WithClosed();
}

// `right` was split off `left`, which is the node below path_[level].
template <class Tree, class Source>
void TreeWriter<Tree, Source>::AddToParent(int level, Node* left, Node* right,
                                           const char* separator) {
  if (level == levels_) {
    Children children;
    children.count = 2;
    children.separator[0] = nullptr;
    children.child[0] = left;
    children.separator[1] = separator;
    children.child[1] = right;
    Inner* root = memory_.template New<Inner>(0, 2);
    SetChildren(&root->side[0], 0, children, 0, 2);
    Set(&tree_.root_, root);
    return;
  }
  Inner* parent = path_[level];
  const NodeWord word = parent->Load();
  const int position = 1 + tree_.template ChildIndex<true>(*parent, word, KeyOfEntry(separator));
  if (word.count() < kSlots) {
    InsertChild(parent, position, right, separator);
  } else {
    SplitInner(level, parent, position, right, separator);
  }
}

template <class Tree, class Source>
void TreeWriter<Tree, Source>::InsertChild(Inner* inner, int position, Node* child,
                                           const char* separator) {
  const NodeWord word = inner->Load();
  const int other = 1 - word.side();
  const auto& from = inner->side[word.side()];
  auto& to = inner->side[other];
  const size_t skip = Get(from.skip);
  Set(&to.skip, skip);
  for (int i = 0; i <= word.count(); ++i) {
    const int old = i < position ? i : i - 1;
    const bool added = i == position;
    if constexpr (Order::kHasWindows) {
      Set(&to.window[i], added ? WindowOfEntry(separator, skip) : Get(from.window[old]));
    }
    Set(&to.separator[i], added ? separator : Get(from.separator[old]));
    Set(&to.child[i], added ? child : Get(from.child[old]));
  }
  const Node::Edge& edge = inner->edge[word.side()];
  SetEdge(inner, other, Get(edge.high), Get(edge.next));
  Set(&inner->word, word.Next(word.count() + 1).bits());
}

template <class Tree, class Source>
void TreeWriter<Tree, Source>::SplitInner(int level, Inner* inner, int position, Node* child,
                                          const char* separator) {
  const NodeWord word = inner->Load();
  const int other = 1 - word.side();
  const auto& from = inner->side[word.side()];
  Children all;
  all.count = kSlots + 1;
  for (int i = 0; i < all.count; ++i) {
    const int old = i < position ? i : i - 1;
    all.separator[i] = i == position ? separator : Get(from.separator[old]);
    all.child[i] = i == position ? child : Get(from.child[old]);
  }
  // Ascending keys leave full nodes behind. What is only last in its node does not count: a run of
  // splits there would make a node for each child.
  const bool append = position == kSlots && Get(child->edge[child->Load().side()].next) == nullptr;
  const int cut = append ? kSlots : all.count / 2;
  const Node::Edge& edge = inner->edge[word.side()];
  const char* high = Get(edge.high);
  const char* middle = all.separator[cut];

  const size_t right_skip = SkipFor(middle, high);
  Inner* right = memory_.template New<Inner>(right_skip, all.count - cut);
  SetChildren(&right->side[0], right_skip, all, cut, all.count);
  SetEdge(right, 0, high, Get(edge.next));

  SetChildren(&inner->side[other], SkipFor(all.separator[0], middle), all, 0, cut);
  SetEdge(inner, other, middle, right);
  Set(&inner->word, word.Next(cut).bits());
  AddToParent(level + 1, inner, right, middle);
}

template <class Tree, class Source>
void TreeWriter<Tree, Source>::SetChildren(typename Inner::Side* side, size_t skip,
                                           const Children& from, int begin, int end) {
  Set(&side->skip, skip);
  for (int i = begin; i < end; ++i) {
    if constexpr (Order::kHasWindows) {
      Set(&side->window[i - begin], WindowOfEntry(from.separator[i], skip));
    }
    Set(&side->separator[i - begin], from.separator[i]);
    Set(&side->child[i - begin], from.child[i]);
  }
}

}  // namespace slipstream
