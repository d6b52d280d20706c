// bench_lag: how far readers in other processes lag behind the writer.
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "bench/benchmark.h"
#include "bench/child_process.h"
#include "bench/cluster.h"
#include "bench/grpc_echo.h"

namespace slipstream::bench {
namespace {

using nlohmann::json;

constexpr char kAbout[] =
    "Measures how far readers lag behind the writer, between processes of this machine:\n"
    "  follower        a leader and its follower\n"
    "  secondary 1 ms  plain RocksDB and DB::OpenAsSecondary, which catches up every millisecond\n"
    "  secondary 10 ms the same, every 10 ms\n"
    "  logical         plain RocksDB, GetUpdatesSince, TCP, DB::Write into a second RocksDB\n"
    "at --rate, and from --rates the first two; then one write at a time on an idle machine,\n"
    "against a gRPC echo.\n";

constexpr char kMethod[] =
    "lag     from the moment Put returned in the writer until a thread of the reading process\n"
    "        gets that value or a newer one. About every millisecond a Put is such a marker. The\n"
    "        thread looks every --look-us; a secondary's after each catch-up.\n"
    "idle    markers alone, about every --idle-interval-us. echo: a message of 150 bytes and its\n"
    "        answer at the same pace, as a call each, and on one open stream.\n"
    "        After each round a follower must hold exactly what the leader holds.\n"
    "ratio   of the two sides of one round; the tables have the medians over the rounds, with\n"
    "        the ranges.\n";

struct Side {
  std::string name;
  Kind writer;
  Kind reader;
  uint64_t period_us;  // of a secondary; 0 = --look-us
};
const Side kSides[] = {{"follower", Kind::kLeader, Kind::kFollower, 0},
                       {"secondary 1 ms", Kind::kPlain, Kind::kSecondary, 1000},
                       {"secondary 10 ms", Kind::kPlain, Kind::kSecondary, 10'000},
                       {"logical", Kind::kPlain, Kind::kReplica, 0}};
constexpr size_t kSidesOfSweep = 2;

struct Options {
  Data data;
  Shape shape;
  uint64_t rate = 50'000;
  uint64_t batch = 1;
  uint64_t duration_ms = 5'000;
  std::vector<uint64_t> rates = {2'000, 10'000, 25'000, 75'000, 100'000, 150'000};
  uint64_t sweep_ms = 2'000;
  uint64_t look_us = 20;
  uint64_t batch_delay_us = LeaderOptions().max_batch_delay_us;
  uint64_t idle_writes = 500;
  uint64_t idle_interval_us = 3'000;
  uint64_t write_buffer_mib = 16;
  std::vector<uint64_t> delays = {200, 1'000, 5'000};
};
Options o;

const std::map<std::string, double> kFractions = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1}};

std::string Name(const std::string& side, const std::string& what) { return side + " " + what; }

// Lag over time for the plot: the median and the maximum of each 50 ms.
void AddOverTime(const std::string& side, const std::vector<uint64_t>& ns, double seconds,
                 Report* report) {
  constexpr double kBucketSeconds = 0.05;
  const auto buckets = static_cast<size_t>(std::ceil(seconds / kBucketSeconds));
  for (size_t b = 0; b < buckets; ++b) {
    // Markers come at the same pace all the time.
    std::vector<uint64_t> bucket(ns.begin() + static_cast<long>(ns.size() * b / buckets),
                                 ns.begin() + static_cast<long>(ns.size() * (b + 1) / buckets));
    if (bucket.empty()) continue;
    std::sort(bucket.begin(), bucket.end());
    report->series["lag_over_time"][side].push_back({static_cast<double>(b) * kBucketSeconds,
                                                     PercentileUs(bucket, 0.5),
                                                     PercentileUs(bucket, 1)});
  }
}

// Runs one side and returns the lags of all markers, in order.
std::vector<uint64_t> RunSide(Session* session, const Side& side, const std::string& name,
                              const Load& load, uint64_t batch_delay_us) {
  DatabaseSettings database;
  database.data = o.data;
  database.data.seed = session->seed();
  database.shape = o.shape;
  database.max_batch_delay_us = batch_delay_us;
  database.keep_wal = side.reader == Kind::kReplica;
  Cluster cluster(session, name, database, MarkerCapacity(load), 1);
  cluster.StartWriter(side.writer);
  Process* reader =
      cluster.StartReader(side.reader, side.period_us > 0 ? side.period_us : o.look_us);
  cluster.Ask(reader, {{"do", "watch"}});
  const WriterResult written = cluster.Write(load);
  const auto watched = cluster.Ask(reader, UpTo("watch_end", written)).get<WatchResult>();
  const bool equal = cluster.Compare();
  cluster.Quit();

  const MarkerBoard::Lags lags = cluster.board().LagsOf(0);
  Figures& figures = session->figures();
  std::vector<uint64_t> sorted = lags.ns;
  std::sort(sorted.begin(), sorted.end());
  for (const auto& [what, fraction] : kFractions) {
    figures.Set(Name(name, what), PercentileUs(sorted, fraction));
  }
  figures.Set(Name(name, "keys/s"), written.keys_per_second());
  figures.Set(Name(name, "markers"), static_cast<double>(lags.ns.size()));
  figures.Set(Name(name, "unseen markers"), static_cast<double>(lags.unseen));
  figures.Set(Name(name, "visible before Put returned"), static_cast<double>(lags.early));
  figures.Set(Name(name, "failed catch-ups"), static_cast<double>(watched.failed_catch_ups));
  figures.Set(Name(name, "equal"), equal ? 1 : 0);
  return lags.ns;
}

Load LoadAt(uint64_t rate, uint64_t duration_ms) {
  Load load;
  load.rate = rate;
  load.batch = o.batch;
  load.duration_ms = duration_ms;
  load.marker_interval_us = 1000;
  return load;
}

std::string AtRate(const Side& side, uint64_t rate) {
  return side.name + " at " + std::to_string(rate);
}

std::string AfterDelay(uint64_t delay_us) { return "follower after " + std::to_string(delay_us); }

void Idle(Session* session) {
  Load load;
  load.markers_only = true;
  load.marker_interval_us = o.idle_interval_us;
  load.duration_ms = o.idle_writes * o.idle_interval_us / 1000;
  RunSide(session, kSides[0], "idle", load, o.batch_delay_us);
  session->Progress("gRPC echo");
  const EchoTimes echo = MeasureGrpcEcho(o.idle_writes / 2 + 1, 150, o.idle_interval_us, [] {
    if (Interrupted()) throw Interruption();
  });
  for (const auto& [what, fraction] : kFractions) {
    session->figures().Set(Name("echo call", what), PercentileUs(echo.unary_ns, fraction));
    session->figures().Set(Name("echo stream", what), PercentileUs(echo.stream_ns, fraction));
  }
}

void Round(Session* session) {
  session->Alternate(std::size(kSides), [&](size_t i) {
    const std::vector<uint64_t> ns = RunSide(session, kSides[i], kSides[i].name,
                                             LoadAt(o.rate, o.duration_ms), o.batch_delay_us);
    if (session->is_last_round()) {
      AddOverTime(kSides[i].name, ns, static_cast<double>(o.duration_ms) / 1000,
                  &session->report());
    }
  });
  Idle(session);
  // For a plot and a table where one round is enough.
  if (!session->is_last_round()) return;
  for (const uint64_t rate : o.rates) {
    for (size_t i = 0; i < kSidesOfSweep; ++i) {
      RunSide(session, kSides[i], AtRate(kSides[i], rate), LoadAt(rate, o.sweep_ms),
              o.batch_delay_us);
    }
  }
  for (const uint64_t delay_us : o.delays) {
    RunSide(session, kSides[0], AfterDelay(delay_us), LoadAt(o.rate, o.duration_ms), delay_us);
  }
}

TextRow LagRow(const Figures& figures, const std::string& side, const std::string& title) {
  TextRow row = {title};
  for (const char* what : {"p50", "p90", "p99", "max"}) {
    row.push_back(ToText(figures.Of(Name(side, what)), 0));
  }
  return row;
}

void AddSweep(const Figures& figures, Report* report) {
  Table sweep{"Lag by write rate, one round, us", {{"", "keys/s", "p50", "p90", "p99", "max"}}};
  std::vector<uint64_t> rates = o.rates;
  rates.push_back(o.rate);
  std::sort(rates.begin(), rates.end());
  for (size_t i = 0; i < kSidesOfSweep; ++i) {
    for (const uint64_t rate : rates) {
      const std::string name = rate == o.rate ? kSides[i].name : AtRate(kSides[i], rate);
      const double reached = figures.Of(Name(name, "keys/s")).median;
      TextRow row = LagRow(figures, name, kSides[i].name);
      row.insert(row.begin() + 1, Number(reached, 0));
      sweep.rows.push_back(std::move(row));
      report->series["lag_by_rate"][kSides[i].name].push_back(
          {reached, figures.Of(Name(name, "p50")).median, figures.Of(Name(name, "p99")).median});
    }
  }
  report->tables.push_back(std::move(sweep));
}

void AddDelays(const Figures& figures, Report* report) {
  Table table{"Lag of a follower at " + std::to_string(o.rate) +
                  " keys/s by max_batch_delay_us, us; one round but for the default",
              {{"max_batch_delay_us", "p50", "p90", "p99", "max"}}};
  std::vector<uint64_t> delays = o.delays;
  delays.push_back(o.batch_delay_us);
  std::sort(delays.begin(), delays.end());
  for (const uint64_t delay_us : delays) {
    const std::string name = delay_us == o.batch_delay_us ? kSides[0].name : AfterDelay(delay_us);
    table.rows.push_back(LagRow(figures, name, std::to_string(delay_us)));
  }
  report->tables.push_back(std::move(table));
}

void MakeReport(Session* session) {
  const Figures& figures = session->figures();
  Report& report = session->report();
  const std::string load =
      std::to_string(o.rate) + " keys/s in batches of " + std::to_string(o.batch);
  Table lags{"Lag at " + load + ", us", {{"", "p50", "p90", "p99", "max", "reader equals writer"}}};
  for (const Side& side : kSides) {
    TextRow row = LagRow(figures, side.name, side.name);
    const bool equal = figures.Of(Name(side.name, "equal")).min > 0;
    const double unseen = figures.Of(Name(side.name, "unseen markers")).max;
    row.push_back(std::string(equal ? "yes" : "no") +
                  (unseen > 0 ? ", markers unseen: " + Number(unseen, 0) : ""));
    lags.rows.push_back(std::move(row));
  }
  report.tables.push_back(std::move(lags));
  Table idle{"One write at a time, us", {{"", "p50", "p90", "p99", "max"}}};
  idle.rows.push_back(LagRow(figures, "idle", "lag of a follower"));
  idle.rows.push_back(LagRow(figures, "echo call", "gRPC echo, a call each"));
  idle.rows.push_back(LagRow(figures, "echo stream", "gRPC echo on an open stream"));
  report.tables.push_back(std::move(idle));
  AddSweep(figures, &report);
  AddDelays(figures, &report);

  const auto ratio = [&](const std::string& a, const std::string& b, const char* what) {
    return figures.Ratio(Name(a, what), Name(b, what));
  };
  const std::string at = "lag at " + load + ": ";
  report.AddTarget({.what = at + "p50 / that of a secondary every 1 ms",
                    .figure = ratio("follower", "secondary 1 ms", "p50"),
                    .debian = 1,
                    .release = 1});
  report.AddTarget({.what = at + "p99 / that of a secondary every 1 ms",
                    .figure = ratio("follower", "secondary 1 ms", "p99"),
                    .debian = 1,
                    .release = 1});
  report.AddTarget({.what = at + "p50, where a core is free",
                    .figure = figures.Of(Name("follower", "p50")),
                    .decimals = 0,
                    .unit = "us",
                    .debian = 400,
                    .release = 400});
  report.AddTarget({.what = "lag when idle, one write at a time: p50 / p50 of a gRPC echo call",
                    .figure = ratio("idle", "echo call", "p50"),
                    .debian = 1.5,
                    .release = 1.5});
}

void AddOptions(CLI::App* app) {
  app->add_option("--rate", o.rate, "keys written per second")->check(Between(1, 10'000'000));
  app->add_option("--batch", o.batch, "keys in a write")->check(Between(1, 100'000));
  app->add_option("--ms", o.duration_ms, "length of a side, in milliseconds")
      ->check(Between(100, 600'000));
  app->add_option("--rates", o.rates, "other rates, for the plot")->delimiter(',');
  app->add_option("--sweep-ms", o.sweep_ms, "length of each of those, in milliseconds")
      ->check(Between(100, 600'000));
  app->add_option("--idle-writes", o.idle_writes, "writes, one at a time")
      ->check(Between(10, 1'000'000));
  app->add_option("--idle-interval-us", o.idle_interval_us, "between two of them")
      ->check(Between(100, 1'000'000));
  app->add_option("--look-us", o.look_us, "pause between a reader's looks at the marker")
      ->check(Between(1, 1'000'000));
  app->add_option("--batch-delay-us", o.batch_delay_us, "LeaderOptions::max_batch_delay_us")
      ->check(Between(0, 100'000));
  app->add_option("--keys", o.data.key_space, "different keys, of 16 bytes")
      ->check(Between(1, 10'000'000'000));
  app->add_option("--value-bytes", o.data.value_bytes, "size of a value")
      ->check(Between(0, 1 << 20));
  app->add_option("--write-buffer-mib", o.write_buffer_mib, "write_buffer_size, in MiB")
      ->check(Between(1, 4096));
  app->add_option("--delays", o.delays, "other delays, for a table; one round")
      ->delimiter(',')
      ->check(Between(0, 100'000));
}

void MakeQuick() {
  o.rate = 5'000;
  o.duration_ms = 200;
  o.rates = {2'000};
  o.sweep_ms = 100;
  o.idle_writes = 20;
  o.delays = {1'000};
}

}  // namespace
}  // namespace slipstream::bench

int main(int argc, char** argv) {
  using namespace slipstream::bench;
  return Main({.name = "lag",
               .about = kAbout,
               .method = kMethod,
               .options = AddOptions,
               .quick = MakeQuick,
               .round =
                   [](Session* session) {
                     o.shape.write_buffer_bytes = o.write_buffer_mib << 20;
                     Round(session);
                   },
               .report = MakeReport,
               .other = RunGrpcEcho},
              argc, argv);
}
