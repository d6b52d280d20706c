#include "slipstream/replay_memtable.h"

#include <cmath>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <unordered_set>

#include "lib/memtable/entry_key.h"
#include "lib/memtable/replay_tree.h"
#include "lib/memtable/tree_cursor.h"
#include "lib/memtable/tree_writer.h"
#include "rocksdb/utilities/object_registry.h"

namespace slipstream {
namespace {

using rocksdb::Allocator;
using rocksdb::Arena;
using rocksdb::KeyHandle;
using rocksdb::LookupKey;
using rocksdb::MemTableRep;
using rocksdb::Slice;
using rocksdb::Status;

constexpr char kFactoryName[] = "ReplayMemTableFactory";
constexpr char kBytewiseSuffix[] = ":bytewise";

// The order of a column family's own comparator.
class ComparatorOrder {
 public:
  static constexpr bool kHasWindows = false;

  // Lifetime: `compare` must outlive the order.
  explicit ComparatorOrder(const MemTableRep::KeyComparator& compare) : compare_(&compare) {}

  int Compare(const char* entry, const EntryKey& key) const {
    return (*compare_)(entry, Slice(key.data, key.size + kTagSize));
  }

 private:
  const MemTableRep::KeyComparator* compare_;
};

EntryKey KeyOf(const Slice& internal_key) {
  return KeyOfInternalKey(internal_key.data(), internal_key.size());
}

// Without members on the heap: of an iterator in an arena only the destructor is called.
template <class Tree>
class TreeIterator final : public MemTableRep::Iterator {
 public:
  explicit TreeIterator(const Tree* tree) : cursor_(tree) {}

  bool Valid() const override { return cursor_.Valid(); }
  const char* key() const override { return cursor_.entry(); }
  void Next() override { cursor_.Next(); }
  void Prev() override { cursor_.Prev(); }
  void Seek(const Slice& internal_key, const char* memtable_key) override {
    cursor_.Seek(memtable_key != nullptr ? KeyOfEntry(memtable_key) : KeyOf(internal_key));
  }
  void SeekForPrev(const Slice& internal_key, const char* memtable_key) override {
    cursor_.SeekForPrev(memtable_key != nullptr ? KeyOfEntry(memtable_key) : KeyOf(internal_key));
  }
  void RandomSeek() override { cursor_.SeekToRandom(NextRandom); }
  void SeekToFirst() override { cursor_.SeekToFirst(); }
  void SeekToLast() override { cursor_.SeekToLast(); }

  // splitmix64: which entries are sampled need not differ from run to run.
  static uint64_t NextRandom() {
    thread_local uint64_t state = 0;
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  TreeCursor<Tree> cursor_;
};

// The parts of MemTableRep that those have to define who only want what its base class does.
class BareMemTable : public MemTableRep {
 public:
  explicit BareMemTable(Allocator* allocator) : MemTableRep(allocator) {}

  void Insert(KeyHandle) override {}
  bool Contains(const char*) const override { return false; }
  size_t ApproximateMemoryUsage() override { return 0; }
  Iterator* GetIterator(Arena*) override { return nullptr; }
};

// Memory from an arena, whose type the public headers only name. MemTableRep::Allocate takes it
// from the rep's allocator, and an Arena is an Allocator in the first place.
class ArenaMemory final : public BareMemTable {
 public:
  explicit ArenaMemory(Arena* arena) : BareMemTable(reinterpret_cast<Allocator*>(arena)) {}

  void* Take(size_t bytes, size_t alignment) {
    char* memory = nullptr;
    Allocate(bytes + alignment - 1, &memory);
    const auto start = reinterpret_cast<uintptr_t>(memory);
    return reinterpret_cast<void*>((start + alignment - 1) / alignment * alignment);
  }
};

// Reads at a LookupKey, whose type the public headers only name too. MemTableRep::Get knows it, and
// asks for an iterator; this one is the caller's.
class LookupMemTable final : public BareMemTable {
 public:
  explicit LookupMemTable(Iterator* iterator) : BareMemTable(nullptr), iterator_(iterator) {}
  Iterator* GetDynamicPrefixIterator(Arena*) override { return iterator_; }

 private:
  Iterator* const iterator_;
};

template <class Order>
class ReplayMemTable final : public MemTableRep {
 public:
  ReplayMemTable(Order order, Allocator* allocator)
      : MemTableRep(allocator), tree_(order), writer_(&tree_, NodeSource{this}) {}

  void Insert(KeyHandle handle) override { InsertKey(handle); }
  bool InsertKey(KeyHandle handle) override {
    return writer_.Insert(static_cast<const char*>(handle));
  }
  // The tree remembers by itself where it inserted last.
  bool InsertKeyWithHint(KeyHandle handle, void**) override { return InsertKey(handle); }

  bool Contains(const char* entry) const override {
    const EntryKey key = KeyOfEntry(entry);
    TreeCursor<Tree> cursor(&tree_);
    cursor.Seek(key);
    return cursor.Valid() && tree_.order().Compare(cursor.entry(), key) == 0;
  }

  void Get(const LookupKey& key, void* callback_args,
           bool (*callback)(void* arg, const char* entry)) override {
    TreeIterator<Tree> iterator(&tree_);
    LookupMemTable lookup(&iterator);
    lookup.MemTableRep::Get(key, callback_args, callback);
  }

  uint64_t ApproximateNumEntries(const Slice& start, const Slice& end) override {
    TreeCursor<Tree> first(&tree_);
    TreeCursor<Tree> last(&tree_);
    first.Seek(KeyOf(start));
    last.Seek(KeyOf(end));
    if (const int distance = first.DistanceInLeaf(last); distance >= 0) {
      return static_cast<uint64_t>(distance);
    }
    const double entries = last.EstimateRank() - first.EstimateRank();
    return entries <= 0 ? 0 : static_cast<uint64_t>(std::llround(entries));
  }

  void UniqueRandomSample(const uint64_t num_entries, const uint64_t target_sample_size,
                          std::unordered_set<const char*>* entries) override;

  // All memory is the allocator's.
  size_t ApproximateMemoryUsage() override { return 0; }

  Iterator* GetIterator(Arena* arena) override {
    if (arena == nullptr) return new TreeIterator<Tree>(&tree_);
    void* memory = ArenaMemory(arena).Take(sizeof(TreeIterator<Tree>), alignof(TreeIterator<Tree>));
    return new (memory) TreeIterator<Tree>(&tree_);
  }

 private:
  using Tree = ReplayTree<Order>;
  struct NodeSource {
    char* operator()(size_t bytes) const {
      char* memory = nullptr;
      rep->Allocate(bytes, &memory);
      return memory;
    }
    MemTableRep* rep;
  };

  Tree tree_;
  TreeWriter<Tree, NodeSource> writer_;
};

template <class Order>
void ReplayMemTable<Order>::UniqueRandomSample(const uint64_t num_entries,
                                               const uint64_t target_sample_size,
                                               std::unordered_set<const char*>* entries) {
  entries->clear();
  TreeIterator<Tree> iterator(&tree_);
  // A large part is taken on one way through; each entry then has an equal chance.
  if (target_sample_size > static_cast<uint64_t>(std::sqrt(static_cast<double>(num_entries)))) {
    uint64_t left = num_entries;
    uint64_t wanted = target_sample_size;
    for (iterator.SeekToFirst(); iterator.Valid() && wanted > 0; iterator.Next()) {
      if (left == 0 || TreeIterator<Tree>::NextRandom() % left < wanted) {
        entries->insert(iterator.key());
        --wanted;
      }
      if (left > 0) --left;
    }
    return;
  }
  // A few are drawn; five attempts each find enough that are not drawn yet.
  for (uint64_t i = 0; i < 5 * target_sample_size && entries->size() < target_sample_size; ++i) {
    iterator.RandomSeek();
    if (!iterator.Valid()) return;
    entries->insert(iterator.key());
  }
}

class ReplayMemTableFactory final : public rocksdb::MemTableRepFactory {
 public:
  explicit ReplayMemTableFactory(bool bytewise) : bytewise_(bytewise) {}

  const char* Name() const override { return kFactoryName; }
  std::string GetId() const override {
    return std::string(kFactoryName) + (bytewise_ ? kBytewiseSuffix : "");
  }

  using MemTableRepFactory::CreateMemTableRep;
  MemTableRep* CreateMemTableRep(const MemTableRep::KeyComparator& compare, Allocator* allocator,
                                 const rocksdb::SliceTransform*, rocksdb::Logger*) override {
    if (bytewise_) return new ReplayMemTable<BytewiseOrder>(BytewiseOrder(), allocator);
    return new ReplayMemTable<ComparatorOrder>(ComparatorOrder(compare), allocator);
  }

  bool CanHandleDuplicatedKey() const override { return true; }

 private:
  const bool bytewise_;
};

// As every ColumnFamilyOptions has it unless a host has changed it.
bool IsDefault(const rocksdb::MemTableRepFactory* factory) {
  return factory == nullptr || factory->GetId() == rocksdb::SkipListFactory::kClassName();
}

}  // namespace

void RegisterReplayMemTable() {
  static std::once_flag once;
  std::call_once(once, [] {
    const auto entry =
        rocksdb::ObjectLibrary::PatternEntry(kFactoryName, true).AddSuffix(kBytewiseSuffix);
    rocksdb::ObjectLibrary::Default()->AddFactory<rocksdb::MemTableRepFactory>(
        entry, [](const std::string& id, std::unique_ptr<rocksdb::MemTableRepFactory>* guard,
                  std::string*) {
          *guard = std::make_unique<ReplayMemTableFactory>(id.ends_with(kBytewiseSuffix));
          return guard->get();
        });
  });
}

std::shared_ptr<rocksdb::MemTableRepFactory> NewReplayMemTableFactory(
    const ReplayMemTableOptions& options) {
  RegisterReplayMemTable();
  return std::make_shared<ReplayMemTableFactory>(options.comparator ==
                                                 rocksdb::BytewiseComparator());
}

Status UseReplayMemTable(rocksdb::ColumnFamilyOptions* options) {
  const rocksdb::MemTableRepFactory* factory = options->memtable_factory.get();
  if (!IsDefault(factory) && std::string(factory->Name()) != kFactoryName) {
    return Status::InvalidArgument("memtable_factory = " + factory->GetId() +
                                   ", expected RocksDB's default for a replay memtable");
  }
  options->memtable_factory = NewReplayMemTableFactory({options->comparator});
  return Status::OK();
}

}  // namespace slipstream
