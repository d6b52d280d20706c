// What bench_memtable says at the end: a table for people, JSON for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "bench/memtable_round.h"

namespace slipstream::bench {

struct MemtableReport {
  MemtableSettings settings;
  std::vector<std::string> command_line;
  // One of each side for each round, in order.
  std::vector<MemtableResult> skip_list;
  std::vector<MemtableResult> replay;

  void PrintTable(std::ostream& out) const;
  nlohmann::json ToJson() const;
};

}  // namespace slipstream::bench
