// What a benchmark has measured, round by round, and what it says about that: tables for people and
// for the README, and figures against targets.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "bench/spread.h"

namespace slipstream::bench {

// Numbers by name, for each round.
class Figures {
 public:
  void BeginRound() { rounds_.emplace_back(); }
  // One number of the round that has begun last.
  void Set(const std::string& name, double value) { rounds_.back()[name] = value; }

  // Over the rounds that have it.
  Spread Of(const std::string& name) const;
  // Both of the same round, so that what else the machine did meanwhile counts for both about
  // alike.
  Spread Ratio(const std::string& above, const std::string& below) const;
  // Of each round, the largest of the named numbers over the smallest.
  Spread Flatness(const std::vector<std::string>& names) const;

  nlohmann::json ToJson() const { return rounds_; }

 private:
  std::vector<std::map<std::string, double>> rounds_;
};

struct Table {
  std::string title;
  std::vector<TextRow> rows;  // the first one is the header
};

// A figure that is to reach something.
struct Target {
  std::string what;
  Spread figure;
  int decimals = 2;
  std::string unit = "";  // "" of a ratio
  bool at_most = true;    // else at least
  double debian = 0;      // with Debian's RocksDB, which has assertions on
  double release = 0;     // with a release build

  bool Reached() const;
  std::string Bound() const;
};

// The value to reach with the RocksDB that this program was built with.
double BoundHere(const Target& target);

struct Report {
  std::vector<Table> tables;
  std::vector<Target> targets;
  // For plots: by plot and by line, [x, y, ...].
  nlohmann::json series = nlohmann::json::object();

  // One row, if the benchmark has measured it.
  void AddTarget(Target target) {
    if (target.figure.count > 0) targets.push_back(std::move(target));
  }
  void Print(std::ostream& out) const;
  nlohmann::json ToJson() const;
};

}  // namespace slipstream::bench
