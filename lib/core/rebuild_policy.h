// When a follower opens a new generation: by budget, not at each flush, because opening one
// replays everything that is unflushed.
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
  // Since the last generation was begun: what was applied, and time.
  uint64_t applied_wal_bytes = 0;
  uint64_t last_build_us_ago = 0;
  // The CPU time that it took, and what it replayed.
  uint64_t build_cpu_us = 0;
  uint64_t build_wal_bytes = 0;
};

// To replay a byte costs about as much as to apply it did. So that rebuilding costs no more than a
// quarter of applying, four times as much has to be applied in between; or, where little is
// written, so much time to pass that it is one hundredth of a core. A replay of very little costs
// what opening the files does, which is a matter of column families and tables: a tenth of a core.
// Of a build that replayed much, no more is known of the opening than that it was a part of it.
inline bool CanAffordRebuild(const RebuildInputs& in) {
  constexpr uint64_t kLittle = 1 << 20;
  constexpr uint64_t kShareOfApply = 4;
  constexpr uint64_t kShareOfTime = 100;
  constexpr uint64_t kShareOfTimeToOpen = 10;
  if (in.live_wal_bytes <= kLittle) {
    const uint64_t opening_us = in.build_cpu_us * kLittle / std::max(kLittle, in.build_wal_bytes);
    return opening_us <= in.last_build_us_ago / kShareOfTimeToOpen;
  }
  return in.live_wal_bytes <= in.applied_wal_bytes / kShareOfApply ||
         in.build_cpu_us <= in.last_build_us_ago / kShareOfTime;
}

inline bool ShouldRebuild(const RebuildBudget& budget, const RebuildInputs& in) {
  if (in.manifest_moved_us_ago == 0 || !CanAffordRebuild(in)) return false;
  const uint64_t shed =
      in.generation_wal_bytes > in.live_wal_bytes ? in.generation_wal_bytes - in.live_wal_bytes : 0;
  return shed >= budget.flushed_bytes ||
         in.manifest_moved_us_ago >= std::max<uint64_t>(budget.interval_us, 1);
}

}  // namespace slipstream
