#include "lib/observe/history/task_log_name.h"

#include <algorithm>

#include "lib/core/padded_number.h"
#include "lib/core/quoted_text.h"

namespace slipstream::observe {
namespace {

constexpr size_t kTimeDigits = 17;
constexpr size_t kNumberDigits = 6;
constexpr size_t kMaxPrefixBytes = 200;
constexpr size_t kMaxInstanceBytes = 100;
constexpr std::string_view kSuffix = ".jsonl";

// ASCII by itself: <cctype> follows the host's locale.
bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

bool IsPart(std::string_view part) {
  return !part.empty() && part.front() != '.' &&
         std::all_of(part.begin(), part.end(), IsNameCharacter);
}

}  // namespace

bool IsInstanceName(std::string_view instance) {
  return !instance.empty() && instance.size() <= kMaxInstanceBytes &&
         std::all_of(instance.begin(), instance.end(), IsNameCharacter);
}

rocksdb::Status ValidateTaskLogPrefix(std::string_view prefix) {
  bool valid = prefix.size() <= kMaxPrefixBytes;
  for (size_t begin = 0; valid && begin <= prefix.size();) {
    const size_t end = std::min(prefix.find('/', begin), prefix.size());
    valid = IsPart(prefix.substr(begin, end - begin));
    begin = end + 1;
  }
  if (valid) return rocksdb::Status::OK();
  return rocksdb::Status::InvalidArgument(
      "prefix " + Quoted(prefix) +
      ": expected parts of A-Z a-z 0-9 . _ - with / between them, none with a '.' at the front");
}

std::string TaskLogPrefix(std::string_view prefix) { return std::string(prefix) + "/tasks/"; }

std::string TaskLogName(std::string_view prefix, const TaskLogObject& object) {
  return TaskLogPrefix(prefix) + Padded(object.began_us, kTimeDigits) + "-" + object.instance +
         "-" + Padded(object.number, kNumberDigits) + std::string(kSuffix);
}

bool ParseTaskLogName(std::string_view prefix, std::string_view name, TaskLogObject* object) {
  const std::string front = TaskLogPrefix(prefix);
  if (!name.starts_with(front) || !name.ends_with(kSuffix)) return false;
  name.remove_prefix(front.size());
  name.remove_suffix(kSuffix.size());
  // An instance may have dashes, the numbers have none.
  const size_t first = name.find('-');
  const size_t last = name.rfind('-');
  if (first == std::string_view::npos || last == first) return false;
  const std::string_view instance = name.substr(first + 1, last - first - 1);
  uint64_t began_us = 0;
  uint64_t number = 0;
  if (!ParsePadded(name.substr(0, first), kTimeDigits, &began_us) ||
      !ParsePadded(name.substr(last + 1), kNumberDigits, &number) || !IsInstanceName(instance)) {
    return false;
  }
  *object = {began_us, std::string(instance), number};
  return true;
}

}  // namespace slipstream::observe
