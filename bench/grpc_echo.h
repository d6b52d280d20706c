// A gRPC echo between two processes of this machine: what a message and its answer cost at least.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/child_process.h"
#include "rocksdb/status.h"

namespace slipstream::bench {

struct EchoTimes {
  std::vector<uint64_t> unary_ns;   // a call each, sorted
  std::vector<uint64_t> stream_ns;  // a message each on one open stream, sorted
};

// What the process does that echoes: a child of this program with these settings.
inline constexpr char kEchoSettings[] = R"({"other":"echo"})";
[[nodiscard]] rocksdb::Status RunGrpcEcho(ChildEnd* parent);

// Starts that process, and sends it messages of `bytes`, one at a time, about every
// `interval_us` microseconds.
// between: called between messages; may throw to end it.
// Throws Failure.
EchoTimes MeasureGrpcEcho(uint64_t messages, uint64_t bytes, uint64_t interval_us,
                          const std::function<void()>& between);

}  // namespace slipstream::bench
