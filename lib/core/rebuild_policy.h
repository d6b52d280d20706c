// When a follower opens a new generation: by budget, not at each flush, because opening one
// replays every unflushed WAL.
// Pure. Threads: thread-compatible.
#pragma once

#include <algorithm>
#include <cstdint>

namespace slipstream {

struct RebuildBudget {
  uint64_t flushed_bytes = 0;  // see FollowerOptions::rebuild_flushed_bytes
  uint64_t interval_us = 0;    // see FollowerOptions::rebuild_interval_ms
};

struct RebuildInputs {
  // WAL bytes in the current generation's memtables.
  uint64_t generation_wal_bytes = 0;
  // WAL bytes that a generation opened now would have to replay.
  uint64_t live_wal_bytes = 0;
  // Since the first change of the manifest that the current generation does not show; 0 = none.
  uint64_t manifest_moved_us_ago = 0;
};

// Opening costs about as much as applying `live_wal_bytes` did, and sheds the difference; when that
// is at least as much, rebuilding costs at most once what applying costs.
inline bool ShouldRebuild(const RebuildBudget& budget, const RebuildInputs& in) {
  const uint64_t shed =
      in.generation_wal_bytes > in.live_wal_bytes ? in.generation_wal_bytes - in.live_wal_bytes : 0;
  if (shed >= std::max(budget.flushed_bytes, in.live_wal_bytes)) return true;
  return in.manifest_moved_us_ago >= std::max<uint64_t>(budget.interval_us, 1);
}

}  // namespace slipstream
