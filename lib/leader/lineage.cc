#include "lib/leader/lineage.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <utility>

#include "lib/core/object_name.h"
#include "lib/storage/small_object.h"

namespace slipstream {
namespace {

using rocksdb::Status;

constexpr char kOpeningHeader[] = "slipstream open 1";
constexpr char kDeletionsHeader[] = "slipstream reclaim 1";
constexpr size_t kMaxOpeningBytes = 64 << 10;
constexpr size_t kMaxDeletionsBytes = 64 << 20;

}  // namespace

std::string EncodeDeletions(const std::vector<std::string>& deletes) {
  std::string content = std::string(kDeletionsHeader) + "\n";
  for (const std::string& name : deletes) content += name + "\n";
  return content;
}

Status DecodeDeletions(const std::string& content, std::vector<std::string>* deletes) {
  std::istringstream lines(content);
  std::string line;
  if (!std::getline(lines, line) || line != kDeletionsHeader) {
    return Status::Corruption("a list of deletions begins with \"" + line + "\", expected \"" +
                              kDeletionsHeader + "\"");
  }
  deletes->clear();
  while (std::getline(lines, line)) deletes->push_back(line);
  return Status::OK();
}

Lineage::Lineage(std::string database, std::shared_ptr<SharedStorage> storage,
                 std::string directory, std::string place)
    : database_(std::move(database)),
      storage_(std::move(storage)),
      directory_(std::move(directory)),
      place_(std::move(place)) {}

std::string Lineage::Describe(const Opening& opening) const {
  return "\"" + database_ + "\" on " + storage_->Describe() + " is database " + opening.identity +
         ", opened last in " + opening.place + " under epoch " + std::to_string(opening.epoch);
}

Status Lineage::ReadNewest() {
  newest_ = Opening();
  std::vector<std::string> names;
  Status s = storage_->List(EpochPrefix(database_), &names);
  for (const std::string& name : names) {
    uint64_t epoch = 0;
    if (ParseOpeningName(database_, name, &epoch)) newest_.epoch = std::max(newest_.epoch, epoch);
  }
  if (!s.ok() || newest_.epoch == 0) return s;
  const std::string name = OpeningName(database_, newest_.epoch);
  std::string content, header;
  s = ReadSmallObject(storage_.get(), name, kMaxOpeningBytes, &content);
  if (!s.ok()) return s;
  std::istringstream lines(content);
  if (!std::getline(lines, header) || header != kOpeningHeader ||
      !std::getline(lines, newest_.identity) || !std::getline(lines, newest_.place)) {
    return Status::Corruption(name + " on " + storage_->Describe() + " begins with \"" + header +
                              "\", expected \"" + kOpeningHeader + "\" and two more lines");
  }
  return s;
}

Status Lineage::CheckDirectory(const DirectoryState& state) {
  Status s = ReadNewest();
  if (!s.ok() || newest_.epoch == 0) return s;
  if (!state.has_database) {
    return Status::InvalidArgument(directory_ + " holds no database, but " + Describe(newest_) +
                                   "; open that directory or a copy of it, or use another name");
  }
  if (!state.identity.empty() && state.identity != newest_.identity) {
    return Status::InvalidArgument(directory_ + " holds database " + state.identity + ", but " +
                                   Describe(newest_));
  }
  const auto is_newest = [this](const EpochStart& e) { return e.epoch == newest_.epoch; };
  if (std::none_of(state.openings.begin(), state.openings.end(), is_newest)) {
    return Status::InvalidArgument(
        directory_ + " was left behind: " + Describe(newest_) +
        ", and this copy has not been through that; open a newer copy, or remove " +
        OpeningName(database_, newest_.epoch) + " to go back to this one");
  }
  return s;
}

Status Lineage::NeedsObjectCheck(uint64_t epoch, bool* needed) {
  std::vector<std::string> names;
  Status s = storage_->List(ReclaimPrefix(database_), &names);
  deleting_.clear();
  for (const std::string& name : names) {
    uint64_t e = 0;
    if (ParseReclaimName(database_, name, &e) && e != epoch) deleting_.push_back(e);
  }
  *needed = !deleting_.empty() || (newest_.epoch != 0 && newest_.place != place_);
  return s;
}

Status Lineage::CheckObjects(const std::vector<ObjectInfo>& referenced) {
  std::vector<std::string> names;
  names.reserve(referenced.size());
  for (const ObjectInfo& object : referenced) names.push_back(ObjectNameOf(database_, object));
  std::sort(names.begin(), names.end());
  Status s = CheckDeletions(names);
  if (s.ok() && newest_.epoch != 0 && newest_.place != place_) s = CheckPresence(names);
  return s;
}

Status Lineage::CheckDeletions(const std::vector<std::string>& names) {
  for (const uint64_t epoch : deleting_) {
    const std::string list = ReclaimName(database_, epoch);
    std::string content;
    std::vector<std::string> deletes;
    Status s = ReadSmallObject(storage_.get(), list, kMaxDeletionsBytes, &content);
    if (s.IsNotFound()) continue;
    if (s.ok()) s = DecodeDeletions(content, &deletes);
    if (!s.ok()) return s;
    for (const std::string& name : deletes) {
      if (!std::binary_search(names.begin(), names.end(), name)) continue;
      return Status::Aborted("the leader of epoch " + std::to_string(epoch) + " deletes " + name +
                             ", which " + directory_ +
                             " consists of: this is a copy from before that");
    }
    // The leader of this very directory is gone, as its lock was free: it deletes nothing more.
    if (epoch == newest_.epoch && newest_.place == place_) s = storage_->Delete(list);
    if (!s.ok()) return s;
  }
  return Status::OK();
}

Status Lineage::CheckPresence(const std::vector<std::string>& names) {
  std::vector<std::string> found;
  Status s = storage_->List(ObjectPrefix(database_), &found);
  if (!s.ok()) return s;
  const std::set<std::string> present(found.begin(), found.end());
  for (const std::string& name : names) {
    if (present.count(name) != 0) continue;
    return Status::Corruption(name + " is not on " + storage_->Describe() + ", but " + directory_ +
                              " consists of it: this is a copy from before it was removed");
  }
  return s;
}

Status Lineage::Record(uint64_t epoch, const std::string& identity) {
  if (newest_.epoch != 0 && newest_.identity != identity) {
    return Status::InvalidArgument(directory_ + " holds database " + identity + ", but " +
                                   Describe(newest_));
  }
  const std::string name = OpeningName(database_, epoch);
  Status s = storage_->PutIfAbsent(
      name, std::string(kOpeningHeader) + "\n" + identity + "\n" + place_ + "\n");
  // The epoch is this leader's own: what is there already is from an attempt that seemed to fail.
  return s.IsBusy() ? Status::OK() : s;
}

}  // namespace slipstream
