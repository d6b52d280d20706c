// Where a benchmark ran and what it was built from, for its report.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace slipstream::bench {

// One JSON object each.
nlohmann::json MachineOfThisRun();
nlohmann::json VersionsOfThisRun();

// Which RocksDB: Debian's, which has assertions on, or a release build that CMake was pointed at
// with SLIPSTREAM_ROCKSDB_ROOT.
bool RocksDbIsDebians();

// Both in one line for people.
std::string DescribeThisRun();

}  // namespace slipstream::bench
