// Byte encodings shared by our own formats and by the RocksDB files that we read: little-endian
// fixed-width integers, LEB128 varints, and byte strings prefixed by a varint32 length. They match
// what RocksDB writes, bit for bit.
//
// The Get functions take their input off the front of `*input` and return true. When the input is
// too short or does not hold such a value, they return false and leave `*input` and the
// out-parameter as they were.
//
// Threads: all functions are pure; any thread may call them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "rocksdb/slice.h"

namespace slipstream {

// Longest encodings, in bytes.
inline constexpr size_t kMaxVarint32Bytes = 5;
inline constexpr size_t kMaxVarint64Bytes = 10;

// ---- Fixed width. `dst` and `src` must have room for the whole value: 2, 4 or 8 bytes.

// The bytes are put together by shifts, which is right on any host byte order; compilers turn
// each of these functions into one load or store on little-endian machines.
inline void EncodeFixed16(char* dst, uint16_t value) {
  dst[0] = static_cast<char>(value & 0xff);
  dst[1] = static_cast<char>(value >> 8);
}

inline void EncodeFixed32(char* dst, uint32_t value) {
  for (int i = 0; i < 4; ++i) dst[i] = static_cast<char>((value >> (8 * i)) & 0xff);
}

inline void EncodeFixed64(char* dst, uint64_t value) {
  for (int i = 0; i < 8; ++i) dst[i] = static_cast<char>((value >> (8 * i)) & 0xff);
}

[[nodiscard]] inline uint16_t DecodeFixed16(const char* src) {
  const auto* p = reinterpret_cast<const unsigned char*>(src);
  return static_cast<uint16_t>(p[0] | (p[1] << 8));
}

[[nodiscard]] inline uint32_t DecodeFixed32(const char* src) {
  const auto* p = reinterpret_cast<const unsigned char*>(src);
  return static_cast<uint32_t>(p[0]) | (static_cast<uint32_t>(p[1]) << 8) |
         (static_cast<uint32_t>(p[2]) << 16) | (static_cast<uint32_t>(p[3]) << 24);
}

[[nodiscard]] inline uint64_t DecodeFixed64(const char* src) {
  const auto* p = reinterpret_cast<const unsigned char*>(src);
  return static_cast<uint64_t>(p[0]) | (static_cast<uint64_t>(p[1]) << 8) |
         (static_cast<uint64_t>(p[2]) << 16) | (static_cast<uint64_t>(p[3]) << 24) |
         (static_cast<uint64_t>(p[4]) << 32) | (static_cast<uint64_t>(p[5]) << 40) |
         (static_cast<uint64_t>(p[6]) << 48) | (static_cast<uint64_t>(p[7]) << 56);
}

inline void PutFixed16(std::string* dst, uint16_t value) {
  char buf[sizeof(value)];
  EncodeFixed16(buf, value);
  dst->append(buf, sizeof(buf));
}

inline void PutFixed32(std::string* dst, uint32_t value) {
  char buf[sizeof(value)];
  EncodeFixed32(buf, value);
  dst->append(buf, sizeof(buf));
}

inline void PutFixed64(std::string* dst, uint64_t value) {
  char buf[sizeof(value)];
  EncodeFixed64(buf, value);
  dst->append(buf, sizeof(buf));
}

[[nodiscard]] inline bool GetFixed16(rocksdb::Slice* input, uint16_t* value) {
  if (input->size() < sizeof(*value)) return false;
  *value = DecodeFixed16(input->data());
  input->remove_prefix(sizeof(*value));
  return true;
}

[[nodiscard]] inline bool GetFixed32(rocksdb::Slice* input, uint32_t* value) {
  if (input->size() < sizeof(*value)) return false;
  *value = DecodeFixed32(input->data());
  input->remove_prefix(sizeof(*value));
  return true;
}

[[nodiscard]] inline bool GetFixed64(rocksdb::Slice* input, uint64_t* value) {
  if (input->size() < sizeof(*value)) return false;
  *value = DecodeFixed64(input->data());
  input->remove_prefix(sizeof(*value));
  return true;
}

// ---- Varints: 7 bits a byte, least significant first; the top bit says that more follow.

inline void PutVarint64(std::string* dst, uint64_t value) {
  char buf[kMaxVarint64Bytes];
  size_t n = 0;
  while (value >= 0x80) {
    buf[n++] = static_cast<char>((value & 0x7f) | 0x80);
    value >>= 7;
  }
  buf[n++] = static_cast<char>(value);
  dst->append(buf, n);
}

inline void PutVarint32(std::string* dst, uint32_t value) { PutVarint64(dst, value); }

// An encoding that is longer than 10 bytes, or whose value needs more than 64 bits, is refused.
[[nodiscard]] inline bool GetVarint64(rocksdb::Slice* input, uint64_t* value) {
  uint64_t result = 0;
  const size_t limit = input->size() < kMaxVarint64Bytes ? input->size() : kMaxVarint64Bytes;
  for (size_t i = 0; i < limit; ++i) {
    const uint64_t byte = static_cast<unsigned char>((*input)[i]);
    // The tenth byte has room for the top bit of the value only.
    if (i + 1 == kMaxVarint64Bytes && byte > 1) return false;
    result |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      *value = result;
      input->remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

// As GetVarint64, and refuses a value that needs more than 32 bits or an encoding of more than 5
// bytes.
[[nodiscard]] inline bool GetVarint32(rocksdb::Slice* input, uint32_t* value) {
  rocksdb::Slice rest = *input;
  uint64_t wide = 0;
  if (!GetVarint64(&rest, &wide) || wide > UINT32_MAX ||
      input->size() - rest.size() > kMaxVarint32Bytes) {
    return false;
  }
  *value = static_cast<uint32_t>(wide);
  *input = rest;
  return true;
}

// ---- Byte strings.

// REQUIRES: value.size() < 4 GiB.
inline void PutLengthPrefixedSlice(std::string* dst, const rocksdb::Slice& value) {
  PutVarint32(dst, static_cast<uint32_t>(value.size()));
  dst->append(value.data(), value.size());
}

// `*value` points into the bytes of `*input` and lives as long as they do.
[[nodiscard]] inline bool GetLengthPrefixedSlice(rocksdb::Slice* input, rocksdb::Slice* value) {
  rocksdb::Slice rest = *input;
  uint32_t size = 0;
  if (!GetVarint32(&rest, &size) || rest.size() < size) return false;
  *value = rocksdb::Slice(rest.data(), size);
  rest.remove_prefix(size);
  *input = rest;
  return true;
}

}  // namespace slipstream
