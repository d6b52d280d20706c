// The page at /: page.html, put into the library when it is built.
#pragma once

#include <string_view>

namespace slipstream::observe {

std::string_view Page();

}  // namespace slipstream::observe
