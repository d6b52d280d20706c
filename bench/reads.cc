// bench_reads: how fast reads are on a follower that applies meanwhile.
#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "bench/benchmark.h"
#include "bench/child_process.h"
#include "bench/cluster.h"
#include "bench/cpu_time.h"
#include "bench/queries.h"
#include "lib/follower/generation.h"

namespace slipstream::bench {
namespace {

using nlohmann::json;

constexpr char kAbout[] =
    "Measures reads on a follower while the leader writes:\n"
    "  plain      RocksDB with its skip list and the same unflushed data, idle\n"
    "  follower   a follower while --rate is applied; from --rates too\n"
    "  generation what finding the current generation costs in each read, with 1 and 2 threads\n";

constexpr char kMethod[] =
    "Get     of a random key that is there and not flushed, by one thread, one after the other;\n"
    "        each one is timed. plain holds --unflushed keys and those that the follower gets\n"
    "        while it is measured.\n"
    "ns      of CPU of a thread, for each reference that is taken and dropped\n"
    "        After each round a follower must hold exactly what the leader holds.\n"
    "ratio   of the two sides of one round; the tables have the medians over the rounds, with\n"
    "        the ranges.\n";

struct Options {
  Data data;
  uint64_t unflushed = 500'000;
  uint64_t rate = 50'000;
  std::vector<uint64_t> rates = {0, 10'000, 25'000, 100'000};
  uint64_t duration_ms = 3'000;
  uint64_t lookups = 20'000'000;
};
Options o;

std::string AtRate(uint64_t rate) { return "follower at " + std::to_string(rate); }

DatabaseSettings SettingsOf(Session* session) {
  DatabaseSettings database;
  database.data = o.data;
  database.data.seed = session->seed();
  database.shape.write_buffer_bytes = kNeverFlush;
  return database;
}

QueryResult EndQueries(Session* session, Cluster* cluster, Process* process,
                       const std::string& name) {
  const auto result = cluster->Ask(process, {{"do", "query_end"}}).get<QueryResult>();
  Figures& figures = session->figures();
  figures.Set(name + ", p50", result.p50_us);
  figures.Set(name + ", p90", result.p90_us);
  figures.Set(name + ", p99", result.p99_us);
  figures.Set(name + ", Gets/s", static_cast<double>(result.queries) / result.seconds);
  return result;
}

json BeginQueries() {
  QuerySettings settings;
  settings.keys = o.unflushed;
  return {{"do", "query"}, {"settings", settings}};
}

void Wait(uint64_t ms) {
  for (uint64_t waited = 0; waited < ms; waited += 50) {
    if (Interrupted()) throw Interruption();
    SleepUs(50'000);
  }
}

void Plain(Session* session) {
  Cluster cluster(session, "plain", SettingsOf(session));
  Process* plain = cluster.StartWriter(Kind::kPlain);
  Load load;
  load.keys = o.unflushed + o.rate * o.duration_ms / 1000;
  load.batch = 100;
  load.disable_wal = true;
  cluster.Write(load);
  cluster.Ask(plain, BeginQueries());
  Wait(o.duration_ms);
  EndQueries(session, &cluster, plain, "plain");
  cluster.Quit();
}

void AtRates(Session* session, const std::vector<uint64_t>& rates) {
  Cluster cluster(session, "follower", SettingsOf(session));
  cluster.StartWriter(Kind::kLeader);
  Load load;
  load.keys = o.unflushed;
  load.batch = 100;
  cluster.Write(load);
  Process* follower = cluster.StartReader(Kind::kFollower);
  load.first_key = o.unflushed;
  load.batch = 1;
  for (const uint64_t rate : rates) {
    session->Progress(AtRate(rate));
    cluster.Ask(follower, BeginQueries());
    if (rate == 0) {
      Wait(o.duration_ms);
    } else {
      load.keys = 0;
      load.duration_ms = o.duration_ms;
      load.rate = rate;
      const WriterResult written = cluster.Write(load);
      load.first_key += written.keys;
      session->figures().Set(AtRate(rate) + ", keys/s", written.keys_per_second());
    }
    EndQueries(session, &cluster, follower, AtRate(rate));
  }
  cluster.Ask(follower, UpTo("reach", cluster.Write({.keys = 1})));
  cluster.Compare();
  cluster.Quit();
}

// Nanoseconds of CPU for each lookup, of the slowest of `threads` threads.
double LookupNs(uint64_t threads) {
  GenerationSet generations;
  generations.Publish(GenerationContents());
  std::vector<double> ns(threads, 0);
  std::vector<std::thread> running;
  for (double& mine : ns) {
    running.emplace_back([&generations, &mine] {
      uint64_t found = 0;
      const uint64_t begin_ns = ThreadCpuNs();
      for (uint64_t n = 0; n < o.lookups; ++n) {
        const GenerationRef ref = generations.Acquire();
        found += ref ? 1 : 0;
      }
      mine = static_cast<double>(ThreadCpuNs() - begin_ns) / static_cast<double>(found);
    });
  }
  for (std::thread& t : running) t.join();
  return *std::max_element(ns.begin(), ns.end());
}

void Round(Session* session) {
  std::vector<uint64_t> rates = {o.rate};
  // For a plot, where one round is enough.
  if (session->is_last_round()) rates.insert(rates.end(), o.rates.begin(), o.rates.end());
  session->Alternate(2, [&](size_t i) { i == 0 ? Plain(session) : AtRates(session, rates); });
  session->Progress("generation");
  for (const uint64_t threads : {1, 2}) {
    session->figures().Set("generation, " + std::to_string(threads), LookupNs(threads));
  }
}

void MakeReport(Session* session) {
  const Figures& figures = session->figures();
  Report& report = session->report();
  Table table{"Get of an unflushed key, us", {{"", "p50", "p90", "p99", "Gets/s"}}};
  std::vector<uint64_t> rates = o.rates;
  rates.push_back(o.rate);
  std::sort(rates.begin(), rates.end());
  const auto row = [&](const std::string& name) {
    return TextRow{name, ToText(figures.Of(name + ", p50"), 2),
                   ToText(figures.Of(name + ", p90"), 2), ToText(figures.Of(name + ", p99"), 2),
                   ToText(figures.Of(name + ", Gets/s"), 0)};
  };
  table.rows.push_back(row("plain"));
  table.rows.back()[0] = "plain RocksDB, skip list, idle";
  for (const uint64_t rate : rates) {
    table.rows.push_back(row(AtRate(rate)));
    table.rows.back()[0] = "follower, " + std::to_string(rate) + " keys/s applied";
    report.series["read_latency_by_apply_rate"]["follower"].push_back(
        {rate, figures.Of(AtRate(rate) + ", p50").median,
         figures.Of(AtRate(rate) + ", p99").median});
    report.series["read_latency_by_apply_rate"]["plain RocksDB, idle"].push_back(
        {rate, figures.Of("plain, p50").median, figures.Of("plain, p99").median});
  }
  report.tables.push_back(std::move(table));
  Table lookups{"Finding the current generation", {{"threads", "CPU ns"}}};
  for (const char* threads : {"1", "2"}) {
    lookups.rows.push_back({threads, ToText(figures.Of(std::string("generation, ") + threads), 1)});
  }
  report.tables.push_back(std::move(lookups));

  const std::string at = "follower Get while " + std::to_string(o.rate) +
                         "/s are applied / plain RocksDB, same unflushed data, idle: ";
  report.AddTarget({.what = at + "p50",
                    .figure = figures.Ratio(AtRate(o.rate) + ", p50", "plain, p50"),
                    .debian = 0.5,
                    .release = 0.5});
  report.AddTarget({.what = at + "p99",
                    .figure = figures.Ratio(AtRate(o.rate) + ", p99", "plain, p99"),
                    .debian = 1,
                    .release = 1});
  for (const char* threads : {"1", "2"}) {
    report.AddTarget({.what = std::string("finding the current generation, threads: ") + threads,
                      .figure = figures.Of(std::string("generation, ") + threads),
                      .decimals = 1,
                      .unit = "ns",
                      .debian = 20,
                      .release = 20});
  }
}

void AddOptions(CLI::App* app) {
  app->add_option("--unflushed", o.unflushed, "keys in the memtable before")
      ->check(Between(1, 100'000'000));
  app->add_option("--rate", o.rate, "keys written per second")->check(Between(1, 10'000'000));
  app->add_option("--rates", o.rates, "other rates, for the plot; 0 = nothing is written")
      ->delimiter(',');
  app->add_option("--ms", o.duration_ms, "length of a side, in milliseconds")
      ->check(Between(100, 600'000));
  app->add_option("--lookups", o.lookups, "of the generation, by each thread")
      ->check(Between(1000, 10'000'000'000));
  app->add_option("--keys", o.data.key_space, "different keys, of 16 bytes")
      ->check(Between(1, 10'000'000'000));
  app->add_option("--value-bytes", o.data.value_bytes, "size of a value")
      ->check(Between(0, 1 << 20));
}

void MakeQuick() {
  o.unflushed = 20'000;
  o.rate = 5'000;
  o.rates = {0};
  o.duration_ms = 200;
  o.lookups = 100'000;
}

}  // namespace
}  // namespace slipstream::bench

int main(int argc, char** argv) {
  using namespace slipstream::bench;
  return Main({.name = "reads",
               .about = kAbout,
               .method = kMethod,
               .options = AddOptions,
               .quick = MakeQuick,
               .round = Round,
               .report = MakeReport},
              argc, argv);
}
