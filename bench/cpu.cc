// bench_cpu: what replication costs in CPU, on both sides.
#include <algorithm>
#include <string>
#include <vector>

#include "bench/benchmark.h"
#include "bench/cluster.h"

namespace slipstream::bench {
namespace {

using nlohmann::json;

constexpr char kAbout[] =
    "Measures what replication costs in CPU. Each round runs every side, in changing order, with\n"
    "batches of 1 and of 100:\n"
    "  plain       RocksDB alone, the same options, no Slipstream\n"
    "  tap         a leader without followers\n"
    "  1 follower  a leader and a follower\n"
    "  8 followers a leader and eight (--followers)\n"
    "  logical     plain RocksDB, GetUpdatesSince, TCP, DB::Write into a second RocksDB\n"
    "  secondary   plain RocksDB, and DB::OpenAsSecondary that catches up every millisecond\n"
    "The last two, and the eight, as --all-batches says.\n";

constexpr char kMethod[] =
    "CPU     user and system time of the process, per million keys written; background flushes\n"
    "        and compactions included, the writer's sleeps for the rate not, and of a secondary\n"
    "        not the sleeps between catch-ups. Reading has ended when everything is visible.\n"
    "        Leaders and plain RocksDB have RocksDB's skip list, followers the replay memtable.\n"
    "        Before the load --preload keys are written and flushed, and the write buffer is\n"
    "        small, so that flushes and compactions go on. No thread looks at a marker.\n"
    "        After each round a follower must hold exactly what the leader holds.\n"
    "ratio   of the two sides of one round; the tables have the medians over the rounds, with\n"
    "        the ranges.\n";

struct Side {
  std::string name;
  Kind writer;
  Kind reader;
  uint64_t readers;  // kMany = --followers
  bool always;       // else with batches of 1 alone
};
constexpr uint64_t kMany = 1000;
const Side kSides[] = {{"plain", Kind::kPlain, Kind::kPlain, 0, true},
                       {"tap", Kind::kLeader, Kind::kPlain, 0, true},
                       {"1 follower", Kind::kLeader, Kind::kFollower, 1, true},
                       {"many followers", Kind::kLeader, Kind::kFollower, kMany, false},
                       {"logical", Kind::kPlain, Kind::kReplica, 1, true},
                       {"secondary", Kind::kPlain, Kind::kSecondary, 1, false}};
const Side& kOneFollower = kSides[2];

constexpr uint64_t kBatches[] = {1, 100};

struct Options {
  Data data;
  Shape shape;
  uint64_t rates[2] = {50'000, 100'000};
  uint64_t duration_ms = 4'000;
  uint64_t preload = 300'000;
  uint64_t followers = 8;
  uint64_t write_buffer_mib = 8;
  uint64_t batch_delay_us = LeaderOptions().max_batch_delay_us;
  bool all_batches = false;
  std::vector<uint64_t> sweep = {5'000, 20'000, 80'000, 160'000};
  uint64_t sweep_ms = 2'000;
  std::vector<uint64_t> delays = {200, 1'000, 5'000};
};
Options o;

std::string Batch(size_t b) { return "batch " + std::to_string(kBatches[b]) + ": "; }
std::string Swept(size_t b, uint64_t rate) {
  return Batch(b) + "1 follower at " + std::to_string(rate);
}

std::string Delayed(uint64_t delay_us) {
  return Batch(0) + "1 follower after " + std::to_string(delay_us);
}

void RunSide(Session* session, const Side& side, const std::string& name, Load load,
             uint64_t batch_delay_us) {
  const uint64_t readers = side.readers == kMany ? o.followers : side.readers;
  DatabaseSettings database;
  database.data = o.data;
  database.data.seed = session->seed();
  database.shape = o.shape;
  database.max_batch_delay_us = batch_delay_us;
  database.keep_wal = side.reader == Kind::kReplica;
  Cluster cluster(session, name, database);
  cluster.StartWriter(side.writer);
  // A replica takes all writes from the first one on, so it has to be there.
  std::vector<Process*> processes;
  const auto start_readers = [&] {
    for (uint64_t r = 0; r < readers; ++r) {
      processes.push_back(
          cluster.StartReader(side.reader, side.reader == Kind::kSecondary ? 1000 : 0));
    }
  };
  if (side.reader == Kind::kReplica) start_readers();
  Load preload;
  preload.keys = o.preload;
  preload.batch = 100;
  const WriterResult preloaded = cluster.Write(preload);
  cluster.Flush();
  if (side.reader == Kind::kReplica) {
    cluster.Ask(processes[0], UpTo("reach", preloaded));
  } else {
    start_readers();
  }

  for (Process* process : processes) cluster.Ask(process, {{"do", "watch"}});
  load.first_key = o.preload;
  load.settle = true;
  load.followers = side.reader == Kind::kFollower ? readers : 0;
  const WriterResult written = cluster.Write(load);
  double reader_cpu = 0;
  for (Process* process : processes) {
    reader_cpu += cluster.Ask(process, UpTo("watch_end", written)).get<WatchResult>().cpu_seconds;
  }
  cluster.Compare();

  Figures& figures = session->figures();
  const auto keys = static_cast<double>(written.keys);
  figures.Set(name + ", keys/s", written.keys_per_second());
  figures.Set(name + ", writer", written.cpu_per_million());
  figures.Set(name + ", writer cores", written.cpu_seconds / written.write_seconds);
  if (readers > 0) {
    const double each = reader_cpu / static_cast<double>(readers);
    figures.Set(name + ", reader", each / keys * 1e6);
    figures.Set(name + ", reader cores", each / written.write_seconds);
  }
  if (side.reader == Kind::kFollower) {
    const json usage = cluster.Ask(processes[0], {{"do", "usage"}});
    figures.Set(name + ", rebuilds", usage.at("stats").at("rebuilds"));
    for (const auto& [thread, seconds] : usage.at("threads").items()) {
      figures.Set(name + ", thread " + thread, seconds.get<double>() / keys * 1e6);
    }
  }
  cluster.Quit();
}

Load LoadAt(uint64_t rate, size_t b, uint64_t duration_ms) {
  Load load;
  load.rate = rate;
  load.batch = kBatches[b];
  load.duration_ms = duration_ms;
  return load;
}

void Sweep(Session* session) {
  for (size_t b = 0; b < std::size(kBatches); ++b) {
    for (const uint64_t rate : o.sweep) {
      RunSide(session, kOneFollower, Swept(b, rate), LoadAt(rate, b, o.sweep_ms), o.batch_delay_us);
    }
  }
  for (const uint64_t delay_us : o.delays) {
    RunSide(session, kOneFollower, Delayed(delay_us), LoadAt(o.rates[0], 0, o.duration_ms),
            delay_us);
  }
}

bool IsRun(const Side& side, size_t b) { return side.always || b == 0 || o.all_batches; }

void Round(Session* session) {
  o.shape.write_buffer_bytes = o.write_buffer_mib << 20;
  for (size_t b = 0; b < std::size(kBatches); ++b) {
    session->Alternate(std::size(kSides), [&](size_t i) {
      if (!IsRun(kSides[i], b)) return;
      RunSide(session, kSides[i], Batch(b) + kSides[i].name, LoadAt(o.rates[b], b, o.duration_ms),
              o.batch_delay_us);
    });
  }
  // For a plot and a table where one round is enough.
  if (session->is_last_round()) Sweep(session);
}

std::string Title(const Side& side) {
  return side.readers == kMany ? std::to_string(o.followers) + " followers" : side.name;
}

void AddTables(Session* session) {
  const Figures& figures = session->figures();
  for (size_t b = 0; b < std::size(kBatches); ++b) {
    Table table{"CPU seconds per million keys, " + std::to_string(o.rates[b]) +
                    " keys/s in batches of " + std::to_string(kBatches[b]),
                {{"", "keys/s", "writer", "reader (each)", "writer / plain", "reader / writer",
                  "reader / plain"}}};
    for (const Side& side : kSides) {
      if (!IsRun(side, b)) continue;
      const std::string name = Batch(b) + side.name;
      table.rows.push_back(
          {Title(side), ToText(figures.Of(name + ", keys/s"), 0),
           ToText(figures.Of(name + ", writer"), 2), ToText(figures.Of(name + ", reader"), 2),
           ToText(figures.Ratio(name + ", writer", Batch(b) + "plain, writer"), 2),
           ToText(figures.Ratio(name + ", reader", name + ", writer"), 2),
           ToText(figures.Ratio(name + ", reader", Batch(b) + "plain, writer"), 2)});
    }
    session->report().tables.push_back(std::move(table));
  }
  for (size_t b = 0; b < std::size(kBatches); ++b) {
    json& line =
        session->report()
            .series["follower_cpu_by_leader_cpu"]["batches of " + std::to_string(kBatches[b])];
    std::vector<uint64_t> rates = o.sweep;
    rates.push_back(o.rates[b]);
    std::sort(rates.begin(), rates.end());
    for (const uint64_t rate : rates) {
      const std::string name = rate == o.rates[b] ? Batch(b) + kOneFollower.name : Swept(b, rate);
      line.push_back({figures.Of(name + ", writer cores").median,
                      figures.Of(name + ", reader cores").median,
                      figures.Of(name + ", keys/s").median});
    }
  }
}

// What max_batch_delay_us costs and saves: one round, against the medians of the others.
void AddDelays(const Figures& figures, Report* report) {
  Table table{"CPU seconds per million keys, " + std::to_string(o.rates[0]) +
                  " keys/s in batches of 1, 1 follower, by max_batch_delay_us; one round but for "
                  "the default, against the medians above",
              {{"max_batch_delay_us", "writer", "reader", "writer / plain", "reader / writer",
                "reader / logical's"}}};
  std::vector<uint64_t> delays = o.delays;
  delays.push_back(o.batch_delay_us);
  std::sort(delays.begin(), delays.end());
  const double plain = figures.Of(Batch(0) + "plain, writer").median;
  const double logical = figures.Of(Batch(0) + "logical, reader").median;
  for (const uint64_t delay_us : delays) {
    const std::string name =
        delay_us == o.batch_delay_us ? Batch(0) + kOneFollower.name : Delayed(delay_us);
    const double writer = figures.Of(name + ", writer").median;
    const double reader = figures.Of(name + ", reader").median;
    table.rows.push_back({std::to_string(delay_us), Number(writer, 2), Number(reader, 2),
                          Number(writer / plain, 2), Number(reader / writer, 2),
                          Number(reader / logical, 2)});
  }
  report->tables.push_back(std::move(table));
}

void MakeReport(Session* session) {
  AddTables(session);
  AddDelays(session->figures(), &session->report());
  const Figures& figures = session->figures();
  Report& report = session->report();
  const auto add = [&](const std::string& what, const std::string& above, const std::string& below,
                       double debian, double release) {
    report.AddTarget({.what = what,
                      .figure = figures.Ratio(above, below),
                      .debian = debian,
                      .release = release});
  };
  const std::string one = Batch(0);
  const std::string hundred = Batch(1);
  add("leader CPU without followers / plain RocksDB, batches of 1", one + "tap, writer",
      one + "plain, writer", 1.03, 1.03);
  add("leader CPU with 1 follower / plain RocksDB, batches of 1", one + "1 follower, writer",
      one + "plain, writer", 1.20, 1.20);
  add("leader CPU with " + std::to_string(o.followers) + " followers / plain RocksDB, batches of 1",
      one + "many followers, writer", one + "plain, writer", 1.5, 1.5);
  add("leader CPU without followers / plain RocksDB, batches of 100", hundred + "tap, writer",
      hundred + "plain, writer", 1.03, 1.03);
  add("leader CPU with 1 follower / plain RocksDB, batches of 100", hundred + "1 follower, writer",
      hundred + "plain, writer", 1.20, 1.20);
  add("follower CPU / its leader's, batches of 1", one + "1 follower, reader",
      one + "1 follower, writer", 0.45, 0.40);
  add("follower CPU / its leader's, batches of 100", hundred + "1 follower, reader",
      hundred + "1 follower, writer", 0.30, 0.25);
  add("follower CPU / the logical replica's process, batches of 1", one + "1 follower, reader",
      one + "logical, reader", 0.35, 0.35);
}

void AddOptions(CLI::App* app) {
  app->add_option("--rate-1", o.rates[0], "keys per second, in batches of 1; 0 = all it can")
      ->check(Between(0, 10'000'000));
  app->add_option("--rate-100", o.rates[1], "keys per second, in batches of 100; 0 = all it can")
      ->check(Between(0, 10'000'000));
  app->add_option("--ms", o.duration_ms, "length of a side, in milliseconds")
      ->check(Between(100, 600'000));
  app->add_option("--preload", o.preload, "keys written and flushed before")
      ->check(Between(1, 1'000'000'000));
  app->add_option("--followers", o.followers, "of the side with many")->check(Between(2, 64));
  app->add_flag("--all-batches", o.all_batches, "all sides with batches of 100 too");
  app->add_option("--sweep", o.sweep, "other rates, for the plot")->delimiter(',');
  app->add_option("--sweep-ms", o.sweep_ms, "length of each of those, in milliseconds")
      ->check(Between(100, 600'000));
  app->add_option("--keys", o.data.key_space, "different keys, of 16 bytes")
      ->check(Between(1, 10'000'000'000));
  app->add_option("--value-bytes", o.data.value_bytes, "size of a value")
      ->check(Between(0, 1 << 20));
  app->add_option("--write-buffer-mib", o.write_buffer_mib, "write_buffer_size, in MiB")
      ->check(Between(1, 4096));
  app->add_option("--batch-delay-us", o.batch_delay_us, "LeaderOptions::max_batch_delay_us")
      ->check(Between(0, 100'000));
  app->add_option("--delays", o.delays, "other delays, for a table; one round")
      ->delimiter(',')
      ->check(Between(0, 100'000));
}

void MakeQuick() {
  o.duration_ms = 100;
  o.preload = 2'000;
  o.followers = 2;
  o.sweep = {20'000};
  o.sweep_ms = 100;
  o.delays = {1'000};
}

}  // namespace
}  // namespace slipstream::bench

int main(int argc, char** argv) {
  using namespace slipstream::bench;
  return Main({.name = "cpu",
               .about = kAbout,
               .method = kMethod,
               .options = AddOptions,
               .quick = MakeQuick,
               .round = Round,
               .report = MakeReport},
              argc, argv);
}
