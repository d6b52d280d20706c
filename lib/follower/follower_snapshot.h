// What a host holds after GetSnapshot().
#pragma once

#include <cstdint>
#include <unordered_set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/follower/generation.h"
#include "rocksdb/db.h"
#include "rocksdb/snapshot.h"

namespace slipstream {

// A snapshot of one generation, which stays open for as long as this lives. Final, so that the type
// alone tells it from a snapshot of RocksDB.
//
// Threads: as rocksdb::Snapshot.
class FollowerSnapshot final : public rocksdb::Snapshot {
 public:
  // REQUIRES: `inner` is a snapshot of the database of `generation`. Takes it over.
  // generations: where `generation` comes from; tells the snapshots of two followers apart.
  FollowerSnapshot(const GenerationSet* generations, GenerationRef generation,
                   const rocksdb::Snapshot* inner)
      : generations_(generations),
        generation_(std::move(generation)),
        inner_(inner),
        sequence_(inner->GetSequenceNumber()),
        unix_time_(inner->GetUnixTime()),
        timestamp_(inner->GetTimestamp()) {}

  ~FollowerSnapshot() override { generation_->db()->ReleaseSnapshot(inner_); }

  FollowerSnapshot(const FollowerSnapshot&) = delete;
  FollowerSnapshot& operator=(const FollowerSnapshot&) = delete;

  rocksdb::SequenceNumber GetSequenceNumber() const override { return sequence_; }
  int64_t GetUnixTime() const override { return unix_time_; }
  uint64_t GetTimestamp() const override { return timestamp_; }

  const GenerationSet* generations() const { return generations_; }
  const GenerationRef& generation() const { return generation_; }
  const rocksdb::Snapshot* inner() const { return inner_; }

 private:
  const GenerationSet* const generations_;
  const GenerationRef generation_;
  const rocksdb::Snapshot* const inner_;
  const rocksdb::SequenceNumber sequence_;
  const int64_t unix_time_;
  const uint64_t timestamp_;
};

// The snapshots of a host that were not released yet, of whatever generations.
// Threads: any.
class FollowerSnapshots {
 public:
  // Takes one of what `generation` shows now. Returns nullptr where RocksDB does.
  // REQUIRES: `generation` holds one of `generations`.
  const rocksdb::Snapshot* New(const GenerationSet* generations, GenerationRef generation);

  // Does nothing with nullptr, or with what is not one of these.
  void Release(const rocksdb::Snapshot* snapshot);

  // Answers RocksDB's properties of snapshots, which a generation would answer for its own alone.
  // Returns false if `property` is another one.
  bool Property(const rocksdb::Slice& property, uint64_t* value) const;

 private:
  mutable absl::Mutex mutex_;
  std::unordered_set<const rocksdb::Snapshot*> live_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream
