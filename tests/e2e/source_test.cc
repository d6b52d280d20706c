// What leaders and followers tell of themselves to whoever looks.
#include "slipstream/observe/source.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/local_cluster.h"
#include "tests/unit/metric_samples.h"

namespace slipstream::testing {
namespace {

using observe::HistogramSnapshot;
using observe::MetricFamily;
using observe::ReplicationReport;
using observe::SampleOf;
using rocksdb::WriteOptions;

uint64_t CountOf(const HistogramSnapshot& histogram) {
  return std::accumulate(histogram.counts.begin(), histogram.counts.end(), uint64_t{0});
}

std::vector<MetricFamily> MetricsOf(const observe::Source& source) {
  std::vector<MetricFamily> families;
  source.AppendMetrics(&families);
  return families;
}

}  // namespace

TEST_CASE("source: a leader reports itself and its followers", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  const std::shared_ptr<const observe::Source> source = leader.leader->source();
  CHECK(source->Health().ready);
  CHECK(source->Replication().followers.empty());

  FollowerOptions options = cluster.follower_options(leader.leader->port());
  options.name = "reader";
  options.observe_endpoint = "reader.example:8080";
  LocalFollower follower = cluster.StartFollower(options);
  RequireOk(leader.db()->Put(WriteOptions(), "a", "1"));
  const Position written = leader.leader->position();
  RequireOk(leader.leader->WaitForFollowers(written, 1, AckLevel::kApplied, kPatienceUs));

  const ReplicationReport report = source->Replication();
  CHECK(report.database == "test");
  CHECK(report.role == "leader");
  CHECK(report.epoch == written.epoch);
  CHECK(report.position.offset >= written.offset);
  CHECK(report.status == "OK");
  REQUIRE(report.followers.size() == 1);
  const observe::FollowerReport& f = report.followers[0];
  CHECK(f.id == follower.follower->stats().id);
  CHECK(f.name == "reader");
  CHECK(f.observe_endpoint == "reader.example:8080");
  CHECK(leader.leader->followers().at(0).observe_endpoint == "reader.example:8080");
  CHECK(f.connected);
  CHECK(f.serving);
  CHECK(f.applied.offset >= written.offset);
  CHECK(f.generations >= 1);
  CHECK(f.bytes_sent > 0);

  const std::vector<MetricFamily> families = MetricsOf(*source);
  observe::CheckNames(families);
  CHECK(SampleOf(families, "slipstream_leader_follower_connected",
                 {{"database", "test"}, {"id", f.id}, {"name", "reader"}})
            .value == 1);
  const observe::Labels labels{{"database", "test"}};
  CHECK(SampleOf(families, "slipstream_leader_sequence", labels).value ==
        static_cast<double>(written.sequence));
  CHECK(CountOf(SampleOf(families, "slipstream_leader_confirmation_seconds", labels).histogram) >
        0);
  CHECK(CountOf(SampleOf(families, "slipstream_leader_wait_seconds", labels).histogram) == 1);

  // One that is gone shows.
  follower.Close();
  CHECK(Eventually([&] {
    const ReplicationReport now = source->Replication();
    return now.followers.empty() || !now.followers[0].connected;
  }));
}

TEST_CASE("source: a follower reports itself, and is ready while reads are fresh", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  FollowerOptions options = cluster.follower_options(leader.leader->port());
  options.name = "reader";
  options.max_ready_staleness_ms = 500;
  LocalFollower follower = cluster.StartFollower(options);
  RequireOk(leader.db()->Put(WriteOptions(), "a", "1"));
  CatchUp(leader, follower);
  const std::shared_ptr<const observe::Source> source = follower.follower->source();
  CHECK(Eventually([&] { return source->Health().ready; }));

  const ReplicationReport report = source->Replication();
  CHECK(report.role == "follower");
  CHECK(report.database == "test");
  CHECK(report.name == "reader");
  CHECK(report.id == leader.leader->followers().at(0).id);
  CHECK(report.position.sequence == leader.leader->position().sequence);
  CHECK(report.generations >= 1);

  const std::vector<MetricFamily> families = MetricsOf(*source);
  observe::CheckNames(families);
  const observe::Labels labels{{"database", "test"}, {"id", report.id}, {"name", "reader"}};
  const auto count = [&](const std::string& name) {
    return CountOf(SampleOf(families, "slipstream_follower_" + name, labels).histogram);
  };
  CHECK(count("apply_seconds") == follower.follower->stats().writes);
  CHECK(count("build_seconds") >= 1);
  CHECK(count("visible_after_seconds") >= 1);
  CHECK(count("wait_seconds") == 1);  // CatchUp

  leader.Close();
  CHECK(Eventually([&] { return !source->Health().ready; }));
  CHECK(source->Health().staleness_us > 500000);
  CHECK(source->Health().reason.find("staleness") == 0);
}

TEST_CASE("source: calls are safe while the leader or follower goes, and afterwards", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  const std::shared_ptr<const observe::Source> ours = leader.leader->source();
  const std::shared_ptr<const observe::Source> theirs = follower.follower->source();
  std::atomic<bool> done{false};
  std::atomic<int> rounds{0};
  std::thread looker([&] {
    while (!done) {
      for (const auto& source : {ours, theirs}) {
        MetricsOf(*source);
        source->Health();
        source->Replication();
      }
      ++rounds;
    }
  });
  REQUIRE(Eventually([&] { return rounds > 3; }));
  follower.Close();
  leader.Close();
  const int after = rounds;
  REQUIRE(Eventually([&] { return rounds > after + 3; }));
  done = true;
  looker.join();
  CHECK_FALSE(ours->Health().ready);
  CHECK(ours->Health().reason == "the leader is closed");
  CHECK(ours->Replication().status == "the leader is closed");
  CHECK_FALSE(theirs->Health().ready);
  CHECK(theirs->Replication().status == "the follower is closed");
}

TEST_CASE("source: a leader that the host has not let serve yet says so", "[e2e]") {
  LocalCluster cluster;
  std::unique_ptr<Leader> leader;
  RequireOk(Leader::Create(cluster.leader_options(), cluster.leader_path(), &leader));
  const std::shared_ptr<const observe::Source> source = leader->source();
  CHECK_FALSE(source->Health().ready);
  CHECK(source->Replication().status == "the leader does not serve yet");
  leader.reset();
  CHECK(source->Replication().status == "the leader is closed");
}

TEST_CASE("source: options of what is reported are checked", "[e2e]") {
  LocalCluster cluster;
  FollowerOptions options = cluster.follower_options(1);
  RequireOk(options.Validate());
  options.observe_endpoint = std::string(300, 'h');
  RequireOk(options.Validate());
  options.observe_endpoint += 'h';
  CHECK(options.Validate().ToString().find("observe_endpoint") != std::string::npos);
  options = cluster.follower_options(1);
  for (const uint64_t bad : {uint64_t{0}, uint64_t{86400001}}) {
    options.max_ready_staleness_ms = bad;
    CHECK(options.Validate().ToString().find("max_ready_staleness_ms") != std::string::npos);
  }
}

}  // namespace slipstream::testing
