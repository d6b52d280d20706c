// How a leader brings a follower to a cut of its log files: which bytes it has to send.
// Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/core/messages.h"

namespace slipstream {

struct ImagePlan {
  struct Part {
    LogFileId id;
    uint64_t from = 0;  // bytes [from, to) of the file are to be sent
    uint64_t to = 0;
  };
  bool from_scratch = true;
  std::vector<Part> parts;
  uint64_t bytes = 0;
};

// `held` are the follower's files, of the same epoch as `wanted`, or empty. Within an epoch log
// files only grow, so what is held is a prefix of what is wanted; a follower that holds more than
// exists is sent everything anew. Manifests come first: they say which WALs are still needed.
ImagePlan PlanImage(const std::vector<LogFileSize>& held, const std::vector<LogFileSize>& wanted);

}  // namespace slipstream
