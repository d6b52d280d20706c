// bench_flood: what a write flood on the leader does to others, and they to it.
#include <algorithm>
#include <string>
#include <thread>

#include "bench/benchmark.h"
#include "bench/cluster.h"
#include "bench/process_usage.h"
#include "bench/queries.h"

namespace slipstream::bench {
namespace {

using nlohmann::json;

constexpr char kAbout[] =
    "Lets the leader write as fast as it can:\n"
    "  alone      without followers, with one that is stopped (SIGSTOP), with one that follows;\n"
    "             in batches of 1\n"
    "  memory     with one that follows, in batches of 100\n"
    "  isolation  in batches of 100, while queries are made on the leader, or on a follower\n";

constexpr char kMethod[] =
    "memory  the largest anonymous memory of a process while writing, looked at every 10 ms;\n"
    "        beyond memtable: without FollowerStats::memtable_bytes of the same moment. Allowed:\n"
    "        1.5 times the most that the leader had unflushed, and 64 MiB.\n"
    "query   a Get, a Seek and 10 Next of a key that is there; as many a second as\n"
    "        --query-rate, from the moment the query was due if the one before has taken longer.\n"
    "        With 2 cores or more the leader's process has one to itself, the follower's another.\n"
    "        After each round a follower must hold exactly what the leader holds.\n"
    "ratio   of the two sides of one round; the tables have the medians over the rounds, with\n"
    "        the ranges.\n";

constexpr uint64_t kMiB = 1 << 20;

struct Options {
  Data data;
  Shape shape;
  uint64_t duration_ms = 4'000;
  uint64_t write_buffer_mib = 32;
  uint64_t query_rate = 5'000;
  uint64_t preload = 300'000;
};
Options o;

DatabaseSettings SettingsOf(Session* session) {
  DatabaseSettings database;
  database.data = o.data;
  database.data.seed = session->seed();
  database.shape = o.shape;
  database.shape.write_buffer_bytes = o.write_buffer_mib << 20;
  return database;
}

Load FloodOf(uint64_t batch) {
  Load load;
  load.batch = batch;
  load.duration_ms = o.duration_ms;
  return load;
}

struct Flood {
  const char* name;
  uint64_t batch;
  bool follower;
  bool stopped;
};
const Flood kFloods[] = {{"no follower", 1, false, false},
                         {"stopped follower", 1, true, true},
                         {"follower", 1, true, false},
                         {"follower, batches of 100", 100, true, false}};

double MiB(uint64_t bytes) { return static_cast<double>(bytes) / kMiB; }

void RunFlood(Session* session, const Flood& flood) {
  const std::string name = flood.name;
  Cluster cluster(session, name, SettingsOf(session));
  cluster.StartWriter(Kind::kLeader);
  Process* follower = flood.follower ? cluster.StartReader(Kind::kFollower) : nullptr;
  if (flood.stopped) {
    follower->child->Stop();
  } else if (flood.follower) {
    cluster.Ask(follower, {{"do", "memory"}});
  }
  cluster.Ask(cluster.writer(), {{"do", "memory"}});
  const WriterResult written = cluster.Write(FloodOf(flood.batch));
  const auto leader = cluster.Ask(cluster.writer(), {{"do", "memory_end"}}).get<MemoryPeaks>();
  if (flood.stopped) follower->child->Continue();
  if (flood.follower) cluster.Ask(follower, UpTo("reach", written));

  Figures& figures = session->figures();
  figures.Set(name + ", keys/s", written.keys_per_second());
  figures.Set(name + ", leader MiB", MiB(leader.process_bytes));
  figures.Set(name + ", unflushed MiB", MiB(leader.memtable_bytes));
  figures.Set(name + ", replication log MiB", MiB(leader.replication_log_bytes));
  if (flood.follower && !flood.stopped) {
    const auto memory = cluster.Ask(follower, {{"do", "memory_end"}}).get<MemoryPeaks>();
    figures.Set(name + ", follower MiB", MiB(memory.process_bytes));
    figures.Set(name + ", memtable MiB", MiB(memory.memtable_bytes));
    figures.Set(name + ", beyond memtable MiB", MiB(memory.beyond_memtable_bytes));
    figures.Set(name + ", allowed MiB", 1.5 * MiB(leader.memtable_bytes) + 64);
    figures.Set(name + ", image MiB", MiB(memory.image_bytes));
    figures.Set(name + ", receive queue MiB", MiB(memory.receive_queue_bytes));
    figures.Set(name + ", generations", static_cast<double>(memory.live_generations));
  }
  cluster.Compare();
  cluster.Quit();
}

void RunIsolation(Session* session, bool on_leader) {
  const std::string name = on_leader ? "queries on the leader" : "queries on a follower";
  const bool cores = std::thread::hardware_concurrency() >= 2;
  Cluster cluster(session, name, SettingsOf(session));
  cluster.StartWriter(Kind::kLeader, cores ? 0 : -1);
  Load preload;
  preload.keys = o.preload;
  preload.batch = 100;
  cluster.Write(preload);
  cluster.Flush();
  // There is one in both cases, so that the leader has the same to do.
  Process* follower = cluster.StartReader(Kind::kFollower, 0, cores ? 1 : -1);
  Process* asked = on_leader ? cluster.writer() : follower;
  QuerySettings queries;
  queries.keys = o.preload;
  queries.scan_keys = 10;
  queries.rate = o.query_rate;
  cluster.Ask(asked, {{"do", "query"}, {"settings", queries}});
  Load load = FloodOf(100);
  load.first_key = o.preload;
  const WriterResult written = cluster.Write(load);
  const auto result = cluster.Ask(asked, {{"do", "query_end"}}).get<QueryResult>();
  cluster.Ask(follower, UpTo("reach", written));
  Figures& figures = session->figures();
  figures.Set(name + ", p50", result.p50_us);
  figures.Set(name + ", p90", result.p90_us);
  figures.Set(name + ", p99", result.p99_us);
  figures.Set(name + ", max", result.max_us);
  figures.Set(name + ", queries/s", static_cast<double>(result.queries) / result.seconds);
  figures.Set(name + ", keys/s", written.keys_per_second());
  cluster.Compare();
  cluster.Quit();
}

void Round(Session* session) {
  session->Alternate(std::size(kFloods), [&](size_t i) { RunFlood(session, kFloods[i]); });
  session->Alternate(2, [&](size_t i) { RunIsolation(session, i == 0); });
}

void AddTables(Session* session) {
  const Figures& figures = session->figures();
  const auto text = [&](const std::string& name, const char* what, int decimals) {
    return ToText(figures.Of(name + ", " + what), decimals);
  };
  Table floods{"A leader that writes all it can",
               {{"", "keys/s", "leader MiB", "unflushed MiB", "replication log MiB", "follower MiB",
                 "its memtable MiB", "beyond memtable MiB", "allowed MiB"}}};
  for (const Flood& flood : kFloods) {
    const std::string name = flood.name;
    floods.rows.push_back({name, text(name, "keys/s", 0), text(name, "leader MiB", 0),
                           text(name, "unflushed MiB", 0), text(name, "replication log MiB", 0),
                           text(name, "follower MiB", 0), text(name, "memtable MiB", 0),
                           text(name, "beyond memtable MiB", 0), text(name, "allowed MiB", 0)});
  }
  session->report().tables.push_back(std::move(floods));
  Table queries{"Queries during a flood in batches of 100, us",
                {{"", "p50", "p90", "p99", "max", "queries/s", "keys/s written"}}};
  for (const char* name : {"queries on the leader", "queries on a follower"}) {
    queries.rows.push_back({name, text(name, "p50", 0), text(name, "p90", 0), text(name, "p99", 0),
                            text(name, "max", 0), text(name, "queries/s", 0),
                            text(name, "keys/s", 0)});
  }
  session->report().tables.push_back(std::move(queries));
}

void MakeReport(Session* session) {
  AddTables(session);
  const Figures& figures = session->figures();
  Report& report = session->report();
  report.AddTarget({.what = "leader max write throughput with a stopped follower / with none",
                    .figure = figures.Ratio("stopped follower, keys/s", "no follower, keys/s"),
                    .at_most = false,
                    .debian = 0.97,
                    .release = 0.97});
  report.AddTarget({.what = "leader memory with a stopped follower: replication log (limit 64 MiB)",
                    .figure = figures.Of("stopped follower, replication log MiB"),
                    .decimals = 0,
                    .unit = "MiB",
                    .debian = 64,
                    .release = 64});
  report.AddTarget(
      {.what = "leader memory with a stopped follower / with none",
       .figure = figures.Ratio("stopped follower, leader MiB", "no follower, leader MiB"),
       .debian = 1.1,
       .release = 1.1});
  report.AddTarget(
      {.what = "isolation, a core each: query p99 on a follower / on the leader",
       .figure = figures.Ratio("queries on a follower, p99", "queries on the leader, p99"),
       .debian = 0.3,
       .release = 0.3});
  for (const char* name : {"follower", "follower, batches of 100"}) {
    const std::string prefix = name;
    report.AddTarget(
        {.what = std::string("follower memory beyond memtable payload / (1.5 x the leader's "
                             "unflushed bytes + 64 MiB)") +
                 (prefix == "follower" ? ", batches of 1" : ", batches of 100"),
         .figure = figures.Ratio(prefix + ", beyond memtable MiB", prefix + ", allowed MiB"),
         .debian = 1,
         .release = 1});
  }
}

void AddOptions(CLI::App* app) {
  app->add_option("--ms", o.duration_ms, "length of a flood, in milliseconds")
      ->check(Between(100, 600'000));
  app->add_option("--preload", o.preload, "keys written and flushed before queries are made")
      ->check(Between(1, 1'000'000'000));
  app->add_option("--query-rate", o.query_rate, "queries a second; 0 = all it can")
      ->check(Between(0, 1'000'000));
  app->add_option("--keys", o.data.key_space, "different keys, of 16 bytes")
      ->check(Between(1, 10'000'000'000));
  app->add_option("--value-bytes", o.data.value_bytes, "size of a value")
      ->check(Between(0, 1 << 20));
  app->add_option("--write-buffer-mib", o.write_buffer_mib, "write_buffer_size, in MiB")
      ->check(Between(1, 4096));
}

void MakeQuick() {
  o.duration_ms = 100;
  o.preload = 2'000;
}

}  // namespace
}  // namespace slipstream::bench

int main(int argc, char** argv) {
  using namespace slipstream::bench;
  return Main({.name = "flood",
               .about = kAbout,
               .method = kMethod,
               .options = AddOptions,
               .quick = MakeQuick,
               .round = Round,
               .report = MakeReport},
              argc, argv);
}
