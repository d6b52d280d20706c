#include "bench/spread.h"

#include <algorithm>
#include <cstdio>

namespace slipstream::bench {

using nlohmann::json;

double PercentileUs(const std::vector<uint64_t>& sorted_ns, double fraction) {
  if (sorted_ns.empty()) return 0;
  const auto last = static_cast<double>(sorted_ns.size() - 1);
  return static_cast<double>(sorted_ns[static_cast<size_t>(last * fraction + 0.5)]) / 1000;
}

Spread SpreadOf(std::vector<double> values) {
  Spread spread;
  spread.count = values.size();
  if (values.empty()) return spread;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  spread.median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  spread.min = values.front();
  spread.max = values.back();
  return spread;
}

json ToJson(const Spread& s) {
  return s.count == 0 ? json() : json{{"median", s.median}, {"min", s.min}, {"max", s.max}};
}

std::string Number(double value, int decimals) {
  char text[64];
  snprintf(text, sizeof(text), "%.*f", decimals, value);
  return text;
}

std::string ToText(const Spread& s, int decimals) {
  if (s.count == 0) return "-";
  std::string text = Number(s.median, decimals);
  if (s.count > 1) text += " (" + Number(s.min, decimals) + "-" + Number(s.max, decimals) + ")";
  return text;
}

void PrintAligned(const std::vector<TextRow>& rows, std::ostream& out) {
  std::vector<size_t> widths;
  for (const TextRow& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const TextRow& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      out << (i == 0 ? row[i] + padding : "  " + padding + row[i]);
    }
    out << "\n";
  }
}

}  // namespace slipstream::bench
