#include "slipstream/position.h"

#include <array>
#include <charconv>
#include <system_error>

#include "lib/core/quoted_text.h"

namespace slipstream {
namespace {

// Takes one number off the front of `*text`, in the one form that std::to_string prints.
bool TakeNumber(std::string_view* text, uint64_t* value) {
  const char* begin = text->data();
  const char* end = begin + text->size();
  const auto [stop, error] = std::from_chars(begin, end, *value);
  if (error != std::errc()) return false;
  const auto digits = static_cast<size_t>(stop - begin);
  if (digits > 1 && *begin == '0') return false;
  text->remove_prefix(digits);
  return true;
}

}  // namespace

std::string Position::ToString() const {
  return std::to_string(epoch) + ":" + std::to_string(offset) + ":" + std::to_string(sequence);
}

rocksdb::Status Position::Parse(std::string_view text, Position* out) {
  std::array<uint64_t, 3> numbers{};
  std::string_view rest = text;
  bool ok = true;
  for (size_t i = 0; ok && i < numbers.size(); ++i) {
    if (i > 0) {
      ok = rest.starts_with(':');
      if (ok) rest.remove_prefix(1);
    }
    ok = ok && TakeNumber(&rest, &numbers[i]);
  }
  if (!ok || !rest.empty()) {
    return rocksdb::Status::InvalidArgument("position " + Quoted(text) +
                                            ": expected epoch:offset:sequence in decimal");
  }
  *out = Position{numbers[0], numbers[1], numbers[2]};
  return rocksdb::Status::OK();
}

}  // namespace slipstream
