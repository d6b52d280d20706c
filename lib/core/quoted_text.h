// Text from outside, as it is shown in messages.
// Pure.
#pragma once

#include <string>
#include <string_view>

namespace slipstream {

// In double quotes, with what is not printable ASCII as \xNN, and cut to a bounded length:
// whatever the text, the message stays one readable line.
inline std::string Quoted(std::string_view text) {
  constexpr size_t kMaxShown = 120;
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text.substr(0, kMaxShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out + (text.size() > kMaxShown ? "...\"" : "\"");
}

}  // namespace slipstream
