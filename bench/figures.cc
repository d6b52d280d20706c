#include "bench/figures.h"

#include <algorithm>
#include <utility>

#include "bench/machine.h"

namespace slipstream::bench {

using nlohmann::json;

Spread Figures::Of(const std::string& name) const {
  std::vector<double> values;
  for (const auto& round : rounds_) {
    if (const auto found = round.find(name); found != round.end()) values.push_back(found->second);
  }
  return SpreadOf(std::move(values));
}

Spread Figures::Ratio(const std::string& above, const std::string& below) const {
  std::vector<double> ratios;
  for (const auto& round : rounds_) {
    const auto a = round.find(above);
    const auto b = round.find(below);
    if (a != round.end() && b != round.end() && b->second > 0) {
      ratios.push_back(a->second / b->second);
    }
  }
  return SpreadOf(std::move(ratios));
}

Spread Figures::Flatness(const std::vector<std::string>& names) const {
  std::vector<double> ratios;
  for (const auto& round : rounds_) {
    std::vector<double> values;
    for (const std::string& name : names) {
      if (const auto found = round.find(name); found != round.end()) {
        values.push_back(found->second);
      }
    }
    if (values.size() != names.size()) continue;
    const auto [min, max] = std::minmax_element(values.begin(), values.end());
    if (*min > 0) ratios.push_back(*max / *min);
  }
  return SpreadOf(std::move(ratios));
}

double BoundHere(const Target& target) {
  return RocksDbIsDebians() ? target.debian : target.release;
}

bool Target::Reached() const {
  return at_most ? figure.median <= BoundHere(*this) : figure.median >= BoundHere(*this);
}

std::string Target::Bound() const {
  return std::string(at_most ? "at most " : "at least ") + Number(BoundHere(*this), decimals) +
         (unit.empty() ? "" : " " + unit);
}

void Report::Print(std::ostream& out) const {
  for (const Table& table : tables) {
    out << "\n" << table.title << "\n";
    PrintAligned(table.rows, out);
  }
  std::vector<TextRow> rows = {{"targets", "reached", "to reach", ""}};
  for (const Target& t : targets) {
    rows.push_back(
        {t.what, ToText(t.figure, t.decimals), t.Bound(), t.Reached() ? "pass" : "MISS"});
  }
  if (rows.size() == 1) return;
  out << "\n";
  PrintAligned(rows, out);
}

json Report::ToJson() const {
  json all_tables = json::array();
  for (const Table& t : tables) all_tables.push_back({{"title", t.title}, {"rows", t.rows}});
  json all_targets = json::array();
  for (const Target& t : targets) {
    all_targets.push_back({{"what", t.what},
                           {"figure", bench::ToJson(t.figure)},
                           {"text", ToText(t.figure, t.decimals)},
                           {"unit", t.unit},
                           {"bound", t.at_most ? "at most" : "at least"},
                           {"debian", t.debian},
                           {"release", t.release},
                           {"decimals", t.decimals},
                           {"reached", t.Reached()}});
  }
  return {{"tables", all_tables}, {"targets", all_targets}, {"series", series}};
}

}  // namespace slipstream::bench
