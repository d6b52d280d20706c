#include "lib/core/crc32c.h"

#include <array>
#include <cstring>

#include "lib/core/coding.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define SLIPSTREAM_CRC32C_X86 1
#include <immintrin.h>
#endif

namespace slipstream {
namespace {

// The Castagnoli polynomial, bit-reflected. In this representation bit i of a 32-bit word is the
// coefficient of x^(31-i), so a multiplication by x is a shift to the right.
constexpr uint32_t kPolynomial = 0x82f63b78u;

constexpr uint32_t TimesX(uint32_t value) {
  return (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
}

using Table = std::array<uint32_t, 256>;

// kTables[k][b] is the effect of byte b followed by k zero bytes. With eight of them, eight bytes
// are folded by eight independent look-ups instead of a chain of eight.
constexpr std::array<Table, 8> MakeTables() {
  std::array<Table, 8> tables{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t value = b;
    for (int bit = 0; bit < 8; ++bit) value = TimesX(value);
    tables[0][b] = value;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t b = 0; b < 256; ++b) {
      const uint32_t before = tables[k - 1][b];
      tables[k][b] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr std::array<Table, 8> kTables = MakeTables();

}  // namespace

namespace crc32c_internal {

uint32_t ExtendPortable(uint32_t crc, const char* data, size_t n) {
  uint32_t state = ~crc;
  for (; n >= 8; data += 8, n -= 8) {
    const uint32_t low = DecodeFixed32(data) ^ state;
    const uint32_t high = DecodeFixed32(data + 4);
    state = kTables[7][low & 0xff] ^ kTables[6][(low >> 8) & 0xff] ^
            kTables[5][(low >> 16) & 0xff] ^ kTables[4][low >> 24] ^ kTables[3][high & 0xff] ^
            kTables[2][(high >> 8) & 0xff] ^ kTables[1][(high >> 16) & 0xff] ^
            kTables[0][high >> 24];
  }
  for (; n > 0; ++data, --n) {
    state = (state >> 8) ^ kTables[0][(state ^ static_cast<unsigned char>(*data)) & 0xff];
  }
  return ~state;
}

}  // namespace crc32c_internal

#ifdef SLIPSTREAM_CRC32C_X86
namespace {

#define SLIPSTREAM_CRC32C_TARGET __attribute__((target("sse4.2,pclmul")))

bool DetectAcceleration() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("sse4.2") != 0 && __builtin_cpu_supports("pclmul") != 0;
}

// A call from another file's static initialiser may see `false` here: it takes the tables, which
// give the same values.
const bool kAccelerated = DetectAcceleration();

// x^exponent modulo the polynomial.
constexpr uint32_t PowerOfX(size_t exponent) {
  uint32_t value = 0x80000000u;
  for (size_t i = 0; i < exponent; ++i) value = TimesX(value);
  return value;
}

uint64_t Load64(const char* p) {
  uint64_t value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

SLIPSTREAM_CRC32C_TARGET uint64_t CarrylessProduct(uint32_t a, uint32_t b) {
  const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(a)),
                                               _mm_cvtsi32_si128(static_cast<int>(b)), 0);
  return static_cast<uint64_t>(_mm_cvtsi128_si64(product));
}

// Folds as many pieces of 3 * kLaneBytes as there are. The crc32 instruction has a latency of
// three cycles and a throughput of one, so three independent lanes run three times as fast as one.
// A lane that is followed by m bytes counts as its state times x^(8m). The carry-less product of
// two reflected 32-bit words is the reflected 64-bit word of their product times x, and the crc32
// instruction multiplies by another x^32 while it reduces: hence the 33 in the exponents.
template <size_t kLaneBytes>
SLIPSTREAM_CRC32C_TARGET uint64_t FoldLanes(uint64_t state, const char** data, size_t* n) {
  static_assert(kLaneBytes % 8 == 0 && kLaneBytes >= 16);
  constexpr uint32_t kShiftOne = PowerOfX(8 * kLaneBytes - 33);
  constexpr uint32_t kShiftTwo = PowerOfX(16 * kLaneBytes - 33);
  const char* p = *data;
  size_t left = *n;
  for (; left >= 3 * kLaneBytes; left -= 3 * kLaneBytes, p += 3 * kLaneBytes) {
    uint64_t a = state;
    uint64_t b = 0;
    uint64_t c = 0;
    for (size_t i = 0; i < kLaneBytes; i += 8) {
      a = _mm_crc32_u64(a, Load64(p + i));
      b = _mm_crc32_u64(b, Load64(p + kLaneBytes + i));
      c = _mm_crc32_u64(c, Load64(p + 2 * kLaneBytes + i));
    }
    const uint64_t product = CarrylessProduct(static_cast<uint32_t>(a), kShiftTwo) ^
                             CarrylessProduct(static_cast<uint32_t>(b), kShiftOne);
    state = _mm_crc32_u64(0, product) ^ c;
  }
  *data = p;
  *n = left;
  return state;
}

}  // namespace

namespace crc32c_internal {

bool AccelerationSupported() { return kAccelerated; }

SLIPSTREAM_CRC32C_TARGET uint32_t ExtendAccelerated(uint32_t crc, const char* data, size_t n) {
  uint64_t state = static_cast<uint32_t>(~crc);
  // Long lanes make the cost of joining them vanish; short ones serve records of a few hundred
  // bytes and the rest of long buffers.
  if (n >= 3 * 2048) state = FoldLanes<2048>(state, &data, &n);
  if (n >= 3 * 128) state = FoldLanes<128>(state, &data, &n);
  for (; n >= 8; data += 8, n -= 8) state = _mm_crc32_u64(state, Load64(data));
  auto narrow = static_cast<uint32_t>(state);
  for (; n > 0; ++data, --n) narrow = _mm_crc32_u8(narrow, static_cast<unsigned char>(*data));
  return ~narrow;
}

}  // namespace crc32c_internal

uint32_t Crc32cExtend(uint32_t crc, const char* data, size_t n) {
  return kAccelerated ? crc32c_internal::ExtendAccelerated(crc, data, n)
                      : crc32c_internal::ExtendPortable(crc, data, n);
}

#else  // No x86-64 instructions: tables only.

namespace crc32c_internal {

bool AccelerationSupported() { return false; }

uint32_t ExtendAccelerated(uint32_t crc, const char* data, size_t n) {
  return ExtendPortable(crc, data, n);
}

}  // namespace crc32c_internal

uint32_t Crc32cExtend(uint32_t crc, const char* data, size_t n) {
  return crc32c_internal::ExtendPortable(crc, data, n);
}

#endif

}  // namespace slipstream
