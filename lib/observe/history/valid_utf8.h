// Text that may go into JSON.
// Pure.
#pragma once

#include <string>
#include <string_view>

namespace slipstream::observe {

// The text with each byte that is no part of valid UTF-8 replaced by U+FFFD. Keys of the history
// are made of the result, so that a record has the same keys before and after it was a line of
// JSON.
std::string ValidUtf8(std::string_view text);

}  // namespace slipstream::observe
