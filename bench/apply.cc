// bench_apply: how fast a follower applies, and how fast one that was away catches up.
#include <string>

#include "bench/backlog.h"
#include "bench/benchmark.h"
#include "bench/cluster.h"

namespace slipstream::bench {
namespace {

constexpr char kAbout[] =
    "Measures how fast a follower applies what it has received, and catches up:\n"
    "  bare      DB::Write(disableWAL) into RocksDB's skip list, never flushed\n"
    "  follower  what a leader wrote while its follower was stopped, never flushed\n"
    "  away      a follower that was stopped for --away-mib of writes, with flushes and\n"
    "            compactions on the leader meanwhile\n";

constexpr char kMethod[] =
    "rate    keys over wall time, from the moment the follower goes on (SIGCONT) until everything\n"
    "        is visible; of the bare RocksDB, until the last write has returned. In batches of\n"
    "        100. CPU: of the whole process of the follower, from gRPC to the memtable.\n"
    "        The leader uses the replay memtable here, to be done with writing sooner.\n"
    "        After each round a follower must hold exactly what the leader holds.\n"
    "ratio   of the two sides of one round; the table has the medians over the rounds, with\n"
    "        the ranges.\n";

constexpr uint64_t kReplicationLogBytes = 4ull << 30;
constexpr int kAttempts = 4;

struct Options {
  Data data;
  uint64_t write_keys = 1'000'000;
  uint64_t away_mib = 1024;
};
Options o;

DatabaseSettings SettingsOf(Session* session) {
  DatabaseSettings database;
  database.data = o.data;
  database.data.seed = session->seed();
  return database;
}

Load LoadOf(uint64_t keys) {
  Load load;
  load.keys = keys;
  load.batch = 100;
  return load;
}

void Bare(Session* session) {
  DatabaseSettings database = SettingsOf(session);
  database.shape.write_buffer_bytes = kNeverFlush;
  Cluster cluster(session, "bare", database);
  cluster.StartWriter(Kind::kPlain);
  Load load = LoadOf(o.write_keys);
  load.disable_wal = true;
  const WriterResult written = cluster.Write(load);
  session->figures().Set("bare, keys/s", written.keys_per_second());
  session->figures().Set("bare, CPU", written.cpu_per_million());
  cluster.Quit();
}

void SetFigures(Session* session, const std::string& name, const CatchUp& c) {
  Figures& figures = session->figures();
  const double millions = static_cast<double>(c.keys) * 1e-6;
  figures.Set(name + ", keys/s", c.keys_per_second());
  figures.Set(name + ", seconds", c.seconds);
  figures.Set(name + ", CPU", c.process_seconds / millions);
  figures.Set(name + ", applier CPU", c.applier_seconds / millions);
  figures.Set(name + ", leader keys/s", static_cast<double>(c.keys) / c.write_seconds);
  figures.Set(name + ", images", static_cast<double>(c.resyncs));
  figures.Set(name + ", rebuilds", static_cast<double>(c.rebuilds));
}

// Returns false if the stream broke meanwhile, so that an image was taken in place of applying.
bool TryFollower(Session* session) {
  DatabaseSettings database = SettingsOf(session);
  database.shape.write_buffer_bytes = kNeverFlush;
  database.shape.replay_memtable = true;
  database.replication_log_bytes = kReplicationLogBytes;
  database.stream_timeout_ms = 600'000;
  Cluster cluster(session, "follower", database);
  cluster.StartWriter(Kind::kLeader);
  Process* follower = cluster.StartReader(Kind::kFollower);
  const CatchUp result = BuildAndDrainBacklog(&cluster, follower, LoadOf(o.write_keys));
  cluster.Compare();
  cluster.Quit();
  SetFigures(session, "follower", result);
  return result.resyncs == 0;
}

void Away(Session* session) {
  DatabaseSettings database = SettingsOf(session);
  database.shape.replay_memtable = true;
  Cluster cluster(session, "away", database);
  cluster.StartWriter(Kind::kLeader);
  Process* follower = cluster.StartReader(Kind::kFollower);
  const uint64_t keys = (o.away_mib << 20) / (kKeyBytes + o.data.value_bytes);
  const CatchUp result = BuildAndDrainBacklog(&cluster, follower, LoadOf(keys));
  cluster.Compare();
  cluster.Quit();
  SetFigures(session, "away", result);
}

void Follower(Session* session) {
  // A leader gives up a follower that is silent for 5 s, which a slow machine may take to write.
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    if (TryFollower(session)) return;
  }
  throw Failure("the leader gave up the stopped follower each time; try fewer --write-keys");
}

void Round(Session* session) {
  session->Alternate(3, [&](size_t i) {
    if (i == 0) Bare(session);
    if (i == 1) Follower(session);
    if (i == 2) Away(session);
  });
}

void MakeReport(Session* session) {
  const Figures& figures = session->figures();
  Report& report = session->report();
  Table table{"Batches of 100", {{"", "keys/s", "seconds", "CPU s/Mkey", "images taken"}}};
  table.rows.push_back({"bare DB::Write, skip list", ToText(figures.Of("bare, keys/s"), 0), "-",
                        ToText(figures.Of("bare, CPU"), 2), "-"});
  for (const char* name : {"follower", "away"}) {
    const std::string prefix = std::string(name) + ", ";
    table.rows.push_back(
        {std::string(name) == "away"
             ? "follower, away for " + std::to_string(o.away_mib) + " MiB of writes"
             : "follower, a backlog of " + std::to_string(o.write_keys) + " keys",
         ToText(figures.Of(prefix + "keys/s"), 0), ToText(figures.Of(prefix + "seconds"), 2),
         ToText(figures.Of(prefix + "CPU"), 2), ToText(figures.Of(prefix + "images"), 0)});
  }
  report.tables.push_back(std::move(table));
  report.AddTarget(
      {.what = "max apply rate, batches of 100 / bare DB::Write(disableWAL), skip list",
       .figure = figures.Ratio("follower, keys/s", "bare, keys/s"),
       .at_most = false,
       .debian = 3,
       .release = 3});
  report.AddTarget({.what = "catch-up after " + std::to_string(o.away_mib) +
                            " MiB of writes away: rate / max apply rate",
                    .figure = figures.Ratio("away, keys/s", "follower, keys/s"),
                    .at_most = false,
                    .debian = 0.8,
                    .release = 0.8});
}

void AddOptions(CLI::App* app) {
  app->add_option("--write-keys", o.write_keys, "keys of the backlog, and of the bare RocksDB")
      ->check(Between(1000, 100'000'000));
  app->add_option("--away-mib", o.away_mib, "keys and values written while a follower is away")
      ->check(Between(1, 1 << 20));
  app->add_option("--keys", o.data.key_space, "different keys, of 16 bytes")
      ->check(Between(1, 10'000'000'000));
  app->add_option("--value-bytes", o.data.value_bytes, "size of a value")
      ->check(Between(0, 1 << 20));
}

void MakeQuick() {
  o.write_keys = 20'000;
  o.away_mib = 4;
}

}  // namespace
}  // namespace slipstream::bench

int main(int argc, char** argv) {
  using namespace slipstream::bench;
  return Main({.name = "apply",
               .about = kAbout,
               .method = kMethod,
               .options = AddOptions,
               .quick = MakeQuick,
               .round = Round,
               .report = MakeReport},
              argc, argv);
}
