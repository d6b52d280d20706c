#include "lib/core/options_file.h"

#include <algorithm>
#include <string>

namespace slipstream {
namespace {

// In the name of a section RocksDB puts a backslash before what would end it or the line
// (EscapeOptionString); names in values stand as they are.
std::string Unescaped(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      plain += text[i];
      continue;
    }
    const char escaped = text[++i];
    plain += escaped == 'n' ? '\n' : escaped == 'r' ? '\r' : escaped;
  }
  return plain;
}

// "nullptr", a name, or "{id=name;...}" for an object with options of its own.
std::string ObjectName(std::string_view value) {
  constexpr std::string_view kId = "{id=";
  if (value == "nullptr" || value.empty()) return "";
  if (value.starts_with(kId)) {
    value.remove_prefix(kId.size());
    value = value.substr(0, value.find_first_of(";}"));
  }
  return std::string(value);
}

std::string_view Trimmed(std::string_view line) {
  const size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

bool IsOptionsFileName(std::string_view path) {
  constexpr std::string_view kPrefix = "OPTIONS-";
  std::string_view name = path.substr(path.rfind('/') + 1);
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<ColumnFamilyInfo> ParseOptionsFile(std::string_view content) {
  constexpr std::string_view kSection = "[CFOptions \"";
  constexpr std::string_view kSectionEnd = "\"]";
  constexpr std::string_view kComparator = "comparator=";
  constexpr std::string_view kMergeOperator = "merge_operator=";
  std::vector<ColumnFamilyInfo> families;
  bool inside = false;
  while (!content.empty()) {
    const size_t end = std::min(content.find('\n'), content.size());
    const std::string_view line = Trimmed(content.substr(0, end));
    content.remove_prefix(std::min(end + 1, content.size()));
    if (line.starts_with('[')) {
      inside = line.starts_with(kSection) && line.ends_with(kSectionEnd);
      if (!inside) continue;
      families.emplace_back().name = Unescaped(
          line.substr(kSection.size(), line.size() - kSection.size() - kSectionEnd.size()));
    } else if (inside && line.starts_with(kComparator)) {
      families.back().comparator = ObjectName(line.substr(kComparator.size()));
    } else if (inside && line.starts_with(kMergeOperator)) {
      families.back().merge_operator = ObjectName(line.substr(kMergeOperator.size()));
    }
  }
  // One without a comparator is no description that can be compared.
  std::erase_if(families, [](const ColumnFamilyInfo& f) { return f.comparator.empty(); });
  return families;
}

}  // namespace slipstream
