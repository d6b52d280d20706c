#include "lib/core/quoted_text.h"

#include <catch2/catch.hpp>
#include <string>

namespace slipstream {
namespace {

TEST_CASE("quoted_text: printable text is shown as it is", "[unit]") {
  REQUIRE(Quoted("") == "\"\"");
  REQUIRE(Quoted("a b/c.~") == "\"a b/c.~\"");
}

TEST_CASE("quoted_text: other bytes are shown as numbers", "[unit]") {
  REQUIRE(Quoted(std::string("a\0b\n\x7f\xff", 6)) == "\"a\\x00b\\x0a\\x7f\\xff\"");
}

TEST_CASE("quoted_text: long text is cut", "[unit]") {
  REQUIRE(Quoted(std::string(120, 'x')) == "\"" + std::string(120, 'x') + "\"");
  REQUIRE(Quoted(std::string(121, 'x')) == "\"" + std::string(120, 'x') + "...\"");
  REQUIRE(Quoted(std::string(1 << 20, '\0')).size() < 1000);
}

}  // namespace
}  // namespace slipstream
