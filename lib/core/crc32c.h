// CRC-32C (Castagnoli), the checksum of RocksDB's log records and of our own frames.
//
// On x86-64 with SSE4.2 and PCLMULQDQ the processor's instructions are used, found at run time;
// elsewhere tables. Both give the same values.
//
// Threads: all functions are pure; any thread may call them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace slipstream {

// Returns the checksum of A followed by data[0, n), where `crc` is the checksum of A. The checksum
// of no bytes is 0.
[[nodiscard]] uint32_t Crc32cExtend(uint32_t crc, const char* data, size_t n);

// Returns the checksum of data[0, n).
[[nodiscard]] inline uint32_t Crc32c(const char* data, size_t n) {
  return Crc32cExtend(0, data, n);
}

// A checksum that is stored next to the bytes it covers is masked, because the CRC of bytes that
// contain their own CRC is a constant. The rotation and the constant are those of RocksDB's log
// format.
inline constexpr uint32_t kCrc32cMaskDelta = 0xa282ead8u;

[[nodiscard]] inline constexpr uint32_t Crc32cMask(uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + kCrc32cMaskDelta;
}

// The inverse of Crc32cMask.
[[nodiscard]] inline constexpr uint32_t Crc32cUnmask(uint32_t masked) {
  const uint32_t rotated = masked - kCrc32cMaskDelta;
  return (rotated >> 17) | (rotated << 15);
}

// The two implementations by name, so that tests can compare them on one machine.
namespace crc32c_internal {

[[nodiscard]] uint32_t ExtendPortable(uint32_t crc, const char* data, size_t n);

// Whether ExtendAccelerated may be called on this machine.
[[nodiscard]] bool AccelerationSupported();

// REQUIRES: AccelerationSupported().
[[nodiscard]] uint32_t ExtendAccelerated(uint32_t crc, const char* data, size_t n);

}  // namespace crc32c_internal
}  // namespace slipstream
