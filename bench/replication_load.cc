#include "bench/replication_load.h"

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

}  // namespace

rocksdb::Options DatabaseOptions(const ReplicationLoad& load) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.compaction_style = rocksdb::kCompactionStyleLevel;
  options.write_buffer_size = load.write_buffer_bytes;
  // What a secondary asks for; the others have it too.
  options.max_open_files = -1;
  return options;
}

KeyStream::KeyStream(const ReplicationLoad& load)
    : key_space_(load.key_space), value_bytes_(load.value_bytes), state_(Mix(load.seed)) {
  values_.resize(kValuePoolBytes + value_bytes_);
  for (char& c : values_) {
    state_ = Mix(state_);
    c = static_cast<char>(' ' + state_ % 95);
  }
}

rocksdb::Slice KeyStream::NextKey() {
  state_ = Mix(state_);
  const uint64_t number = state_ % key_space_;
  const uint64_t halves[2] = {Mix(number), Mix(~number)};
  static_assert(sizeof(halves) == kKeyBytes);
  memcpy(key_, halves, sizeof(halves));
  return rocksdb::Slice(key_, sizeof(key_));
}

rocksdb::Slice KeyStream::NextValue() {
  state_ = Mix(state_);
  return rocksdb::Slice(values_.data() + state_ % kValuePoolBytes, value_bytes_);
}

std::string ContentDigest::ToString() const {
  return std::to_string(keys) + " keys with hash " + std::to_string(hash) + " at sequence number " +
         std::to_string(sequence);
}

rocksdb::Status DigestOf(rocksdb::DB* db, ContentDigest* digest) {
  *digest = ContentDigest();
  digest->sequence = db->GetLatestSequenceNumber();
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(options));
  const std::hash<std::string_view> hash;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    digest->hash = Mix(digest->hash ^ hash(it->key().ToStringView()));
    digest->hash = Mix(digest->hash ^ hash(it->value().ToStringView()));
    ++digest->keys;
  }
  return it->status();
}

}  // namespace slipstream::bench
