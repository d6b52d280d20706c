#include "bench/machine.h"

#include <stdlib.h>
#include <sys/utsname.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "rocksdb/version.h"

namespace slipstream::bench {
namespace {

using nlohmann::json;

std::string FirstValue(const std::string& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(':');
    if (line.compare(0, key.size(), key) != 0 || colon == std::string::npos) continue;
    const size_t value = line.find_first_not_of(" \t", colon + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "unknown";
}

}  // namespace

json MachineOfThisRun() {
  utsname kernel{};
  uname(&kernel);
  double load[3] = {-1, -1, -1};
  if (getloadavg(load, 3) < 1) load[0] = -1;
  return {{"cpu", FirstValue("/proc/cpuinfo", "model name")},
          {"cores", std::thread::hardware_concurrency()},
          {"memory", FirstValue("/proc/meminfo", "MemTotal")},
          {"kernel", std::string(kernel.sysname) + " " + kernel.release},
          {"load_average_1_min", load[0]}};
}

bool RocksDbIsDebians() { return SLIPSTREAM_BENCH_ROCKSDB[0] == '\0'; }

json VersionsOfThisRun() {
  return {{"slipstream", SLIPSTREAM_BENCH_VERSION},
          {"git_commit", SLIPSTREAM_BENCH_COMMIT},
          {"rocksdb", rocksdb::GetRocksVersionAsString()},
          {"rocksdb_build", RocksDbIsDebians() ? "Debian" : "release"},
          {"grpc", SLIPSTREAM_BENCH_GRPC},
          {"compiler", SLIPSTREAM_BENCH_COMPILER},
          {"build_type", SLIPSTREAM_BENCH_BUILD_TYPE}};
}

std::string DescribeThisRun() {
  const json machine = MachineOfThisRun();
  const json versions = VersionsOfThisRun();
  std::ostringstream line;
  line << machine["cpu"].get<std::string>() << ", " << machine["cores"] << " cores, load "
       << machine["load_average_1_min"] << "; RocksDB " << versions["rocksdb"].get<std::string>()
       << (RocksDbIsDebians() ? " of the system" : " (release build)") << ", "
       << versions["compiler"].get<std::string>() << ", "
       << versions["build_type"].get<std::string>();
  return line.str();
}

}  // namespace slipstream::bench
