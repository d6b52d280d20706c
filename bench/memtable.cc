// bench_memtable: the replay memtable against RocksDB's skip list, side by side in one process.
#include <map>
#include <string>
#include <vector>

#include "bench/benchmark.h"
#include "bench/child_process.h"
#include "bench/memtable_round.h"

namespace slipstream::bench {
namespace {

constexpr char kAbout[] =
    "Measures the replay memtable against RocksDB's skip list. Each round runs both, in changing\n"
    "order, in this process: databases whose memtable is never flushed, then leaders without\n"
    "followers and plain RocksDB, which flush and compact.\n";

constexpr char kMethod[] =
    "insert  DB::Write without WAL, allow_concurrent_memtable_write = false\n"
    "leader  Write on a Leader's database, WAL on, not synced; the side with the skip list keeps\n"
    "        RocksDB's default, which inserts concurrently. plain: the same without Slipstream.\n"
    "CPU     of the thread that does it; wall: from the first writer's start to the last one's "
    "end\n"
    "ratio   replay memtable / skip list, both of one round; the table has the medians over the\n"
    "        rounds, with the ranges. Below 1 the replay memtable costs less.\n";

MemtableSettings settings;
std::string only;

std::string Key(Memtable side, const std::string& measure) {
  return std::string(NameOf(side)) + ", " + measure;
}

void Round(Session* session) {
  settings.memtable = only != "leader";
  settings.leader = only != "memtable";
  MemtableSettings now = settings;
  now.seed = session->seed();
  session->Alternate(2, [&](size_t i) {
    const Memtable side = kMemtables[i];
    MemtableResult result;
    OrThrow(RunMemtableRound(
        now, side,
        session->directory() + "/round" + std::to_string(session->round()) + "-" +
            std::to_string(i),
        [&](const std::string& what) {
          session->Progress(std::string(NameOf(side)) + "  " + what);
          if (Interrupted()) throw Interruption();
        },
        &result));
    for (const auto& [measure, value] : result) {
      session->figures().Set(Key(side, measure), value);
    }
  });
}

void MakeReport(Session* session) {
  const Figures& figures = session->figures();
  Report& report = session->report();
  const auto ratio = [&](const std::string& measure) {
    return figures.Ratio(Key(Memtable::kReplay, measure), Key(Memtable::kSkipList, measure));
  };
  Table table{"Replay memtable against skip list",
              {{"", "", "skip list", "replay memtable", "ratio (range)"}}};
  for (const MemtableMeasure& m : MeasuresOf(settings)) {
    table.rows.push_back(
        {m.text, m.unit, ToText(figures.Of(Key(Memtable::kSkipList, m.name)), m.decimals),
         ToText(figures.Of(Key(Memtable::kReplay, m.name)), m.decimals), ToText(ratio(m.name), 2)});
  }
  report.tables.push_back(std::move(table));

  const auto add = [&](const std::string& what, const Spread& figure, bool at_most, double to) {
    report.AddTarget(
        {.what = what, .figure = figure, .at_most = at_most, .debian = to, .release = to});
  };
  // Of wall times a key, so that the plain one is above.
  const auto throughput = [&](const std::string& batch) {
    return figures.Ratio(Key(Memtable::kSkipList, "plain_1_writers_batch_" + batch),
                         Key(Memtable::kReplay, "leader_1_writers_batch_" + batch));
  };
  const std::string put =
      "leader with replay memtable / plain RocksDB with skip list, throughput, ";
  add(put + "1 writer, batches of 1", throughput("1"), false, 1.4);
  add(put + "1 writer, batches of 100", throughput("100"), false, 2.2);
  const std::string from =
      " from a memtable of " + std::to_string(settings.keys) + " keys, replay / skip list";
  add("Get" + from, ratio("get_hit"), true, 0.35);
  add("Get" + from + ", beside the writer", ratio("get_beside_insert"), true, 0.35);
  add("100-key scan" + from, ratio("seek_100_next"), true, 0.6);
  add("100-key scan" + from + ", beside the writer", ratio("scan_beside_insert"), true, 0.6);
}

void AddOptions(CLI::App* app) {
  app->add_option("--keys", settings.keys, "keys of 16 bytes in the memtable")
      ->check(Between(1, 100'000'000));
  app->add_option("--value-bytes", settings.value_bytes, "size of a value")
      ->check(Between(1, 1 << 20));
  app->add_option("--leader-keys", settings.leader_keys, "keys written to each leader")
      ->check(Between(1, 10'000'000));
  app->add_flag("--ascending", settings.ascending,
                "keys in order, with 8 bytes in common, in place of random ones");
  app->add_option("--only", only, "\"memtable\" or \"leader\": leave the other part out")
      ->check(CLI::IsMember({"memtable", "leader"}).description(""));
}

void MakeQuick() {
  settings.keys = 20'000;
  settings.leader_keys = 5'000;
}

}  // namespace
}  // namespace slipstream::bench

int main(int argc, char** argv) {
  using namespace slipstream::bench;
  return Main({.name = "memtable",
               .about = kAbout,
               .method = kMethod,
               .options = AddOptions,
               .quick = MakeQuick,
               .round = Round,
               .report = MakeReport},
              argc, argv);
}
