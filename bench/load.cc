#include "bench/load.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <string_view>

namespace slipstream::bench {

namespace {

// splitmix64: as cheap as random numbers get, so that the load costs little beside the writes.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

constexpr size_t kValuePoolBytes = 1 << 20;

void PutBigEndian(uint64_t value, char* to) {
  for (int i = 0; i < 8; ++i) to[i] = static_cast<char>(value >> (56 - 8 * i));
}

}  // namespace

uint64_t Mix(uint64_t seed, uint64_t number) { return Mix(Mix(seed) + number); }

rocksdb::Options DatabaseOptions(const Shape& shape) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.compaction_style = rocksdb::kCompactionStyleLevel;
  options.write_buffer_size = shape.write_buffer_bytes;
  options.arena_block_size = shape.arena_block_bytes;
  options.max_bytes_for_level_base = std::min<uint64_t>(4 * shape.write_buffer_bytes, 256ull << 20);
  options.allow_concurrent_memtable_write = shape.concurrent_memtable;
  options.disable_auto_compactions = !shape.auto_compaction;
  options.avoid_flush_during_shutdown = true;
  // What a secondary asks for; the others have it too.
  options.max_open_files = -1;
  return options;
}

KeyStream::KeyStream(const Data& data) : data_(data) {
  values_.resize(kValuePoolBytes + data_.value_bytes);
  uint64_t state = Mix(data_.seed);
  for (char& c : values_) {
    state = Mix(state);
    c = static_cast<char>(' ' + state % 95);
  }
  double sum = 0;
  for (uint64_t n = 1; data_.uneven && n <= data_.column_families; ++n) {
    sum += 1.0 / static_cast<double>(n);
    shares_.push_back(sum);
  }
}

rocksdb::Slice KeyStream::Key(uint64_t number) {
  if (data_.ascending) {
    PutBigEndian(data_.seed, key_);
    PutBigEndian(number, key_ + 8);
  } else {
    const uint64_t key = bench::Mix(data_.seed, number) % data_.key_space;
    const uint64_t halves[2] = {Mix(key), Mix(~key)};
    static_assert(sizeof(halves) == kKeyBytes);
    memcpy(key_, halves, sizeof(halves));
  }
  return rocksdb::Slice(key_, sizeof(key_));
}

rocksdb::Slice KeyStream::Value(uint64_t number) {
  const uint64_t at = bench::Mix(data_.seed + 1, number) % kValuePoolBytes;
  return rocksdb::Slice(values_.data() + at, data_.value_bytes);
}

uint64_t KeyStream::ColumnFamily(uint64_t number) const {
  if (data_.column_families == 1) return 0;
  if (!data_.uneven) return number % data_.column_families;
  const double dice = static_cast<double>(bench::Mix(data_.seed + 2, number) >> 11) * 0x1p-53;
  const auto found = std::upper_bound(shares_.begin(), shares_.end(), dice * shares_.back());
  return std::min<uint64_t>(static_cast<uint64_t>(found - shares_.begin()), shares_.size() - 1);
}

std::string ColumnFamilyName(uint64_t number) {
  return number == 0 ? rocksdb::kDefaultColumnFamilyName : "cf" + std::to_string(number);
}

std::string ContentDigest::ToString() const {
  return std::to_string(keys) + " keys with hash " + std::to_string(hash) + " at sequence number " +
         std::to_string(sequence);
}

rocksdb::Status DigestOf(rocksdb::DB* db, const std::vector<rocksdb::ColumnFamilyHandle*>& families,
                         ContentDigest* digest) {
  *digest = ContentDigest();
  digest->sequence = db->GetLatestSequenceNumber();
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  const std::hash<std::string_view> hash;
  for (rocksdb::ColumnFamilyHandle* family : families) {
    const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(options, family));
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      digest->hash = Mix(digest->hash ^ hash(it->key().ToStringView()));
      digest->hash = Mix(digest->hash ^ hash(it->value().ToStringView()));
      ++digest->keys;
    }
    if (!it->status().ok()) return it->status();
    digest->hash = Mix(digest->hash);
  }
  return rocksdb::Status::OK();
}

}  // namespace slipstream::bench
