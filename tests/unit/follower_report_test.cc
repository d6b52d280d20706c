#include "lib/follower/follower_report.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/unit/metric_samples.h"

namespace slipstream {
namespace {

using observe::MetricFamily;
using observe::SampleOf;
using rocksdb::Status;

const FollowerIdentity kWho{"orders", "f1", "reader", 5000000};

FollowerStats SomeStats() {
  FollowerStats stats;
  stats.connected = true;
  stats.applied = {3, 800, 60};
  stats.received = {3, 900, 70};
  stats.leader = {3, 1000, 77};
  stats.lag_us = 1500000;
  stats.lag_bytes = 200;
  stats.staleness_us = 2000000;
  stats.live_generations = 2;
  stats.rebuilds = 4;
  stats.bytes_applied = 4242;
  return stats;
}

TEST_CASE("follower_report: metrics", "[unit]") {
  FollowerFigures figures;
  figures.stats = SomeStats();
  figures.build = {{1}, {2, 3}, 4};
  std::vector<MetricFamily> families;
  AppendFollowerMetrics(kWho, figures, &families);
  const auto sample = [&](const std::string& name) {
    return SampleOf(families, "slipstream_follower_" + name,
                    {{"database", "orders"}, {"id", "f1"}, {"name", "reader"}});
  };
  CHECK(sample("open").value == 1);
  CHECK(sample("progressing").value == 1);
  CHECK(sample("applied_sequence").value == 60);
  CHECK(sample("received_sequence").value == 70);
  CHECK(sample("leader_sequence").value == 77);
  CHECK(sample("lag_seconds").value == 1.5);
  CHECK(sample("staleness_seconds").value == 2);
  CHECK(sample("generations").value == 2);
  CHECK(sample("rebuilds_total").value == 4);
  CHECK(sample("applied_bytes_total").value == 4242);
  CHECK(sample("build_seconds").histogram.counts == std::vector<uint64_t>{2, 3});
  for (const char* name : {"visible_after_seconds", "apply_seconds", "wait_seconds"}) sample(name);
  observe::CheckNames(families);
}

TEST_CASE("follower_report: ready while reads are fresh enough", "[unit]") {
  FollowerStats stats = SomeStats();
  CHECK(FollowerHealth(kWho, stats).ready);
  CHECK(FollowerHealth(kWho, stats).lag_us == 1500000);
  CHECK(FollowerHealth(kWho, stats).staleness_us == 2000000);
  stats.staleness_us = 5000000;
  CHECK(FollowerHealth(kWho, stats).ready);
  stats.staleness_us = 5001000;
  stats.status = Status::IOError("no leader");
  observe::HealthReport health = FollowerHealth(kWho, stats);
  CHECK_FALSE(health.ready);
  CHECK(health.reason.find("staleness is 5001 ms, expected at most 5000") == 0);
  CHECK(health.reason.find("no leader") != std::string::npos);
  stats = SomeStats();
  stats.lag_us = 5000001;
  CHECK(FollowerHealth(kWho, stats).reason.find("lag is 5000 ms") == 0);
  stats = SomeStats();
  stats.applied = {};
  CHECK(FollowerHealth(kWho, stats).reason == "nothing to read yet");
}

TEST_CASE("follower_report: the report tells where it stands", "[unit]") {
  const observe::ReplicationReport report = FollowerReportOf(kWho, SomeStats());
  CHECK(report.database == "orders");
  CHECK(report.role == "follower");
  CHECK(report.id == "f1");
  CHECK(report.name == "reader");
  CHECK(report.epoch == 3);
  CHECK(report.position.offset == 800);
  CHECK(report.received.offset == 900);
  CHECK(report.leader.offset == 1000);
  CHECK(report.lag_us == 1500000);
  CHECK(report.lag_bytes == 200);
  CHECK(report.staleness_us == 2000000);
  CHECK(report.generations == 2);
  CHECK(report.rebuilds == 4);
  CHECK(report.status == "OK");
}

TEST_CASE("follower_report: a source tells that the follower is closed", "[unit]") {
  FollowerSource source(kWho, [] { return FollowerFigures{SomeStats(), {}, {}, {}, {}}; });
  CHECK(source.Health().ready);
  CHECK(source.Replication().lag_bytes == 200);
  source.Close();
  CHECK(source.Health().reason == "the follower is closed");
  CHECK(source.Replication().status == "the follower is closed");
  CHECK(source.Replication().id == "f1");
  CHECK(source.Replication().lag_bytes == 0);
  std::vector<MetricFamily> families;
  source.AppendMetrics(&families);
  CHECK(families.size() == 1);
}

}  // namespace
}  // namespace slipstream
