// Texts from elsewhere, made fit for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace slipstream_top {

// Without what a terminal would obey or be misled by: control characters, escape sequences, marks
// that turn the direction of text, bytes that are no UTF-8. Each becomes a '?'. Where the locale is
// not UTF-8, so does all that is not ASCII.
std::string SafeText(std::string_view text);

// How many columns a safe text takes.
int Columns(std::string_view safe);

// What of it fits into the columns, the rest of them filled with spaces if `fill`.
std::string Fit(std::string_view safe, int columns, bool fill);

}  // namespace slipstream_top
