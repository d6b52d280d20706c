// One side of one round of bench_memtable.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "rocksdb/status.h"

namespace slipstream::bench {

enum class Memtable { kSkipList, kReplay };
constexpr Memtable kMemtables[] = {Memtable::kSkipList, Memtable::kReplay};
const char* NameOf(Memtable memtable);

struct MemtableSettings {
  uint64_t keys = 1'000'000;
  uint64_t value_bytes = 100;
  uint64_t leader_keys = 300'000;
  uint64_t seed = 1;
  bool ascending = false;
  bool memtable = true;
  bool leader = true;
};

// What is measured. All are costs: less is better.
struct MemtableMeasure {
  std::string name;  // in JSON
  std::string text;
  std::string unit;
  int decimals = 2;
};
std::vector<MemtableMeasure> MeasuresOf(const MemtableSettings& settings);

// By name of the measure.
using MemtableResult = std::map<std::string, double>;

// directory: does not exist; is left behind.
// progress: called with the name of what is measured next.
rocksdb::Status RunMemtableRound(const MemtableSettings& settings, Memtable memtable,
                                 const std::string& directory,
                                 const std::function<void(const std::string&)>& progress,
                                 MemtableResult* result);

}  // namespace slipstream::bench
