// What bench_replication says at the end: a table for people, JSON for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "bench/replication_round.h"

namespace slipstream::bench {

struct ReplicationReport {
  RoundSettings settings;
  std::vector<std::string> command_line;
  std::vector<RoundResult> rounds;

  // Medians and ranges, side by side, then how they were measured.
  void PrintTable(std::ostream& out) const;
  // Machine, versions, settings, summary and every round.
  nlohmann::json ToJson() const;
};

}  // namespace slipstream::bench
