#include "bench/replication_report.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "bench/machine.h"
#include "bench/spread.h"

namespace slipstream::bench {
namespace {

using nlohmann::json;

using Measure = std::function<double(const RoundResult&)>;

Spread Over(const std::vector<RoundResult>& rounds, Side side, const Measure& measure) {
  std::vector<double> values;
  for (const RoundResult& r : rounds) {
    if (r.side == side) values.push_back(measure(r));
  }
  return SpreadOf(std::move(values));
}

// Both sides of a ratio are of the same round, so that what else the machine did meanwhile counts
// for both about alike.
Spread RatioOver(const std::vector<RoundResult>& rounds, Side above, const Measure& measure_above,
                 Side below, const Measure& measure_below) {
  std::vector<double> ratios;
  for (const RoundResult& a : rounds) {
    for (const RoundResult& b : rounds) {
      if (a.side == above && b.side == below && a.round == b.round && measure_below(b) > 0) {
        ratios.push_back(measure_above(a) / measure_below(b));
      }
    }
  }
  return SpreadOf(std::move(ratios));
}

double WriterCpu(const RoundResult& r) { return r.writer_cpu_per_million(); }
double ReaderCpu(const RoundResult& r) { return r.reader_cpu_per_million(); }
double Rate(const RoundResult& r) { return r.keys_per_second(); }

Measure Lag(double fraction) {
  return [fraction](const RoundResult& r) { return PercentileUs(r.lag_ns, fraction); };
}

struct Ratio {
  const char* name;
  const char* text;
  Spread spread;
};

std::vector<Ratio> RatiosOf(const std::vector<RoundResult>& rounds) {
  const auto ratio = [&](Side above, const Measure& a, Side below, const Measure& b) {
    return RatioOver(rounds, above, a, below, b);
  };
  return {
      {"leader_with_followers_to_plain", "leader with followers / plain RocksDB",
       ratio(Side::kFollowers, WriterCpu, Side::kPlain, WriterCpu)},
      {"leader_without_followers_to_plain", "leader without followers / plain RocksDB",
       ratio(Side::kLeader, WriterCpu, Side::kPlain, WriterCpu)},
      {"follower_to_leader", "follower / its leader",
       ratio(Side::kFollowers, ReaderCpu, Side::kFollowers, WriterCpu)},
      {"follower_to_plain", "follower / plain RocksDB",
       ratio(Side::kFollowers, ReaderCpu, Side::kPlain, WriterCpu)},
      {"secondary_to_plain", "secondary / plain RocksDB",
       ratio(Side::kSecondary, ReaderCpu, Side::kPlain, WriterCpu)},
      {"follower_to_secondary", "follower / secondary",
       ratio(Side::kFollowers, ReaderCpu, Side::kSecondary, ReaderCpu)},
  };
}

std::string RowName(Side side, const RoundSettings& settings) {
  switch (side) {
    case Side::kPlain:
      return "plain RocksDB";
    case Side::kLeader:
      return "leader, no follower";
    case Side::kFollowers:
      return "leader, " + std::to_string(settings.followers) +
             (settings.followers == 1 ? " follower" : " followers");
    case Side::kSecondary:
      return "plain, secondary every " +
             Number(static_cast<double>(settings.catch_up_us) / 1000, 1) + " ms";
  }
  return "?";
}

json RoundToJson(const RoundResult& r) {
  json out = {{"round", r.round},
              {"side", NameOf(r.side)},
              {"keys_per_second", Rate(r)},
              {"writer_cpu_seconds_per_million_keys", WriterCpu(r)},
              {"writer", r.writer}};
  if (r.readers.empty()) return out;
  out["reader_cpu_seconds_per_million_keys"] = ReaderCpu(r);
  out["readers"] = r.readers;
  out["equal"] = r.equal;
  out["lag_us"] = {
      {"p50", PercentileUs(r.lag_ns, 0.5)},  {"p90", PercentileUs(r.lag_ns, 0.9)},
      {"p99", PercentileUs(r.lag_ns, 0.99)}, {"max", PercentileUs(r.lag_ns, 1)},
      {"markers", r.lag_ns.size()},          {"visible_before_put_returned", r.early_markers},
      {"unseen", r.unseen_markers}};
  return out;
}

json SummaryOf(const std::vector<RoundResult>& rounds) {
  json sides = json::object();
  for (Side side : kSides) {
    const Spread rate = Over(rounds, side, Rate);
    if (rate.count == 0) continue;
    json& s = sides[NameOf(side)];
    s["keys_per_second"] = ToJson(rate);
    s["writer_cpu_seconds_per_million_keys"] = ToJson(Over(rounds, side, WriterCpu));
    if (side == Side::kPlain || side == Side::kLeader) continue;
    s["reader_cpu_seconds_per_million_keys"] = ToJson(Over(rounds, side, ReaderCpu));
    s["lag_us"] = {{"p50", ToJson(Over(rounds, side, Lag(0.5)))},
                   {"p90", ToJson(Over(rounds, side, Lag(0.9)))},
                   {"p99", ToJson(Over(rounds, side, Lag(0.99)))},
                   {"max", ToJson(Over(rounds, side, Lag(1)))}};
  }
  json ratios = json::object();
  for (const Ratio& ratio : RatiosOf(rounds)) ratios[ratio.name] = ToJson(ratio.spread);
  return {{"sides", sides}, {"cpu_ratios", ratios}};
}

}  // namespace

void ReplicationReport::PrintTable(std::ostream& out) const {
  std::vector<TextRow> rows = {{"", "keys/s", "writer CPU s/Mkey", "reader CPU s/Mkey",
                                "lag p50 us", "lag p90 us", "lag p99 us", "lag max us"}};
  for (Side side : kSides) {
    const Spread rate = Over(rounds, side, Rate);
    if (rate.count == 0) continue;
    TextRow row = {RowName(side, settings), Number(rate.median, 0),
                   ToText(Over(rounds, side, WriterCpu), 2)};
    if (side == Side::kFollowers || side == Side::kSecondary) {
      row.push_back(ToText(Over(rounds, side, ReaderCpu), 2));
      for (double fraction : {0.5, 0.9, 0.99, 1.0}) {
        row.push_back(ToText(Over(rounds, side, Lag(fraction)), 0));
      }
    } else {
      row.insert(row.end(), {"-", "-", "-", "-", "-"});
    }
    rows.push_back(std::move(row));
  }
  PrintAligned(rows, out);

  rows = {{"CPU per key, as a ratio", "median of rounds (range)"}};
  for (const Ratio& ratio : RatiosOf(rounds)) {
    if (ratio.spread.count > 0) rows.push_back({ratio.text, ToText(ratio.spread, 2)});
  }
  if (rows.size() > 1) {
    out << "\n";
    PrintAligned(rows, out);
  }
  uint64_t unequal = 0;
  uint64_t unseen = 0;
  uint64_t failed = 0;
  for (const RoundResult& r : rounds) {
    unequal += r.equal ? 0 : 1;
    unseen += r.unseen_markers;
    for (const ReaderResult& reader : r.readers) failed += reader.failed_catch_ups;
  }
  if (unequal > 0)
    out << "\nThe secondary did not hold what its writer holds in " << unequal << " rounds.\n";
  if (unseen > 0) out << "\n" << unseen << " markers were never seen.\n";
  if (failed > 0) out << "\nTryCatchUpWithPrimary failed " << failed << " times.\n";
}

json ReplicationReport::ToJson() const {
  json all = json::array();
  for (const RoundResult& r : rounds) all.push_back(RoundToJson(r));
  return {{"benchmark", "replication"},
          {"command_line", command_line},
          {"machine", MachineOfThisRun()},
          {"versions", VersionsOfThisRun()},
          {"settings",
           {{"load", settings.load},
            {"followers", settings.followers},
            {"max_batch_delay_us", settings.max_batch_delay_us},
            {"look_us", settings.look_us},
            {"catch_up_us", settings.catch_up_us}}},
          {"summary", SummaryOf(rounds)},
          {"rounds", std::move(all)}};
}

}  // namespace slipstream::bench
