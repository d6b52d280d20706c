#include "lib/leader/leader_report.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/unit/metric_samples.h"

namespace slipstream {
namespace {

using observe::MetricFamily;
using observe::SampleOf;
using rocksdb::Status;

LeaderFigures SomeFigures() {
  LeaderFigures figures;
  figures.stats.position = {3, 1000, 77};
  figures.stats.log_bytes = 5000;
  figures.stats.pinned_objects = 2;
  figures.stats.pinned_bytes = 4096;
  figures.stats.incarnations = 1;
  figures.confirmations = {{1, 2}, {3, 4, 5}, 6};
  FollowerInfo info;
  info.id = "f1";
  info.name = "reader";
  info.address = "ipv4:1";
  info.observe_endpoint = "host:9";
  info.connected = true;
  info.received = {3, 900, 70};
  info.applied = {3, 800, 60};
  info.pin = {3, 700, 50};
  info.lag_us = 2500000;
  info.lag_bytes = 200;
  info.lag_sequences = 17;
  info.silent_us = 500000;
  info.live_generations = 2;
  info.images_sent = 1;
  info.bytes_sent = 12345;
  figures.followers.push_back(info);
  info.id = "f2";
  info.connected = false;
  info.lag_us = 0;
  figures.followers.push_back(info);
  return figures;
}

TEST_CASE("leader_report: metrics of a leader and of each follower", "[unit]") {
  std::vector<MetricFamily> families;
  AppendLeaderMetrics("orders", SomeFigures(), &families);
  // Another database of the same process.
  AppendLeaderMetrics("other", LeaderFigures(), &families);
  CHECK(SampleOf(families, "slipstream_leader_open", {{"database", "orders"}}).value == 1);
  CHECK(SampleOf(families, "slipstream_leader_sequence", {{"database", "orders"}}).value == 77);
  CHECK(SampleOf(families, "slipstream_leader_sequence", {{"database", "other"}}).value == 0);
  CHECK(SampleOf(families, "slipstream_leader_log_bytes_total", {{"database", "orders"}}).value ==
        5000);
  CHECK(SampleOf(families, "slipstream_leader_pinned_bytes", {{"database", "orders"}}).value ==
        4096);
  CHECK(SampleOf(families, "slipstream_leader_followers", {{"database", "orders"}}).value == 1);
  const observe::MetricSample confirmations =
      SampleOf(families, "slipstream_leader_confirmation_seconds", {{"database", "orders"}});
  CHECK(confirmations.histogram.counts == std::vector<uint64_t>{3, 4, 5});
  CHECK(confirmations.histogram.sum == 6);
  const auto follower = [&](const std::string& name, const std::string& id) {
    return SampleOf(families, "slipstream_leader_follower_" + name,
                    {{"database", "orders"}, {"id", id}, {"name", "reader"}})
        .value;
  };
  CHECK(follower("connected", "f1") == 1);
  CHECK(follower("connected", "f2") == 0);
  CHECK(follower("lag_seconds", "f1") == 2.5);
  CHECK(follower("lag_seconds", "f2") == 0);
  CHECK(follower("lag_bytes", "f1") == 200);
  CHECK(follower("silent_seconds", "f1") == 0.5);
  CHECK(follower("applied_sequence", "f1") == 60);
  CHECK(follower("sent_bytes_total", "f1") == 12345);
  observe::CheckNames(families);
}

TEST_CASE("leader_report: ready while replication works and nobody has taken over", "[unit]") {
  LeaderFigures figures = SomeFigures();
  CHECK(LeaderHealth(figures).ready);
  CHECK(LeaderHealth(figures).reason.empty());
  figures.stats.replication = Status::IOError("the disk");
  CHECK_FALSE(LeaderHealth(figures).ready);
  CHECK(LeaderHealth(figures).reason.find("the disk") != std::string::npos);
  figures.stats.fenced_by = 9;
  CHECK_FALSE(LeaderHealth(figures).ready);
  CHECK(LeaderHealth(figures).reason.find("epoch 9") != std::string::npos);
}

TEST_CASE("leader_report: the report has what is known of each follower", "[unit]") {
  const observe::ReplicationReport report = LeaderReport("orders", SomeFigures());
  CHECK(report.database == "orders");
  CHECK(report.role == "leader");
  CHECK(report.epoch == 3);
  CHECK(report.position.offset == 1000);
  CHECK(report.position.sequence == 77);
  CHECK(report.pinned_objects == 2);
  CHECK(report.status == "OK");
  REQUIRE(report.followers.size() == 2);
  const observe::FollowerReport& f = report.followers[0];
  CHECK(f.id == "f1");
  CHECK(f.name == "reader");
  CHECK(f.address == "ipv4:1");
  CHECK(f.observe_endpoint == "host:9");
  CHECK(f.connected);
  CHECK_FALSE(f.serving);
  CHECK(f.received.offset == 900);
  CHECK(f.applied.offset == 800);
  CHECK(f.pin.offset == 700);
  CHECK(f.lag_us == 2500000);
  CHECK(f.lag_bytes == 200);
  CHECK(f.silent_us == 500000);
  CHECK(f.generations == 2);
  CHECK(f.bytes_sent == 12345);
}

TEST_CASE("leader_report: a source tells that the leader is not there yet, or no more", "[unit]") {
  bool serving = false;
  LeaderSource source("orders", [&](LeaderFigures* figures) {
    if (serving) *figures = SomeFigures();
    return serving;
  });
  CHECK_FALSE(source.Health().ready);
  CHECK(source.Replication().status == "the leader does not serve yet");
  serving = true;
  CHECK(source.Health().ready);
  CHECK(source.Replication().followers.size() == 2);
  source.Close();
  CHECK(source.Health().reason == "the leader is closed");
  CHECK(source.Replication().database == "orders");
  CHECK(source.Replication().role == "leader");
  CHECK(source.Replication().followers.empty());
  std::vector<MetricFamily> families;
  source.AppendMetrics(&families);
  REQUIRE(families.size() == 1);
  CHECK(SampleOf(families, "slipstream_leader_open", {{"database", "orders"}}).value == 0);
}

}  // namespace
}  // namespace slipstream
