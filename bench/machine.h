// Where a benchmark ran and what it was built from, for its report.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace slipstream::bench {

// One JSON object each.
nlohmann::json MachineOfThisRun();
nlohmann::json VersionsOfThisRun();

// Both in one line for people.
std::string DescribeThisRun();

}  // namespace slipstream::bench
