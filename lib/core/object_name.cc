#include "lib/core/object_name.h"

#include <algorithm>

#include "lib/core/padded_number.h"
#include "lib/core/quoted_text.h"

namespace slipstream {
namespace {

constexpr size_t kMaxDatabaseName = 100;
constexpr size_t kNumberDigits = 6;
constexpr size_t kEpochDigits = 8;
constexpr std::string_view kTableSuffix = ".sst";
constexpr std::string_view kBlobSuffix = ".blob";
constexpr std::string_view kOpeningSuffix = ".open";

// ASCII by itself: <cctype> follows the host's locale.
bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

}  // namespace

rocksdb::Status ValidateDatabaseName(std::string_view database) {
  if (!database.empty() && database.size() <= kMaxDatabaseName && database.front() != '.' &&
      std::all_of(database.begin(), database.end(), IsNameCharacter)) {
    return rocksdb::Status::OK();
  }
  return rocksdb::Status::InvalidArgument(
      "database name " + Quoted(database) +
      ": expected 1 to 100 of A-Z a-z 0-9 . _ -, and not a '.' at the front");
}

std::string ObjectNameOf(std::string_view database, const ObjectInfo& object) {
  std::string name = ObjectPrefix(database) + Padded(object.number, kNumberDigits) + "-" +
                     Padded(object.epoch, kEpochDigits);
  name += object.file == FrameFile::kBlob ? kBlobSuffix : kTableSuffix;
  return name;
}

bool ParseObjectName(std::string_view database, std::string_view name, ObjectInfo* object) {
  const std::string prefix = ObjectPrefix(database);
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  const bool is_blob = name.ends_with(kBlobSuffix);
  if (!is_blob && !name.ends_with(kTableSuffix)) return false;
  name.remove_suffix(is_blob ? kBlobSuffix.size() : kTableSuffix.size());
  const size_t dash = name.find('-');
  if (dash == std::string_view::npos) return false;
  uint64_t number = 0;
  uint64_t epoch = 0;
  if (!ParsePadded(name.substr(0, dash), kNumberDigits, &number) ||
      !ParsePadded(name.substr(dash + 1), kEpochDigits, &epoch)) {
    return false;
  }
  object->file = is_blob ? FrameFile::kBlob : FrameFile::kTable;
  object->number = number;
  object->epoch = epoch;
  return true;
}

std::string ObjectPrefix(std::string_view database) { return std::string(database) + "/sst/"; }

std::string EpochName(std::string_view database, uint64_t epoch) {
  return EpochPrefix(database) + Padded(epoch, kEpochDigits);
}

bool ParseEpochName(std::string_view database, std::string_view name, uint64_t* epoch) {
  const std::string prefix = EpochPrefix(database);
  return name.starts_with(prefix) && ParsePadded(name.substr(prefix.size()), kEpochDigits, epoch);
}

std::string EpochPrefix(std::string_view database) { return std::string(database) + "/epoch/"; }

std::string OpeningName(std::string_view database, uint64_t epoch) {
  return EpochName(database, epoch) + std::string(kOpeningSuffix);
}

bool ParseOpeningName(std::string_view database, std::string_view name, uint64_t* epoch) {
  if (!name.ends_with(kOpeningSuffix)) return false;
  name.remove_suffix(kOpeningSuffix.size());
  return ParseEpochName(database, name, epoch);
}

std::string ReclaimName(std::string_view database, uint64_t epoch) {
  return ReclaimPrefix(database) + Padded(epoch, kEpochDigits);
}

bool ParseReclaimName(std::string_view database, std::string_view name, uint64_t* epoch) {
  const std::string prefix = ReclaimPrefix(database);
  return name.starts_with(prefix) && ParsePadded(name.substr(prefix.size()), kEpochDigits, epoch);
}

std::string ReclaimPrefix(std::string_view database) { return std::string(database) + "/reclaim/"; }

}  // namespace slipstream
