#include "lib/observe/http/reports.h"

#include <string>
#include <utility>

#include "lib/observe/http/timestamp.h"
#include "lib/observe/wall_clock.h"

namespace slipstream::observe {
namespace {

Json PositionJson(const ReportedPosition& position) {
  if (position.epoch == 0) return nullptr;
  return {{"epoch", position.epoch}, {"offset", position.offset}, {"sequence", position.sequence}};
}

Json FollowerJson(const FollowerReport& follower) {
  return {{"id", follower.id},
          {"name", follower.name},
          {"address", follower.address},
          {"observeEndpoint", follower.observe_endpoint},
          {"connected", follower.connected},
          {"serving", follower.serving},
          {"received", PositionJson(follower.received)},
          {"applied", PositionJson(follower.applied)},
          {"pin", PositionJson(follower.pin)},
          {"lagMicros", follower.lag_us},
          {"lagBytes", follower.lag_bytes},
          {"silentMicros", follower.silent_us},
          {"generations", follower.generations},
          {"bytesSent", follower.bytes_sent}};
}

Json ReplicationJson(const ReplicationReport& report) {
  Json followers = Json::array();
  for (const FollowerReport& follower : report.followers) {
    followers.push_back(FollowerJson(follower));
  }
  return {{"database", report.database},
          {"role", report.role},
          {"id", report.id},
          {"name", report.name},
          {"epoch", report.epoch},
          {"position", PositionJson(report.position)},
          {"received", PositionJson(report.received)},
          {"leader", PositionJson(report.leader)},
          {"lagMicros", report.lag_us},
          {"lagBytes", report.lag_bytes},
          {"stalenessMicros", report.staleness_us},
          {"pinnedObjects", report.pinned_objects},
          {"pinnedBytes", report.pinned_bytes},
          {"generations", report.generations},
          {"rebuilds", report.rebuilds},
          {"status", report.status},
          {"followers", std::move(followers)}};
}

// Empty if there is nothing to complain of.
std::string Complaint(const HealthReport& health, uint64_t max_lag_us) {
  if (!health.ready) return health.reason.empty() ? "not ready" : health.reason;
  const auto too_far = [&](const char* what, uint64_t us) {
    return std::string(what) + " is " + std::to_string(us / 1000) + " ms, expected at most " +
           std::to_string(max_lag_us / 1000) + " ms";
  };
  if (health.lag_us > max_lag_us) return too_far("lag", health.lag_us);
  if (health.staleness_us > max_lag_us) return too_far("staleness", health.staleness_us);
  return "";
}

}  // namespace

void AnswerHealth(const std::vector<SourcePtr>& sources, uint64_t max_lag_us,
                  httplib::Response* response) {
  bool ready = true;
  Json list = Json::array();
  for (const SourcePtr& source : sources) {
    const HealthReport health = source->Health();
    const ReplicationReport report = source->Replication();
    const std::string complaint = Complaint(health, max_lag_us);
    ready = ready && complaint.empty();
    list.push_back({{"database", report.database},
                    {"role", report.role},
                    {"name", report.name},
                    {"ready", complaint.empty()},
                    {"reason", complaint},
                    {"lagMicros", health.lag_us},
                    {"stalenessMicros", health.staleness_us}});
  }
  AnswerJson(ready ? 200 : 503,
             {{"ready", ready},
              {"maxLagMicros", max_lag_us},
              {"sources", std::move(list)},
              {"serverTime", Timestamp(WallMicros())}},
             response);
}

void AnswerReplication(const std::vector<SourcePtr>& sources, httplib::Response* response) {
  Json list = Json::array();
  for (const SourcePtr& source : sources) list.push_back(ReplicationJson(source->Replication()));
  AnswerJson(200, {{"sources", std::move(list)}, {"serverTime", Timestamp(WallMicros())}},
             response);
}

}  // namespace slipstream::observe
