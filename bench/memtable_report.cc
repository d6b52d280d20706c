#include "bench/memtable_report.h"

#include <utility>

#include "bench/machine.h"
#include "bench/spread.h"

namespace slipstream::bench {
namespace {

using nlohmann::json;

Spread Over(const std::vector<MemtableResult>& rounds, const std::string& name) {
  std::vector<double> values;
  for (const MemtableResult& r : rounds) values.push_back(r.at(name));
  return SpreadOf(std::move(values));
}

// Both sides of a ratio are of the same round.
Spread Ratio(const MemtableReport& report, const std::string& name) {
  std::vector<double> ratios;
  for (size_t i = 0; i < report.replay.size(); ++i) {
    ratios.push_back(report.replay[i].at(name) / report.skip_list[i].at(name));
  }
  return SpreadOf(std::move(ratios));
}

}  // namespace

void MemtableReport::PrintTable(std::ostream& out) const {
  std::vector<TextRow> rows = {{"", "", "skip list", "replay memtable", "ratio (range)"}};
  for (const MemtableMeasure& m : MeasuresOf(settings)) {
    rows.push_back({m.text, m.unit, ToText(Over(skip_list, m.name), m.decimals),
                    ToText(Over(replay, m.name), m.decimals), ToText(Ratio(*this, m.name), 2)});
  }
  PrintAligned(rows, out);
}

json MemtableReport::ToJson() const {
  json summary = json::object();
  for (const MemtableMeasure& m : MeasuresOf(settings)) {
    summary[m.name] = {{"unit", m.unit},
                       {"skip_list", bench::ToJson(Over(skip_list, m.name))},
                       {"replay_memtable", bench::ToJson(Over(replay, m.name))},
                       {"ratio", bench::ToJson(Ratio(*this, m.name))}};
  }
  return {{"benchmark", "memtable"},
          {"command_line", command_line},
          {"machine", MachineOfThisRun()},
          {"versions", VersionsOfThisRun()},
          {"settings",
           {{"keys", settings.keys},
            {"value_bytes", settings.value_bytes},
            {"leader_keys", settings.leader_keys},
            {"ascending", settings.ascending},
            {"seed", settings.seed}}},
          {"summary", std::move(summary)},
          {"rounds", {{"skip_list", skip_list}, {"replay_memtable", replay}}}};
}

}  // namespace slipstream::bench
