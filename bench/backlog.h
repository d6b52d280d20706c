// A backlog: what a follower that was away has to catch up with, and how fast it does.
#pragma once

#include <cstdint>

#include "bench/cluster.h"
#include "bench/load.h"

namespace slipstream::bench {

struct CatchUp {
  uint64_t keys = 0;
  double write_seconds = 0;    // of the leader, meanwhile
  double seconds = 0;          // from the moment the follower goes on until all is visible
  double process_seconds = 0;  // of CPU, of the follower's process
  double applier_seconds = 0;  // of its thread that applies
  double builder_seconds = 0;  // of its thread that builds generations
  uint64_t rebuilds = 0;
  uint64_t resyncs = 0;  // images taken instead of going on where it was

  double keys_per_second() const { return static_cast<double>(keys) / seconds; }
};

// Stops the follower (SIGSTOP), lets the leader write, and lets the follower go on.
// Throws Failure.
CatchUp BuildAndDrainBacklog(Cluster* cluster, Process* follower, const Load& load);

}  // namespace slipstream::bench
