#include "lib/leader/leader_report.h"

#include <algorithm>
#include <cstdint>

#include "lib/core/reported_position.h"
#include "lib/observe/metric_writer.h"

namespace slipstream {
namespace {

using observe::MetricFamily;
using observe::MetricWriter;

constexpr char kPrefix[] = "slipstream_leader_";

void AppendFollower(const std::string& database, const FollowerInfo& info,
                    std::vector<MetricFamily>* families) {
  MetricWriter w(families, std::string(kPrefix) + "follower_",
                 {{"database", database}, {"id", info.id}, {"name", info.name}});
  w.Gauge("connected", "Whether the follower has a stream.", uint64_t{info.connected});
  w.Gauge("serving", "Whether the follower has something to read.", uint64_t{info.serving});
  w.Gauge("received_sequence", "Sequence number that the follower has received, as it confirmed.",
          info.received.sequence);
  w.Gauge("applied_sequence", "Sequence number that the follower shows, as it confirmed.",
          info.applied.sequence);
  w.Seconds("lag_seconds", "Age of the oldest message that the follower has not confirmed.",
            info.lag_us);
  w.Gauge("lag_bytes", "Bytes of the replication log that the follower does not show.",
          info.lag_bytes);
  w.Gauge("lag_sequences", "Sequence numbers that the follower does not show.", info.lag_sequences);
  w.Seconds("silent_seconds", "Time since the follower's last confirmation.", info.silent_us);
  w.Gauge("generations", "Open instances of the database on the follower.", info.live_generations);
  w.Counter("images_sent_total", "Images sent to the follower.", info.images_sent);
  w.Counter("sent_bytes_total", "Bytes sent to the follower.", info.bytes_sent);
}

observe::FollowerReport ReportOf(const FollowerInfo& info) {
  observe::FollowerReport report;
  report.id = info.id;
  report.name = info.name;
  report.address = info.address;
  report.observe_endpoint = info.observe_endpoint;
  report.connected = info.connected;
  report.serving = info.serving;
  report.received = Reported(info.received);
  report.applied = Reported(info.applied);
  report.pin = Reported(info.pin);
  report.lag_us = info.lag_us;
  report.lag_bytes = info.lag_bytes;
  report.silent_us = info.silent_us;
  report.generations = info.live_generations;
  report.bytes_sent = info.bytes_sent;
  return report;
}

}  // namespace

void AppendLeaderMetrics(const std::string& database, const LeaderFigures& figures,
                         std::vector<MetricFamily>* families) {
  const LeaderStats& stats = figures.stats;
  MetricWriter w(families, kPrefix, {{"database", database}});
  w.Gauge("open", "Whether the leader serves the database.", uint64_t{1});
  w.Gauge("replicating", "Whether writes reach followers: 0 once replication has stopped.",
          uint64_t{stats.replication.ok()});
  w.Gauge("fenced", "Whether a newer leader has taken over.", uint64_t{stats.fenced_by != 0});
  w.Gauge("epoch", "The present epoch.", stats.position.epoch);
  w.Gauge("sequence", "The last sequence number.", stats.position.sequence);
  w.Gauge("replication_log_bytes", "Recent history that is held in memory.",
          stats.replication_log_bytes);
  w.Counter("log_appends_total", "Appends to WAL, MANIFEST and CURRENT.", stats.log_appends);
  w.Counter("log_bytes_total", "Bytes of the replication log.", stats.log_bytes);
  w.Gauge("memory_wal_bytes", "WALs that are kept in memory alone.", stats.memory_wal_bytes);
  w.Gauge("objects", "SST and blob files of the database.", stats.live_objects);
  w.Gauge("pinned_objects", "Removed files that are kept for followers.", stats.pinned_objects);
  w.Gauge("pinned_bytes", "Bytes of removed files that are kept for followers.",
          stats.pinned_bytes);
  w.Counter("deleted_objects_total", "Files deleted from the storage.", stats.deleted_objects);
  w.Counter("incarnations_total", "Epochs of this opening.", stats.incarnations);
  w.Gauge("followers", "Followers that are connected.",
          static_cast<uint64_t>(std::count_if(figures.followers.begin(), figures.followers.end(),
                                              [](const auto& f) { return f.connected; })));
  w.Histogram("confirmation_seconds",
              "From sending a message to the confirmation that a follower shows it.",
              figures.confirmations);
  w.Histogram("wait_seconds", "Duration of waits for followers.", figures.waits);
  for (const FollowerInfo& info : figures.followers) AppendFollower(database, info, families);
}

observe::HealthReport LeaderHealth(const LeaderFigures& figures) {
  observe::HealthReport health;
  if (figures.stats.fenced_by != 0) {
    health.reason =
        "a newer leader has taken over, of epoch " + std::to_string(figures.stats.fenced_by);
  } else if (!figures.stats.replication.ok()) {
    health.reason = "replication has stopped: " + figures.stats.replication.ToString();
  }
  health.ready = health.reason.empty();
  return health;
}

observe::ReplicationReport LeaderReport(const std::string& database, const LeaderFigures& figures) {
  observe::ReplicationReport report;
  report.database = database;
  report.role = "leader";
  report.position = Reported(figures.stats.position);
  report.epoch = report.position.epoch;
  report.pinned_objects = figures.stats.pinned_objects;
  report.pinned_bytes = figures.stats.pinned_bytes;
  report.status = figures.stats.replication.ToString();
  for (const FollowerInfo& info : figures.followers) report.followers.push_back(ReportOf(info));
  return report;
}

bool LeaderSource::Look(LeaderFigures* figures, std::string* why) const {
  const observe::CallGate::Pass pass(&gate_);
  if (!pass) {
    *why = "the leader is closed";
  } else if (look_(figures)) {
    return true;
  } else {
    *why = "the leader does not serve yet";
  }
  return false;
}

void LeaderSource::AppendMetrics(std::vector<MetricFamily>* families) const {
  LeaderFigures figures;
  if (std::string why; Look(&figures, &why)) {
    AppendLeaderMetrics(database_, figures, families);
    return;
  }
  MetricWriter(families, kPrefix, {{"database", database_}})
      .Gauge("open", "Whether the leader serves the database.", uint64_t{0});
}

observe::HealthReport LeaderSource::Health() const {
  LeaderFigures figures;
  observe::HealthReport health;
  return Look(&figures, &health.reason) ? LeaderHealth(figures) : health;
}

observe::ReplicationReport LeaderSource::Replication() const {
  LeaderFigures figures;
  std::string why;
  const bool open = Look(&figures, &why);
  observe::ReplicationReport report = LeaderReport(database_, figures);
  if (!open) report.status = why;
  return report;
}

}  // namespace slipstream
