// A leader's figures as metrics, health and a report.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lib/observe/call_gate.h"
#include "slipstream/leader.h"
#include "slipstream/observe/metrics.h"
#include "slipstream/observe/source.h"

namespace slipstream {

struct LeaderFigures {
  LeaderStats stats;
  std::vector<FollowerInfo> followers;
  observe::HistogramSnapshot confirmations;  // seconds from a message to its confirmation
  observe::HistogramSnapshot waits;          // seconds of each WaitForFollowers
};

void AppendLeaderMetrics(const std::string& database, const LeaderFigures& figures,
                         std::vector<observe::MetricFamily>* families);
observe::HealthReport LeaderHealth(const LeaderFigures& figures);
observe::ReplicationReport LeaderReport(const std::string& database, const LeaderFigures& figures);

// What Leader::source() gives.
class LeaderSource : public observe::Source {
 public:
  // look: false while the leader does not serve yet. Called by any thread, not after Close.
  LeaderSource(std::string database, std::function<bool(LeaderFigures*)> look)
      : database_(std::move(database)), look_(std::move(look)) {}

  // The leader closes.
  void Close() { gate_.Close(); }

  void AppendMetrics(std::vector<observe::MetricFamily>* families) const override;
  observe::HealthReport Health() const override;
  observe::ReplicationReport Replication() const override;

 private:
  // Sets either the figures, or why there are none.
  bool Look(LeaderFigures* figures, std::string* why) const;

  const std::string database_;
  const std::function<bool(LeaderFigures*)> look_;
  mutable observe::CallGate gate_;
};

}  // namespace slipstream
