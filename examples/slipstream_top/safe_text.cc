#include "safe_text.h"

#include <langinfo.h>
#include <wchar.h>

#include <cstdint>

namespace slipstream_top {
namespace {

bool LocaleIsUtf8() { return std::string_view(nl_langinfo(CODESET)) == "UTF-8"; }

// The character that begins the text, and its length; 0 of what is none.
uint32_t DecodeFirst(std::string_view text, size_t* bytes) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  *bytes = 1;
  if (first < 0x80) return first;
  const size_t length = first >= 0xf0 && first < 0xf5 ? 4
                        : first >= 0xe0               ? 3
                        : first >= 0xc2               ? 2
                                                      : 0;
  if (length == 0 || first >= 0xf5 || text.size() < length) return 0;
  uint32_t character = first & (0x7fU >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    character = character << 6 | (byte(i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = character >= 0xd800 && character < 0xe000;
  if (character < kLeast[length] || character > 0x10ffff || is_surrogate) return 0;
  *bytes = length;
  return character;
}

bool IsHarmless(uint32_t character) {
  if (character < 0x20 || character == 0x7f) return false;
  if (character < 0x7f) return true;
  if (character < 0xa0) return false;  // C1, among them a one-character escape sequence
  const bool turns_direction =
      character == 0x061c || (character >= 0x200e && character <= 0x200f) ||
      (character >= 0x202a && character <= 0x202e) || (character >= 0x2066 && character <= 0x2069);
  const bool is_line_end = character == 0x2028 || character == 0x2029;
  return !turns_direction && !is_line_end && wcwidth(static_cast<wchar_t>(character)) >= 0;
}

}  // namespace

std::string SafeText(std::string_view text) {
  const bool utf8 = LocaleIsUtf8();
  std::string safe;
  while (!text.empty()) {
    size_t bytes = 0;
    const uint32_t character = DecodeFirst(text, &bytes);
    if (IsHarmless(character) && (utf8 || character < 0x80)) {
      safe += text.substr(0, bytes);
    } else {
      safe += '?';
    }
    text.remove_prefix(bytes);
  }
  return safe;
}

int Columns(std::string_view safe) {
  int columns = 0;
  while (!safe.empty()) {
    size_t bytes = 0;
    columns += wcwidth(static_cast<wchar_t>(DecodeFirst(safe, &bytes)));
    safe.remove_prefix(bytes);
  }
  return columns;
}

std::string Fit(std::string_view safe, int columns, bool fill) {
  std::string fitting;
  int used = 0;
  while (!safe.empty()) {
    size_t bytes = 0;
    const int width = wcwidth(static_cast<wchar_t>(DecodeFirst(safe, &bytes)));
    if (used + width > columns) break;
    fitting += safe.substr(0, bytes);
    used += width;
    safe.remove_prefix(bytes);
  }
  if (fill && used < columns) fitting.append(static_cast<size_t>(columns - used), ' ');
  return fitting;
}

}  // namespace slipstream_top
