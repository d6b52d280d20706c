// bench_scale: whether what applying costs depends on the number of column families and SST files,
// and what new generations cost beside it.
#include <string>
#include <vector>

#include "bench/backlog.h"
#include "bench/benchmark.h"
#include "bench/cluster.h"

namespace slipstream::bench {
namespace {

using nlohmann::json;

constexpr char kAbout[] =
    "Measures what a follower's applying costs for each key with 1 to 1000 column families, and\n"
    "with 10 to 10 000 SST files; then what new generations cost beside applying, with 16 column\n"
    "families that are written unevenly.\n";

constexpr char kMethod[] =
    "apply   CPU of the follower's thread that applies, per key of a backlog that the leader "
    "wrote\n"
    "        in batches of 100 while the follower was stopped; nothing is flushed. Keys go to the\n"
    "        column families in turn. process: CPU of the whole process.\n"
    "rebuild wall time of the next new generation, after a flush\n"
    "share   CPU of the thread that builds generations over that of the two that receive and "
    "apply,\n"
    "        while the leader writes --share-rate in batches of 10 with write buffers of 2 MiB; "
    "the\n"
    "        n-th column family gets 1/n of what the first one gets.\n"
    "flat    the largest figure of a round over the smallest; the tables have the medians over\n"
    "        the rounds, with the ranges. After each round a follower must hold exactly what the\n"
    "        leader holds.\n";

constexpr int kAttempts = 4;

struct Options {
  Data data;
  uint64_t write_keys = 300'000;
  std::vector<uint64_t> families = {1, 10, 100, 1000};
  std::vector<uint64_t> files = {10, 100, 1000, 10'000};
  uint64_t share_families = 16;
  uint64_t share_rate = 150'000;
  uint64_t share_ms = 8'000;
};
Options o;

std::string Point(const char* what, uint64_t count) { return std::to_string(count) + " " + what; }

DatabaseSettings SettingsOf(Session* session) {
  DatabaseSettings database;
  database.data = o.data;
  database.data.seed = session->seed();
  return database;
}

// Returns false if the stream broke meanwhile, so that an image was taken in place of applying.
bool TryPoint(Session* session, const std::string& name, uint64_t families, uint64_t files) {
  DatabaseSettings database = SettingsOf(session);
  database.data.column_families = families;
  database.shape.write_buffer_bytes = kNeverFlush;
  // A thousand memtables with RocksDB's megabyte each would measure the kernel's pages.
  database.shape.arena_block_bytes = 64 << 10;
  database.shape.replay_memtable = true;
  database.shape.auto_compaction = false;
  database.replication_log_bytes = 4ull << 30;
  database.stream_timeout_ms = 600'000;
  database.rebuild_interval_ms = 20;
  Cluster cluster(session, name, database);
  cluster.StartWriter(Kind::kLeader);
  if (files > 0) cluster.Ask(cluster.writer(), {{"do", "ingest"}, {"files", files}});
  Process* follower = cluster.StartReader(Kind::kFollower);
  Load load;
  load.keys = o.write_keys;
  load.batch = 100;
  const CatchUp result = BuildAndDrainBacklog(&cluster, follower, load);
  if (result.resyncs > 0) return false;

  const json before = cluster.Ask(follower, {{"do", "usage"}});
  const uint64_t rebuilds = before.at("stats").at("rebuilds");
  cluster.Flush();
  cluster.Ask(follower, {{"do", "rebuild"}, {"rebuilds", rebuilds + 1}});
  const json after = cluster.Ask(follower, {{"do", "usage"}});
  Figures& figures = session->figures();
  const auto keys = static_cast<double>(result.keys);
  figures.Set(name + ", apply us", result.applier_seconds / keys * 1e6);
  figures.Set(name + ", process us", result.process_seconds / keys * 1e6);
  figures.Set(name + ", keys/s", result.keys_per_second());
  figures.Set(name + ", rebuild ms", after.at("stats").at("last_rebuild_us").get<double>() / 1000);
  figures.Set(name + ", open ms",
              static_cast<double>(follower->opened_ns - follower->started_ns) * 1e-6);
  cluster.Compare();
  cluster.Quit();
  return true;
}

void RunPoint(Session* session, const std::string& name, uint64_t families, uint64_t files) {
  // A leader gives up a follower that is silent for 5 s, which a slow machine may take to write.
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    if (TryPoint(session, name, families, files)) return;
  }
  throw Failure(name + ": the leader gave up the stopped follower; try fewer --write-keys");
}

void Share(Session* session) {
  DatabaseSettings database = SettingsOf(session);
  database.data.column_families = o.share_families;
  database.data.uneven = true;
  database.shape.write_buffer_bytes = 2 << 20;
  Cluster cluster(session, "uneven", database);
  cluster.StartWriter(Kind::kLeader);
  Process* follower = cluster.StartReader(Kind::kFollower);
  const json before = cluster.Ask(follower, {{"do", "usage"}});
  Load load;
  load.rate = o.share_rate;
  load.batch = 10;
  load.duration_ms = o.share_ms;
  load.settle = true;
  const WriterResult written = cluster.Write(load);
  cluster.Ask(follower, UpTo("reach", written));
  const json after = cluster.Ask(follower, {{"do", "usage"}});
  const auto used = [&](const char* group, const char* name) {
    return after.at(group).value(name, 0.0) - before.at(group).value(name, 0.0);
  };
  Figures& figures = session->figures();
  const auto keys = static_cast<double>(written.keys);
  figures.Set("uneven, keys/s", written.keys_per_second());
  // The receiver applies small messages, and its thread cannot be told from what it does then.
  figures.Set("uneven, applier us",
              (used("threads", "ss-applier") + used("threads", "ss-receiver")) / keys * 1e6);
  figures.Set("uneven, builder us", used("threads", "ss-builder") / keys * 1e6);
  figures.Set("uneven, rebuilds", used("stats", "rebuilds"));
  figures.Set("uneven, rebuild ms",
              used("stats", "rebuild_us") / 1000 / std::max(1.0, used("stats", "rebuilds")));
  cluster.Compare();
  cluster.Quit();
}

void Round(Session* session) {
  session->Alternate(o.families.size(), [&](size_t i) {
    RunPoint(session, Point("column families", o.families[i]), o.families[i], 0);
  });
  session->Alternate(o.files.size(), [&](size_t i) {
    RunPoint(session, Point("SST files", o.files[i]), 1, o.files[i]);
  });
  Share(session);
}

void AddPoints(Session* session, const char* what, const std::vector<uint64_t>& counts) {
  const Figures& figures = session->figures();
  Table table{std::string("Applying, by number of ") + what,
              {{what, "apply CPU us a key", "process CPU us a key", "keys/s", "rebuild ms",
                "new follower's first read ms"}}};
  std::vector<std::string> names;
  for (const uint64_t count : counts) {
    const std::string name = Point(what, count);
    names.push_back(name + ", apply us");
    table.rows.push_back(
        {std::to_string(count), ToText(figures.Of(name + ", apply us"), 2),
         ToText(figures.Of(name + ", process us"), 2), ToText(figures.Of(name + ", keys/s"), 0),
         ToText(figures.Of(name + ", rebuild ms"), 1), ToText(figures.Of(name + ", open ms"), 0)});
  }
  session->report().tables.push_back(std::move(table));
  if (counts.empty()) return;
  session->report().AddTarget({.what = "apply cost per key, " + std::to_string(counts.front()) +
                                       " to " + std::to_string(counts.back()) + " " + what +
                                       ": largest / smallest",
                               .figure = figures.Flatness(names),
                               .debian = 1.2,
                               .release = 1.2});
}

void MakeReport(Session* session) {
  AddPoints(session, "column families", o.families);
  AddPoints(session, "SST files", o.files);
  const Figures& figures = session->figures();
  Table share{std::to_string(o.share_families) + " column families, written unevenly",
              {{"keys/s", "receive and apply CPU us a key", "builder CPU us a key", "rebuilds",
                "ms each", "builder / receive and apply"}}};
  const Spread ratio = figures.Ratio("uneven, builder us", "uneven, applier us");
  share.rows.push_back(
      {ToText(figures.Of("uneven, keys/s"), 0), ToText(figures.Of("uneven, applier us"), 2),
       ToText(figures.Of("uneven, builder us"), 2), ToText(figures.Of("uneven, rebuilds"), 0),
       ToText(figures.Of("uneven, rebuild ms"), 1), ToText(ratio, 2)});
  session->report().tables.push_back(std::move(share));
  session->report().AddTarget({.what = "rebuild cost / apply cost, " +
                                       std::to_string(o.share_families) +
                                       " unevenly written column families",
                               .figure = ratio,
                               .debian = 0.25,
                               .release = 0.25});
}

void AddOptions(CLI::App* app) {
  app->add_option("--write-keys", o.write_keys, "keys of a backlog")
      ->check(Between(1000, 100'000'000));
  app->add_option("--families", o.families, "numbers of column families")->delimiter(',');
  app->add_option("--files", o.files, "numbers of SST files")->delimiter(',');
  app->add_option("--share-families", o.share_families, "column families written unevenly")
      ->check(Between(1, 1000));
  app->add_option("--share-rate", o.share_rate, "keys written per second to those")
      ->check(Between(0, 10'000'000));
  app->add_option("--share-ms", o.share_ms, "so long, in milliseconds")
      ->check(Between(100, 600'000));
  app->add_option("--keys", o.data.key_space, "different keys, of 16 bytes")
      ->check(Between(1, 10'000'000'000));
  app->add_option("--value-bytes", o.data.value_bytes, "size of a value")
      ->check(Between(0, 1 << 20));
}

void MakeQuick() {
  o.write_keys = 10'000;
  o.families = {1, 10};
  o.files = {10, 20};
  o.share_ms = 300;
}

}  // namespace
}  // namespace slipstream::bench

int main(int argc, char** argv) {
  using namespace slipstream::bench;
  return Main({.name = "scale",
               .about = kAbout,
               .method = kMethod,
               .options = AddOptions,
               .quick = MakeQuick,
               .round = Round,
               .report = MakeReport},
              argc, argv);
}
