// What changes what reads show: one thread at a time.
//
//              ImageEnd: generation opened                   barrier, sequence gap
//   no image -----------------------------> live ----------------------------------> rebuilding
//       ^                                    |  ^                                         |
//       |       error: a new stream          |  +------------- published -----------------+
//       +------------------------------------+
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/core/batch_gatherer.h"
#include "lib/core/rebuild_policy.h"
#include "lib/follower/follower_report.h"
#include "lib/follower/generation.h"
#include "lib/follower/generation_builder.h"
#include "lib/follower/image.h"
#include "lib/follower/progress.h"
#include "lib/follower/receive_queue.h"

namespace slipstream {

struct ApplierOptions {
  RebuildBudget budget;
  // Whether the options of a column family of the leader fit the host's. Default: they do.
  std::function<rocksdb::Status(const ColumnFamilyInfo&)> check_column_family;
  std::function<void(const std::vector<ColumnFamilyChange>&)> on_column_families_changed;
  std::function<void(const HistoryReset&)> on_history_reset;
  FollowerTimings* timings = nullptr;  // borrowed; null = nobody asks
};

// Starts the thread "ss-applier", which is woken by the queue and by the builder, and blocks on
// RocksDB writes and on generations that have to be built before it may go on. While it waits for
// the queue, the receiver applies small messages by itself. Should one show a sequence gap, it
// builds the generation too, and does not read meanwhile.
class Applier {
 public:
  // on_error: the stream cannot be used any more and a new one is needed; called on the applier's
  // thread. Everything else is borrowed.
  Applier(ApplierOptions options, GenerationSource source, ReceiveQueue* queue,
          GenerationSet* generations, Progress* progress,
          std::function<void(const rocksdb::Status&)> on_error);
  ~Applier();

  // REQUIRES: the queue was stopped.
  void Stop();

  // Adds the applier's counters to `stats`.
  void Fill(FollowerStats* stats) const;
  // For acknowledgements: the oldest cut that is in use.
  Position OldestCut() const;

 private:
  void Run();
  // Waits for items; what it waits for is its task's status. False after Stop.
  bool TakeItems(std::deque<ReceiveQueue::Item>* items);
  void Handle(ReceiveQueue::Item* item);
  // For the queue: applies it in the receiver's thread if it holds nothing but a few WAL records.
  bool HandleDirectly(ReceiveQueue::Item* item);
  void HandleStreamStart(const StreamStart& start);
  rocksdb::Status HandleInput(FollowerInput* input);
  rocksdb::Status BeginImage(const ImageBegin& begin);
  rocksdb::Status EndImage();
  rocksdb::Status ApplyImageFrames(const std::string& payload);
  rocksdb::Status ApplyFrames(const FollowerInput& input);
  rocksdb::Status ApplyFrame(const Frame& frame, uint64_t end_offset);
  rocksdb::Status AddRecord(rocksdb::Slice record);
  rocksdb::Status CheckColumnFamilyFrame(const Frame& frame) const;

  // Writes what was gathered to the current generation and publishes the position, which is at
  // `offset`.
  rocksdb::Status Commit(uint64_t offset);
  void CountImage();
  bool IsBuildDue() const;
  void MaybeStartBuild();
  // Publishes a finished build, if there is one.
  rocksdb::Status MaybePublish();
  rocksdb::Status Publish(GenerationBuilder::Built built);
  // Builds a generation at the present cut and publishes it before anything else is shown. What was
  // gathered is shown first, and does not need the new generation up to `before`.
  rocksdb::Status RebuildNow(uint64_t before);
  void Fail(const rocksdb::Status& status);
  absl::Duration IdleTimeout() const;

  const ApplierOptions options_;
  observe::TaskRegistry* const tasks_;
  TableMetadata* const table_metadata_;
  const std::string database_;
  ReceiveQueue* const queue_;
  GenerationSet* const generations_;
  Progress* const progress_;
  const std::function<void(const rocksdb::Status&)> on_error_;
  GenerationBuilder builder_;
  std::atomic<bool> stopping_{false};

  // Owned by the applier's thread, and by the receiver's while that applies.
  uint64_t direct_ = 0;            // messages that the receiver applied
  observe::Task* task_ = nullptr;  // null without a registry
  bool idle_ = true;               // as the task says
  Welcome welcome_;
  std::unique_ptr<Image> image_;    // at the position that was applied last
  std::unique_ptr<Image> staging_;  // an image that is being received
  BatchGatherer gatherer_;
  std::string record_buffer_;
  bool failed_ = false;          // until the next stream
  bool rebuild_needed_ = false;  // at the end of the present frame
  bool fresh_needed_ = false;    // the image cannot be continued
  uint64_t wal_bytes_since_publish_ = 0;
  uint64_t wal_bytes_since_cut_ = 0;   // of the last build
  uint64_t generation_wal_bytes_ = 0;  // replayed when the current generation was opened
  uint64_t manifest_moved_us_ = 0;     // since the cut of the current generation; 0 = it did not
  uint64_t manifest_moved_since_cut_us_ = 0;
  uint64_t cut_us_ = 0;        // when the last build began
  uint64_t build_cpu_us_ = 0;  // what it took
  uint64_t retry_build_at_us_ = 0;

  struct Counters {
    std::atomic<uint64_t> rebuilds{0}, rebuilds_for_barriers{0}, rebuild_us{0}, last_rebuild_us{0},
        images{0}, history_resets{0}, sequence_gaps{0}, corruptions{0}, records{0}, keys{0},
        writes{0}, bytes{0}, image_bytes{0}, prepared_transactions{0};
  };
  Counters counters_;
  mutable absl::Mutex cut_mutex_;
  Position fallback_cut_ ABSL_GUARDED_BY(cut_mutex_);

  std::thread thread_;
};

}  // namespace slipstream
