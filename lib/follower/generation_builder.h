// Opens generations from cuts of the image, in the background.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/follower/column_family_slots.h"
#include "lib/follower/generation.h"
#include "lib/follower/image.h"
#include "lib/follower/object_map.h"
#include "lib/follower/option_match.h"
#include "lib/follower/table_metadata.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "slipstream/observe/task.h"

namespace slipstream {

// What the host gave, for every generation.
struct GenerationSource {
  std::string database;
  rocksdb::DBOptions db_options;
  HostColumnFamilies column_families;
  std::shared_ptr<ObjectPool> pool;
  ColumnFamilySlots* slots = nullptr;
  // Of index and filter blocks, for all generations; borrowed, null = each has its own.
  TableMetadata* table_metadata = nullptr;
  // For the tasks of builds; borrowed, null = none.
  observe::TaskRegistry* tasks = nullptr;
};

// Writes a joined batch to a generation; its entries get the sequence numbers that follow.
[[nodiscard]] rocksdb::Status WriteToGeneration(rocksdb::DB* db, std::string batch);

// Opens `cut`. On success the generation stands at exactly cut.position.sequence.
// Returns InvalidArgument if options do not fit the database; Corruption or IOError if the cut
// cannot be opened.
[[nodiscard]] rocksdb::Status OpenGeneration(const GenerationSource& source, const ImageCut& cut,
                                             uint64_t id, GenerationContents* out);

// One generation at a time: opened by the thread "ss-builder", which also applies what has arrived
// since the cut, until little is left; the applier does the rest and publishes it. The thread has a
// low priority: the applier and readers go first.
//
//   idle --Start--> building --(opened and caught up)--> ready --Take--> idle
//                      +-----Discard--> building for nothing ------------->+
//
// Threads: all but the constructor, the destructor and Stop from the applier.
class GenerationBuilder {
 public:
  // Bytes that may wait for a generation in the making before the applier has to wait for it.
  static constexpr uint64_t kMaxBacklogBytes = 256ull << 20;

  // on_ready: called on the builder's thread when a build has ended, well or not.
  GenerationBuilder(GenerationSource source, std::function<void()> on_ready,
                    uint64_t max_backlog_bytes = kMaxBacklogBytes);
  ~GenerationBuilder();
  void Stop();

  // REQUIRES: !busy().
  void Start(ImageCut cut);
  // What is being built, if anything, is of no use any more: its result is thrown away.
  void Discard();
  // True from Start until Take, or until what was discarded is gone.
  bool busy() const;
  bool ready() const;
  uint64_t backlog_bytes() const;
  // A batch that was applied to the current generation since the cut, for what is being built, if
  // anything. Blocks while as much as the limit waits; `task`, which may be null, says so then.
  void Add(const std::string& batch, observe::Task* task = nullptr);

  struct Built {
    rocksdb::Status status;
    GenerationContents contents;
    uint64_t wal_bytes = 0;           // that it replayed
    std::deque<std::string> backlog;  // what is still to be applied
    uint64_t micros = 0;              // wall time of the build
    uint64_t cpu_micros = 0;          // of the thread that built
    // What is left of WALs that it had to trim first.
    std::vector<TrimmedWal> trimmed;
  };
  // The result; empty if there is none yet.
  std::optional<Built> Take();

  // Builds on the calling thread, which waits for the result and so does not leave it to a thread
  // of low priority.
  Built BuildNow(ImageCut cut);

 private:
  void Run();
  Built Build(ImageCut cut, uint64_t id, bool catch_up);
  rocksdb::Status CatchUp(rocksdb::DB* db, observe::Task* task);

  const GenerationSource source_;
  const std::function<void()> on_ready_;
  const uint64_t max_backlog_bytes_;
  std::thread thread_;

  std::atomic<observe::TaskId> build_task_{0};  // the last one

  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<ImageCut> cut_ ABSL_GUARDED_BY(mutex_);  // asked for
  bool building_ ABSL_GUARDED_BY(mutex_) = false;
  bool discarded_ ABSL_GUARDED_BY(mutex_) = false;  // what is being built
  std::optional<Built> built_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> backlog_ ABSL_GUARDED_BY(mutex_);
  uint64_t backlog_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace slipstream
