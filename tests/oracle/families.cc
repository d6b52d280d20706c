#include "tests/oracle/families.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "rocksdb/compaction_filter.h"
#include "rocksdb/comparator.h"
#include "rocksdb/convenience.h"

namespace slipstream::oracle {
namespace {

using rocksdb::ReadOptions;
using rocksdb::Slice;
using rocksdb::Status;

constexpr size_t kTimestampBytes = sizeof(uint64_t);
constexpr size_t kInternalBytes = sizeof(uint64_t);  // sequence number and type

const rocksdb::Comparator* ComparatorWithTimestamps() {
  const rocksdb::Comparator* comparator = nullptr;
  rocksdb::Comparator::CreateFromString(rocksdb::ConfigOptions(),
                                        "leveldb.BytewiseComparator.u64ts", &comparator)
      .PermitUncheckedError();
  return comparator;
}

class Filter : public rocksdb::CompactionFilter {
 public:
  Decision FilterV2(int, const Slice&, ValueType type, const Slice& value, std::string* changed,
                    std::string*) const override {
    if (type != ValueType::kValue || value.empty()) return Decision::kKeep;
    if (value[0] == kToRemove) return Decision::kRemove;
    if (value[0] != kToChange) return Decision::kKeep;
    changed->assign(value.data(), value.size());
    (*changed)[0] = '=';
    return Decision::kChangeValue;
  }
  const char* Name() const override { return "SlipstreamOracleFilter"; }
};

// The model's form of a value, after the filter; empty if it removes it.
std::string AfterFilter(const std::string& encoded) {
  std::string changed = encoded;
  if (encoded.size() < 2) return changed;
  if (encoded[1] == kToRemove) return "";
  if (encoded[1] == kToChange) changed[1] = '=';
  return changed;
}

uint64_t NumberOf(const std::string& version) {
  return ~std::stoull(version.substr(version.rfind('@') + 1), nullptr, 16);
}

std::string WriterOf(const std::string& key) { return key.substr(0, key.find('/')); }

std::string Missing(const std::string& key, const std::string& why) {
  return "key " + key + " is missing, " + why;
}

// The state at a timestamp, of the model's versions.
Model::Family StateAt(const Model::Family& versions, uint64_t number) {
  Model::Family state;
  std::string decided;
  for (const auto& [version, value] : versions) {
    const std::string key = version.substr(0, version.rfind('@'));
    if (NumberOf(version) > number || key == decided) continue;
    decided = key;
    if (value != kDeletedVersion) state[key] = value;
  }
  return state;
}

std::string FirstDifference(const Model::Family& found, const Model::Family& expected) {
  for (const auto& [key, value] : expected) {
    auto it = found.find(key);
    if (it == found.end()) return Missing(key, "expected " + Describe(value));
    if (it->second != value) {
      return "key " + key + ": found " + Describe(it->second) + ", expected " + Describe(value);
    }
  }
  for (const auto& [key, value] : found) {
    if (expected.count(key) == 0) return "key " + key + ": found " + Describe(value);
  }
  return "";
}

}  // namespace

bool IsSpecial(const std::string& family) {
  return family == kTimed || family == kFifo || family == kFiltered;
}

std::vector<std::string> SpecialFamilies(const SeedOptions& seed) {
  std::vector<std::string> names;
  if (seed.timed) names.push_back(kTimed);
  if (seed.fifo) names.push_back(kFifo);
  if (seed.filtered) names.push_back(kFiltered);
  return names;
}

rocksdb::ColumnFamilyOptions OptionsOfFamily(const std::string& family,
                                             const rocksdb::ColumnFamilyOptions& base) {
  static const Filter filter;
  rocksdb::ColumnFamilyOptions o = base;
  if (IsSpecial(family)) o.merge_operator = nullptr;
  if (family == kTimed) {
    o.comparator = ComparatorWithTimestamps();
    // RocksDB 7.8 writes blobs with the key's timestamp and reads them without it: its own Get, on
    // the leader too, says "Key mismatch when reading blob".
    o.enable_blob_files = false;
  }
  if (family == kFiltered) o.compaction_filter = &filter;
  if (family == kFifo) {
    o.compaction_style = rocksdb::kCompactionStyleFIFO;
    o.num_levels = 1;
    o.compaction_options_fifo.max_table_files_size = 96 << 10;
    o.ttl = 3600;
    // Blobs are not counted in the size of the tables that hold them.
    o.enable_blob_files = false;
  }
  return o;
}

std::string Timestamp(uint64_t number) {
  std::string bytes(kTimestampBytes, '\0');
  memcpy(bytes.data(), &number, sizeof(number));
  return bytes;
}

std::string VersionKey(const std::string& key, uint64_t number) {
  char digits[24];
  snprintf(digits, sizeof(digits), "@%016llx", static_cast<unsigned long long>(~number));
  return key + digits;
}

Status ReadVersions(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* handle, Model::Family* versions) {
  const std::string newest = Timestamp(UINT64_MAX), oldest = Timestamp(0);
  const Slice newest_slice(newest), oldest_slice(oldest);
  ReadOptions options;
  options.timestamp = &newest_slice;
  options.iter_start_ts = &oldest_slice;
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(options, handle));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    // A key, its timestamp, and RocksDB's own bytes, of which the first is the type.
    Slice key = it->key();
    constexpr char kDeletionWithTimestamp = 0x14;
    const bool value = key.data()[key.size() - kInternalBytes] != kDeletionWithTimestamp;
    key.remove_suffix(kTimestampBytes + kInternalBytes);
    uint64_t number = 0;
    memcpy(&number, it->timestamp().data(), sizeof(number));
    (*versions)[VersionKey(key.ToString(), number)] =
        value ? EncodePlain(it->value().ToStringView()) : kDeletedVersion;
  }
  return it->status();
}

std::string HoleIn(const Model::Family& found, const Model::Family& written) {
  std::map<std::string, uint64_t> newest;
  for (const auto& [version, value] : found) {
    uint64_t& number = newest[WriterOf(version)];
    number = std::max(number, NumberOf(version));
  }
  for (const auto& [version, value] : written) {
    if (NumberOf(version) <= newest[WriterOf(version)] && found.count(version) == 0) return version;
  }
  return "";
}

std::string CompareTimed(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* handle,
                         const Model::Family& versions, Random* random) {
  Model::Family found;
  Status s = ReadVersions(db, handle, &found);
  if (!s.ok()) return "reading all versions: " + s.ToString();
  if (std::string difference = FirstDifference(found, versions); !difference.empty()) {
    return "all versions: " + difference;
  }
  const uint64_t number = random->Skewed(1, 4096);
  const std::string timestamp = Timestamp(number);
  const Slice slice(timestamp);
  ReadOptions options;
  options.timestamp = &slice;
  found.clear();
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(options, handle));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    found[it->key().ToString()] = EncodePlain(it->value().ToStringView());
  }
  if (!it->status().ok()) return "iterator: " + it->status().ToString();
  const Model::Family expected = StateAt(versions, number);
  std::string difference = FirstDifference(found, expected);
  for (const auto& [key, value] : expected) {
    if (!difference.empty() || !random->OneIn(10)) continue;
    std::string got;
    s = db->Get(options, handle, key, &got);
    if (!s.ok() || EncodePlain(got) != value) difference = "Get " + key + ": " + s.ToString();
  }
  return difference.empty() ? "" : "at timestamp " + std::to_string(number) + ": " + difference;
}

std::string CompareFifo(const Model::Family& found, const Model::Family& written,
                        const Model::Family& at_least) {
  for (const auto& [key, value] : at_least) {
    if (found.count(key) == 0) return Missing(key, "and the leader has it");
  }
  for (const auto& [key, value] : found) {
    auto it = written.find(key);
    if (it == written.end() || it->second != value) {
      return "key " + key + " holds " + Describe(value) + ", which was not written";
    }
  }
  // In the order in which each writer wrote.
  std::map<std::string, std::string> shown;
  for (const auto& [key, value] : written) {
    std::string& before = shown[WriterOf(key)];
    if (found.count(key) != 0) {
      before = key;
    } else if (!before.empty()) {
      return Missing(key, "and an older one is there: " + before);
    }
  }
  return "";
}

std::string CompareFiltered(const Model::Family& found, const Model::Family& written,
                            const Model::Family& at_least) {
  for (const auto& [key, value] : found) {
    auto it = written.find(key);
    if (it == written.end()) return "key " + key + ": found " + Describe(value);
    if (value != it->second && value != AfterFilter(it->second)) {
      return "key " + key + ": found " + Describe(value) + ", expected " + Describe(it->second);
    }
  }
  for (const auto& [key, value] : written) {
    auto it = found.find(key);
    if (it == found.end() && !AfterFilter(value).empty()) {
      return Missing(key, "expected " + Describe(value));
    }
    // What the leader has not filtered yet, a follower has not either.
    auto leaders = at_least.find(key);
    if (leaders == at_least.end() || leaders->second != value) continue;
    if (it == found.end() || it->second != value) {
      return "key " + key + " was filtered before the leader filtered it";
    }
  }
  return "";
}

}  // namespace slipstream::oracle
