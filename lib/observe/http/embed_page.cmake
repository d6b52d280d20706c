# Makes the page a part of the library: cmake -DPAGE=page.html -DOUT=page.cc -P embed_page.cmake
file(READ ${PAGE} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
string(REGEX REPLACE "((.......){16})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "// Made from page.html.
#include \"lib/observe/http/page.h\"

namespace slipstream::observe {
namespace {

constexpr char kPage[] = {
${bytes}};

}  // namespace

std::string_view Page() { return {kPage, sizeof(kPage)}; }

}  // namespace slipstream::observe
")
