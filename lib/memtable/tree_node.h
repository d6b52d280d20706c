// The nodes of ReplayTree.
//
// A node has two sides. The low bit of its generation says which one readers use; the writer fills
// the other one and then publishes it by storing a word with the next generation. So whatever
// could disturb a reader is stored after the word has changed, and a reader that finds the word as
// it was has read what belongs together.
//
// Every field that changes after the node was published is an atomic, stored with release and
// loaded with acquire. There are no fences and no read-modify-writes, so ThreadSanitizer models
// the tree exactly; on x86-64 these are plain moves.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace slipstream {

// The state of a node in one atomic word.
class NodeWord {
 public:
  // What the last insert into a leaf says about the next one, in order of confidence.
  enum Run : uint64_t { kNoRun = 0, kAscendingOnce = 1, kAscending = 2, kDescending = 3 };

  // Keys with a longer common prefix are compared in full more often.
  static constexpr size_t kMaxSkip = (1 << 14) - 1;

  constexpr explicit NodeWord(uint64_t bits) : bits_(bits) {}
  static constexpr NodeWord First(bool leaf, size_t skip, int count) {
    return NodeWord(uint64_t{skip} << kSkipShift | uint64_t{leaf} << kLeafShift |
                    static_cast<uint64_t>(count));
  }

  constexpr uint64_t bits() const { return bits_; }
  constexpr int count() const { return static_cast<int>(bits_ & kCountMask); }
  constexpr bool leaf() const { return (bits_ >> kLeafShift & 1) != 0; }
  constexpr bool closed() const { return (bits_ >> kClosedShift & 1) != 0; }
  constexpr int last() const { return static_cast<int>(bits_ >> kLastShift & kCountMask); }
  constexpr Run run() const { return static_cast<Run>(bits_ >> kRunShift & 3); }
  // Keys that may be in the node when it is made agree in their first skip() bytes. Never changes.
  constexpr size_t skip() const { return bits_ >> kSkipShift & kMaxSkip; }
  constexpr int side() const { return static_cast<int>(bits_ >> kGenerationShift & 1); }

  // The word that publishes the other side with `count` entries.
  constexpr NodeWord Next(int count) const {
    return NodeWord(((bits_ & ~kCountMask) + (uint64_t{1} << kGenerationShift)) |
                    static_cast<uint64_t>(count));
  }
  constexpr NodeWord WithRun(int last, Run run) const {
    return NodeWord((bits_ & ~(kCountMask << kLastShift | uint64_t{3} << kRunShift)) |
                    static_cast<uint64_t>(last) << kLastShift | uint64_t{run} << kRunShift);
  }
  constexpr NodeWord WithClosed() const { return NodeWord(bits_ | uint64_t{1} << kClosedShift); }

 private:
  // A reader would have to sleep through 2^32 changes of one node to be deceived.
  static constexpr int kGenerationShift = 32;
  static constexpr int kSkipShift = 18;
  static constexpr int kRunShift = 16;
  static constexpr int kLastShift = 9;
  static constexpr int kClosedShift = 8;
  static constexpr int kLeafShift = 7;
  static constexpr uint64_t kCountMask = 0x7f;

  uint64_t bits_;
};

// An entry is a pointer to what MemTableRep::Allocate returned.
using AtomicEntry = std::atomic<const char*>;

struct alignas(64) Node {
  // Where the range of the node ends, and the node that begins there. Both null in the last node
  // of a level. The window is that of `high` at the word's skip().
  struct Edge {
    AtomicEntry high{nullptr};
    std::atomic<uint64_t> high_window{0};
    std::atomic<Node*> next{nullptr};
  };

  explicit Node(NodeWord first) : word(first.bits()) {}

  NodeWord Load() const { return NodeWord(word.load(std::memory_order_acquire)); }
  bool IsStill(NodeWord seen) const { return Load().bits() == seen.bits(); }

  std::atomic<uint64_t> word;
  // Of a leaf whose word is closed(); see LeafNode.
  std::atomic<void*> closed_windows{nullptr};
  Edge edge[2];
};
static_assert(sizeof(Node) == 64);

// Windows that take the place of a leaf's own. Nodes at the end of the tree are made with an open
// range, so that no prefix can be skipped; once ascending keys have filled such a leaf, its range
// is known and its entries get windows that can tell them apart.
template <int kSlots>
struct WindowSet {
  size_t skip = 0;  // constant
  std::atomic<uint64_t> window[kSlots]{};
};

// kWindows: false for an order that has none; then they take no memory.
template <int kSlots, bool kWindows>
struct LeafNode : Node {
  static_assert(kSlots % 8 == 0 && kSlots >= 8 && kSlots <= 64);
  static constexpr int kOrdWords = kSlots / 8;
  // What a search reads before it looks at an entry.
  static constexpr size_t kSearchBytes = sizeof(Node) + 2 * kSlots + (kWindows ? 8 * kSlots : 0);

  LeafNode(size_t skip, int count) : Node(NodeWord::First(true, skip, count)) {}

  // A permutation of the slots, a byte each: first the live ones in the order of their entries,
  // then the free ones.
  std::atomic<uint64_t> ord[2][kOrdWords]{};
  std::atomic<uint64_t> window[kWindows ? kSlots : 1]{};
  AtomicEntry entry[kSlots]{};
};

template <int kSlots, bool kWindows>
struct InnerNode : Node {
  // child[i] holds the keys from separator[i] on. separator[0] is where the node's own range
  // begins, or null, meaning minus infinity. Windows are those of the separators at `skip`.
  struct Side {
    std::atomic<size_t> skip{0};
    std::atomic<uint64_t> window[kWindows ? kSlots : 1]{};
    AtomicEntry separator[kSlots]{};
    std::atomic<Node*> child[kSlots]{};
  };

  InnerNode(size_t skip, int count) : Node(NodeWord::First(false, skip, count)) {}

  Side side[2];
};

}  // namespace slipstream
