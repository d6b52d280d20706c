// The key of a memtable entry. RocksDB writes an entry as
//
//   varint32 length of the internal key | user key | tag (8 bytes) | varint32 length | value | ...
//
// where the tag is the sequence number and, in its lowest byte, the type. The format is a part of
// the contract of rocksdb::MemTableRep.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace slipstream {

constexpr size_t kTagSize = 8;

// Lifetime: points into an entry or an internal key, which must outlive it.
struct EntryKey {
  const char* data = nullptr;  // the user key; the tag follows
  size_t size = 0;             // of the user key
};

inline EntryKey KeyOfInternalKey(const char* data, size_t size) { return {data, size - kTagSize}; }

inline EntryKey KeyOfEntry(const char* entry) {
  const auto* p = reinterpret_cast<const unsigned char*>(entry);
  uint32_t size = *p++;
  if (size >= 0x80) {
    size &= 0x7f;
    for (int shift = 7; shift <= 28; shift += 7) {
      const uint32_t byte = *p++;
      size |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
  }
  return KeyOfInternalKey(reinterpret_cast<const char*>(p), size);
}

inline uint64_t LittleEndian64(const char* p) {
  uint64_t value = 0;
  std::memcpy(&value, p, sizeof(value));
  if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap64(value);
  return value;
}

// The type does not take part in the order of entries.
inline uint64_t SequenceOf(const EntryKey& key) { return LittleEndian64(key.data + key.size) >> 8; }

// The 8 bytes of the user key at offset `skip` as a number that orders as they do; what lies beyond
// the key's end counts as zero. Keys that agree in their first `skip` bytes and have different
// windows are ordered by them.
inline uint64_t WindowOf(const EntryKey& key, size_t skip) {
  if (skip >= key.size) return 0;
  // The tag makes it safe to read 8 bytes from any offset in the user key.
  const uint64_t window = __builtin_bswap64(LittleEndian64(key.data + skip));
  const size_t left = key.size - skip;
  return left >= 8 ? window : window & (~uint64_t{0} << (8 * (8 - left)));
}

// The order of BytewiseComparator(), then newer sequence numbers first.
inline int CompareBytewise(const EntryKey& a, const EntryKey& b) {
  const int c = std::memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
  if (c != 0) return c;
  if (a.size != b.size) return a.size < b.size ? -1 : 1;
  const uint64_t a_sequence = SequenceOf(a);
  const uint64_t b_sequence = SequenceOf(b);
  if (a_sequence == b_sequence) return 0;
  return a_sequence > b_sequence ? -1 : 1;
}

inline size_t CommonPrefix(const EntryKey& a, const EntryKey& b) {
  const size_t limit = a.size < b.size ? a.size : b.size;
  size_t n = 0;
  while (n < limit && a.data[n] == b.data[n]) ++n;
  return n;
}

// An order of entries for ReplayTree. This one looks at windows before it looks at entries; one
// with kHasWindows = false is asked for comparisons alone.
struct BytewiseOrder {
  static constexpr bool kHasWindows = true;

  // Negative if the entry is before the key.
  int Compare(const char* entry, const EntryKey& key) const {
    return CompareBytewise(KeyOfEntry(entry), key);
  }
};

}  // namespace slipstream
