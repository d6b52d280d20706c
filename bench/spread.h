// Medians and ranges over rounds, and tables of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

namespace slipstream::bench {

// The median of one number over the rounds, with its extremes.
struct Spread {
  size_t count = 0;
  double median = 0;
  double min = 0;
  double max = 0;
};

// The value below which `fraction` of the sorted values lie, in microseconds; 0 if there are none.
double PercentileUs(const std::vector<uint64_t>& sorted_ns, double fraction);

Spread SpreadOf(std::vector<double> values);
nlohmann::json ToJson(const Spread& s);
std::string Number(double value, int decimals);
// "median (min-max)", or "-" if there was no round.
std::string ToText(const Spread& s, int decimals);

using TextRow = std::vector<std::string>;
// The first column to the left, the others to the right.
void PrintAligned(const std::vector<TextRow>& rows, std::ostream& out);

}  // namespace slipstream::bench
