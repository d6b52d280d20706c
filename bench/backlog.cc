#include "bench/backlog.h"

#include "bench/cpu_time.h"

namespace slipstream::bench {

using nlohmann::json;

CatchUp BuildAndDrainBacklog(Cluster* cluster, Process* follower, const Load& load) {
  const json before = cluster->Ask(follower, {{"do", "usage"}});
  follower->child->Stop();
  const WriterResult written = cluster->Write(load);
  cluster->Send(follower, UpTo("reach", written));
  const uint64_t begin_ns = NowNs();
  follower->child->Continue();
  const uint64_t end_ns = cluster->Receive(follower).at("ns");
  const json after = cluster->Ask(follower, {{"do", "usage"}});

  const auto difference = [&](const char* group, const char* name) {
    return after.at(group).value(name, 0.0) - before.at(group).value(name, 0.0);
  };
  CatchUp result;
  result.keys = written.keys;
  result.write_seconds = written.write_seconds;
  result.seconds = static_cast<double>(end_ns - begin_ns) * 1e-9;
  result.process_seconds =
      after.at("cpu_seconds").get<double>() - before.at("cpu_seconds").get<double>();
  result.applier_seconds = difference("threads", "ss-applier");
  result.builder_seconds = difference("threads", "ss-builder");
  result.rebuilds = static_cast<uint64_t>(difference("stats", "rebuilds"));
  result.resyncs = static_cast<uint64_t>(difference("stats", "resyncs"));
  if (result.applier_seconds <= 0) throw Failure("the follower has no thread named ss-applier");
  return result;
}

}  // namespace slipstream::bench
