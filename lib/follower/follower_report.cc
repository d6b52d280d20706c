#include "lib/follower/follower_report.h"

#include "lib/core/reported_position.h"
#include "lib/observe/metric_writer.h"

namespace slipstream {
namespace {

using observe::MetricFamily;
using observe::MetricWriter;

constexpr char kClosed[] = "the follower is closed";
constexpr char kOpenHelp[] = "Whether the follower is open.";

MetricWriter WriterOf(const FollowerIdentity& who, std::vector<MetricFamily>* families) {
  return MetricWriter(families, "slipstream_follower_",
                      {{"database", who.database}, {"id", who.id}, {"name", who.name}});
}

void AppendState(const FollowerStats& stats, MetricWriter* w) {
  w->Gauge("open", kOpenHelp, uint64_t{1});
  w->Gauge("connected", "Whether there is a stream from the leader.", uint64_t{stats.connected});
  w->Gauge("progressing", "Whether all is well: 0 while the follower makes no progress.",
           uint64_t{stats.status.ok()});
  w->Gauge("epoch", "The epoch that reads show.", stats.applied.epoch);
  w->Gauge("applied_sequence", "Sequence number that reads show.", stats.applied.sequence);
  w->Gauge("received_sequence", "Sequence number that has arrived.", stats.received.sequence);
  w->Gauge("leader_sequence", "Sequence number that the leader last said it had.",
           stats.leader.sequence);
  w->Seconds("lag_seconds", "Age of the oldest thing that reads do not show.", stats.lag_us);
  w->Gauge("lag_bytes", "Bytes of the replication log that reads do not show.", stats.lag_bytes);
  w->Gauge("lag_sequences", "Sequence numbers that reads do not show.", stats.lag_sequences);
  w->Seconds("staleness_seconds", "Reads show what the leader had so long ago, or newer.",
             stats.staleness_us);
  w->Gauge("generations", "Open instances of the database.", stats.live_generations);
  w->Seconds("last_rebuild_seconds", "Duration of the last build of a generation.",
             stats.last_rebuild_us);
  w->Gauge("prepared_transactions", "Transactions that are prepared and not committed.",
           stats.prepared_transactions);
  w->Gauge("image_bytes", "Log files that are kept in memory.", stats.image_bytes);
  w->Gauge("memtable_bytes", "Memtables of the current generation.", stats.memtable_bytes);
  w->Gauge("receive_queue_bytes", "Received bytes that wait to be applied.",
           stats.receive_queue_bytes);
  w->Gauge("table_metadata_bytes", "Index and filter blocks that generations share.",
           stats.table_metadata_bytes);
}

void AppendCounters(const FollowerStats& stats, MetricWriter* w) {
  w->Counter("rebuilds_total", "Generations built after the first one.", stats.rebuilds);
  w->Counter("barrier_rebuilds_total", "Generations that a change of content asked for.",
             stats.rebuilds_for_barriers);
  w->Counter("resyncs_total", "Images taken after the first one.", stats.resyncs);
  w->Counter("reconnects_total", "Streams opened after the first one.", stats.reconnects);
  w->Counter("history_resets_total", "Times that a new epoch took back what reads had shown.",
             stats.history_resets);
  w->Counter("sequence_gaps_total", "Writes that went round the leader's handle.",
             stats.sequence_gaps);
  w->Counter("corruptions_total", "Times that what was received contradicted itself.",
             stats.corruptions);
  w->Counter("records_applied_total", "WAL records applied.", stats.records_applied);
  w->Counter("keys_applied_total", "Sequence numbers applied.", stats.keys_applied);
  w->Counter("writes_total", "Writes to RocksDB that records were gathered into.", stats.writes);
  w->Counter("applied_bytes_total", "Bytes applied.", stats.bytes_applied);
}

std::string Behind(const char* what, uint64_t us, uint64_t most_us) {
  return std::string(what) + " is " + std::to_string(us / 1000) + " ms, expected at most " +
         std::to_string(most_us / 1000);
}

}  // namespace

void AppendFollowerMetrics(const FollowerIdentity& who, const FollowerFigures& figures,
                           std::vector<MetricFamily>* families) {
  MetricWriter w = WriterOf(who, families);
  AppendState(figures.stats, &w);
  AppendCounters(figures.stats, &w);
  w.Histogram("visible_after_seconds",
              "From the news that the leader has something until reads show it.", figures.lag);
  w.Histogram("apply_seconds", "Duration of each write to the current generation.", figures.apply);
  w.Histogram("build_seconds", "Duration of each build of a generation.", figures.build);
  w.Histogram("wait_seconds", "Duration of each wait of a reader.", figures.wait);
}

observe::HealthReport FollowerHealth(const FollowerIdentity& who, const FollowerStats& stats) {
  observe::HealthReport health;
  health.lag_us = stats.lag_us;
  health.staleness_us = stats.staleness_us;
  const uint64_t most_us = who.max_ready_staleness_us;
  if (stats.applied.epoch == 0) {
    health.reason = "nothing to read yet";
  } else if (stats.staleness_us > most_us) {
    health.reason = Behind("staleness", stats.staleness_us, most_us);
  } else if (stats.lag_us > most_us) {
    health.reason = Behind("lag", stats.lag_us, most_us);
  }
  health.ready = health.reason.empty();
  if (!health.ready && !stats.status.ok()) health.reason += ": " + stats.status.ToString();
  return health;
}

observe::ReplicationReport FollowerReportOf(const FollowerIdentity& who,
                                            const FollowerStats& stats) {
  observe::ReplicationReport report;
  report.database = who.database;
  report.role = "follower";
  report.id = who.id;
  report.name = who.name;
  report.position = Reported(stats.applied);
  report.epoch = report.position.epoch;
  report.received = Reported(stats.received);
  report.leader = Reported(stats.leader);
  report.lag_us = stats.lag_us;
  report.lag_bytes = stats.lag_bytes;
  report.staleness_us = stats.staleness_us;
  report.generations = stats.live_generations;
  report.rebuilds = stats.rebuilds;
  report.status = stats.status.ToString();
  return report;
}

bool FollowerSource::Look(FollowerFigures* figures) const {
  const observe::CallGate::Pass pass(&gate_);
  if (!pass) return false;
  *figures = look_();
  return true;
}

void FollowerSource::AppendMetrics(std::vector<MetricFamily>* families) const {
  FollowerFigures figures;
  if (Look(&figures)) {
    AppendFollowerMetrics(who_, figures, families);
  } else {
    WriterOf(who_, families).Gauge("open", kOpenHelp, uint64_t{0});
  }
}

observe::HealthReport FollowerSource::Health() const {
  FollowerFigures figures;
  if (Look(&figures)) return FollowerHealth(who_, figures.stats);
  observe::HealthReport health;
  health.reason = kClosed;
  return health;
}

observe::ReplicationReport FollowerSource::Replication() const {
  FollowerFigures figures;
  const bool open = Look(&figures);
  observe::ReplicationReport report = FollowerReportOf(who_, figures.stats);
  if (!open) report.status = kClosed;
  return report;
}

}  // namespace slipstream
