// Numbers in names: decimal, padded with zeros to a least width, so that names sort as numbers do.
// Pure.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace slipstream {

inline std::string Padded(uint64_t number, size_t width) {
  std::string digits = std::to_string(number);
  if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
  return digits;
}

// True for exactly what Padded prints at this width; else false, and `*number` is unchanged.
[[nodiscard]] inline bool ParsePadded(std::string_view text, size_t width, uint64_t* number) {
  if (text.size() < width || (text.size() > width && text.front() == '0')) return false;
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return false;
  *number = value;
  return true;
}

}  // namespace slipstream
