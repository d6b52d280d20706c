// A follower's figures as metrics, health and a report.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "lib/observe/call_gate.h"
#include "slipstream/follower.h"
#include "slipstream/observe/metrics.h"
#include "slipstream/observe/source.h"

namespace slipstream {

// How long things took, in seconds. Threads: any.
struct FollowerTimings {
  // From the news that the leader has something until reads show it.
  observe::Histogram lag{observe::Histogram::DurationBounds()};
  observe::Histogram apply{observe::Histogram::DurationBounds()};  // each write to a generation
  observe::Histogram build{observe::Histogram::DurationBounds()};  // each generation
  observe::Histogram wait{observe::Histogram::DurationBounds()};   // each wait of a reader
};

struct FollowerFigures {
  FollowerStats stats;
  observe::HistogramSnapshot lag, apply, build, wait;
};

// Who it is.
struct FollowerIdentity {
  std::string database;
  std::string id;
  std::string name;
  uint64_t max_ready_staleness_us = 0;  // how far behind it may be and still be ready
};

void AppendFollowerMetrics(const FollowerIdentity& who, const FollowerFigures& figures,
                           std::vector<observe::MetricFamily>* families);
observe::HealthReport FollowerHealth(const FollowerIdentity& who, const FollowerStats& stats);
observe::ReplicationReport FollowerReportOf(const FollowerIdentity& who,
                                            const FollowerStats& stats);

// What Follower::source() gives.
class FollowerSource : public observe::Source {
 public:
  // look: called by any thread, not after Close.
  FollowerSource(FollowerIdentity who, std::function<FollowerFigures()> look)
      : who_(std::move(who)), look_(std::move(look)) {}

  // The follower closes.
  void Close() { gate_.Close(); }

  void AppendMetrics(std::vector<observe::MetricFamily>* families) const override;
  observe::HealthReport Health() const override;
  observe::ReplicationReport Replication() const override;

 private:
  // False once the follower is closed.
  bool Look(FollowerFigures* figures) const;

  const FollowerIdentity who_;
  const std::function<FollowerFigures()> look_;
  mutable observe::CallGate gate_;
};

}  // namespace slipstream
