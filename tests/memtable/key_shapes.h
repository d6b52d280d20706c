// Entries for tests of ReplayTree: seven shapes of keys, each of which has broken a search tree or
// could. Random, from a seed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/memtable/entry_key.h"

namespace slipstream::testing {

enum class KeyShape {
  kRandom,
  kAscending,
  kDescending,
  kCommonPrefix,
  kColumns,   // several ascending runs, interleaved
  kVersions,  // few keys, many sequence numbers
  kMixedLengths,
};
constexpr KeyShape kKeyShapes[] = {
    KeyShape::kRandom,  KeyShape::kAscending, KeyShape::kDescending,  KeyShape::kCommonPrefix,
    KeyShape::kColumns, KeyShape::kVersions,  KeyShape::kMixedLengths};

inline const char* NameOf(KeyShape shape) {
  switch (shape) {
    case KeyShape::kRandom:
      return "random";
    case KeyShape::kAscending:
      return "ascending";
    case KeyShape::kDescending:
      return "descending";
    case KeyShape::kCommonPrefix:
      return "common prefix";
    case KeyShape::kColumns:
      return "columns";
    case KeyShape::kVersions:
      return "versions";
    case KeyShape::kMixedLengths:
      return "mixed lengths";
  }
  return "";
}

using Random = std::mt19937_64;

inline uint64_t Below(Random* random, uint64_t limit) { return (*random)() % limit; }

inline std::string BigEndian(uint64_t value, int bytes = 8) {
  std::string s;
  for (int i = bytes - 1; i >= 0; --i) s.push_back(static_cast<char>(value >> (8 * i)));
  return s;
}

inline std::string RandomBytes(Random* random, size_t size) {
  std::string s;
  for (size_t i = 0; i < size; ++i) s.push_back(static_cast<char>((*random)()));
  return s;
}

// Makes user keys one after the other. Some shapes repeat keys.
class KeySource {
 public:
  KeySource(KeyShape shape, Random* random) : shape_(shape), random_(*random) {
    prefix_ = RandomBytes(&random_, Below(&random_, 3) * 5);
    const uint64_t columns = 2 + Below(&random_, 4);
    for (uint64_t i = 0; i < columns; ++i) {
      // As a rule the columns differ behind a long prefix; often one is a prefix of another.
      columns_.push_back("table/000000000017/column/" + std::string(1 + i % 3, 'c') +
                         (Below(&random_, 2) == 0 ? "" : std::to_string(i)));
    }
  }

  std::string Next() {
    ++counter_;
    switch (shape_) {
      case KeyShape::kRandom:
        return RandomBytes(&random_, 16);
      case KeyShape::kAscending:
        return prefix_ + BigEndian(counter_ * 3);
      case KeyShape::kDescending:
        return prefix_ + BigEndian(~(counter_ * 3));
      case KeyShape::kCommonPrefix:
        return Nested();
      case KeyShape::kColumns: {
        const size_t column = Below(&random_, columns_.size());
        return columns_[column] + BigEndian(counter_);
      }
      case KeyShape::kVersions:
        return "key" + std::to_string(Below(&random_, 5));
      case KeyShape::kMixedLengths:
        return Mixed();
    }
    return "";
  }

 private:
  // Keys that differ at many depths.
  std::string Nested() {
    std::string key = "a prefix that all keys have in common/";
    for (int level = 0; level < 4; ++level) {
      key += Below(&random_, 3) == 0 ? "x" : "a longer part of the path/";
      key += static_cast<char>('0' + Below(&random_, 8));
    }
    return key + BigEndian(Below(&random_, 1000), 2);
  }

  std::string Mixed() {
    static const char kBytes[] = {'\0', '\1', 'a', '\x7f', '\x80', '\xff'};
    std::string key;
    const uint64_t size = Below(&random_, 8) == 0 ? Below(&random_, 300) : Below(&random_, 14);
    for (uint64_t i = 0; i < size; ++i) key.push_back(kBytes[Below(&random_, sizeof(kBytes))]);
    return key;
  }

  const KeyShape shape_;
  Random& random_;
  std::string prefix_;
  std::vector<std::string> columns_;
  uint64_t counter_ = 0;
};

inline void AppendVarint32(std::string* s, uint32_t value) {
  for (; value >= 0x80; value >>= 7) s->push_back(static_cast<char>(value | 0x80));
  s->push_back(static_cast<char>(value));
}

inline std::string InternalKey(const std::string& user_key, uint64_t sequence, uint8_t type) {
  std::string key = user_key;
  const uint64_t tag = sequence << 8 | type;
  for (int i = 0; i < 8; ++i) key.push_back(static_cast<char>(tag >> (8 * i)));
  return key;
}

// An entry as RocksDB encodes it, with its number as the value.
inline std::string EncodeEntry(const std::string& internal_key, uint32_t number) {
  std::string entry;
  AppendVarint32(&entry, static_cast<uint32_t>(internal_key.size()));
  entry += internal_key;
  entry.push_back(4);
  entry.append(reinterpret_cast<const char*>(&number), 4);
  return entry;
}

inline uint32_t NumberOf(const char* entry) {
  const EntryKey key = KeyOfEntry(entry);
  uint32_t number = 0;
  std::memcpy(&number, key.data + key.size + kTagSize + 1, sizeof(number));
  return number;
}

// `count` different entries in the order of their insertion; entry i has number i. Each lies in
// memory of its own, so that an access beyond it is seen by AddressSanitizer.
class EntrySet {
 public:
  EntrySet(KeyShape shape, int count, Random* random) {
    KeySource source(shape, random);
    std::set<std::pair<std::string, uint64_t>> seen;
    uint64_t sequence = 1 + Below(random, 1 << 20);
    while (static_cast<int>(entries_.size()) < count) {
      std::string key = source.Next();
      sequence += Below(random, 2);
      if (!seen.emplace(key, sequence).second) {
        ++sequence;
        seen.emplace(key, sequence);
      }
      const std::string entry =
          EncodeEntry(InternalKey(key, sequence, 1), static_cast<uint32_t>(entries_.size()));
      auto memory = std::make_unique<char[]>(entry.size());
      std::memcpy(memory.get(), entry.data(), entry.size());
      entries_.push_back(std::move(memory));
      last_sequence_ = sequence;
    }
  }

  int size() const { return static_cast<int>(entries_.size()); }
  const char* operator[](int i) const { return entries_[static_cast<size_t>(i)].get(); }
  uint64_t last_sequence() const { return last_sequence_; }

 private:
  std::vector<std::unique_ptr<char[]>> entries_;
  uint64_t last_sequence_ = 0;
};

}  // namespace slipstream::testing
