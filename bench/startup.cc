// bench_startup: how long a new follower takes until its first read.
#include <memory>
#include <string>

#include "bench/benchmark.h"
#include "bench/cluster.h"

namespace slipstream::bench {
namespace {

constexpr char kAbout[] =
    "Measures how long a new follower takes until its first read, with little and with much data\n"
    "in SST files (--small-mib, --large-mib). The two leaders are made once; each round starts a\n"
    "new follower process of each.\n";

constexpr char kMethod[] =
    "first read  from the moment before the follower's process is made until it has answered a\n"
    "        Get. The files are in the page cache; --unflushed-mib are not flushed.\n"
    "        At the end the followers must hold exactly what their leaders hold.\n"
    "ratio   of the two sides of one round; the table has the medians over the rounds, with the\n"
    "        ranges.\n";

struct Options {
  Data data{.value_bytes = 1000, .ascending = true};
  uint64_t small_mib = 200;
  uint64_t large_mib = 2048;
  uint64_t unflushed_mib = 8;
};
Options o;

struct Side {
  const char* name;
  uint64_t* mib;
};
const Side kSides[] = {{"small", &o.small_mib}, {"large", &o.large_mib}};

// Leaders of all rounds.
std::unique_ptr<Cluster> clusters[2];

std::unique_ptr<Cluster> MakeLeader(Session* session, const Side& side) {
  DatabaseSettings database;
  database.data = o.data;
  database.data.seed = session->seed();
  // Flushed files do not overlap: compaction would only take time.
  database.shape.auto_compaction = false;
  database.shape.replay_memtable = true;
  auto cluster = std::make_unique<Cluster>(session, side.name, database);
  session->Progress(std::string(side.name) + ": " + std::to_string(*side.mib) + " MiB");
  cluster->StartWriter(Kind::kLeader);
  const uint64_t pair_bytes = kKeyBytes + o.data.value_bytes;
  Load load;
  load.keys = (*side.mib << 20) / pair_bytes;
  load.batch = 100;
  cluster->Write(load);
  cluster->Flush();
  load.first_key = load.keys;
  load.keys = (o.unflushed_mib << 20) / pair_bytes + 1;
  cluster->Write(load);
  return cluster;
}

void Round(Session* session) {
  for (size_t i = 0; i < 2; ++i) {
    if (clusters[i] == nullptr) clusters[i] = MakeLeader(session, kSides[i]);
  }
  session->Alternate(2, [&](size_t i) {
    const std::string name = kSides[i].name;
    session->Progress(name);
    const Process* follower = clusters[i]->StartReader(Kind::kFollower);
    session->figures().Set(name + ", first read ms",
                           static_cast<double>(follower->opened_ns - follower->started_ns) * 1e-6);
    if (session->is_last_round()) clusters[i]->Compare();
    clusters[i]->QuitReader();
  });
  if (!session->is_last_round()) return;
  for (auto& cluster : clusters) {
    cluster->Quit();
    cluster.reset();
  }
}

void MakeReport(Session* session) {
  const Figures& figures = session->figures();
  Report& report = session->report();
  const Spread large = figures.Of("large, first read ms");
  const Spread ratio = figures.Ratio("large, first read ms", "small, first read ms");
  Table table{"A new follower", {{"SST files", "first read ms"}}};
  for (const Side& side : kSides) {
    table.rows.push_back({std::to_string(*side.mib) + " MiB",
                          ToText(figures.Of(std::string(side.name) + ", first read ms"), 0)});
  }
  table.rows.push_back({"ratio", ToText(ratio, 2)});
  report.tables.push_back(std::move(table));
  report.AddTarget({.what = "new follower's time to first read, " + std::to_string(o.large_mib) +
                            " MiB of SSTs / " + std::to_string(o.small_mib) + " MiB",
                    .figure = ratio,
                    .debian = 1.3,
                    .release = 1.3});
  report.AddTarget(
      {.what = "new follower's time to first read, " + std::to_string(o.large_mib) + " MiB of SSTs",
       .figure = large,
       .decimals = 0,
       .unit = "ms",
       .debian = 500,
       .release = 500});
}

void AddOptions(CLI::App* app) {
  app->add_option("--small-mib", o.small_mib, "keys and values in SST files of the small database")
      ->check(Between(1, 1 << 20));
  app->add_option("--large-mib", o.large_mib, "the same of the large one")
      ->check(Between(1, 1 << 20));
  app->add_option("--unflushed-mib", o.unflushed_mib, "of both, not flushed")
      ->check(Between(0, 32));
  app->add_option("--value-bytes", o.data.value_bytes, "size of a value")
      ->check(Between(0, 1 << 20));
}

void MakeQuick() {
  o.small_mib = 1;
  o.large_mib = 4;
  o.unflushed_mib = 1;
}

}  // namespace
}  // namespace slipstream::bench

int main(int argc, char** argv) {
  using namespace slipstream::bench;
  return Main({.name = "startup",
               .about = kAbout,
               .method = kMethod,
               .rounds = 9,
               .options = AddOptions,
               .quick = MakeQuick,
               .round = Round,
               .report = MakeReport},
              argc, argv);
}
