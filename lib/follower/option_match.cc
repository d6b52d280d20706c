#include "lib/follower/option_match.h"

#include <algorithm>

#include "rocksdb/comparator.h"
#include "rocksdb/merge_operator.h"

namespace slipstream {
namespace {

using rocksdb::Status;

Status Mismatch(const std::string& family, const std::string& what, const std::string& ours,
                const std::string& theirs) {
  return Status::InvalidArgument("column family \"" + family + "\": " + what + " is " + ours +
                                 ", the leader's is " + theirs);
}

std::string Quoted(const std::string& text) { return "\"" + text + "\""; }

}  // namespace

const rocksdb::ColumnFamilyOptions& HostColumnFamilies::OptionsOf(const std::string& name) const {
  auto it = std::find_if(named.begin(), named.end(), [&](const auto& d) { return d.name == name; });
  return it == named.end() ? others : it->options;
}

bool HostColumnFamilies::Names(const std::string& name) const {
  return std::any_of(named.begin(), named.end(), [&](const auto& d) { return d.name == name; });
}

Status CheckColumnFamily(const HostColumnFamilies& ours, const ColumnFamilyInfo& theirs) {
  const rocksdb::ColumnFamilyOptions& options = ours.OptionsOf(theirs.name);
  const std::string comparator = options.comparator->Name();
  if (comparator != theirs.comparator) {
    return Mismatch(theirs.name, "comparator", comparator, theirs.comparator);
  }
  const size_t timestamp_size = options.comparator->timestamp_size();
  if (theirs.timestamp_size && timestamp_size != *theirs.timestamp_size) {
    return Mismatch(theirs.name, "timestamp size of comparator " + comparator,
                    std::to_string(timestamp_size) + " bytes",
                    std::to_string(*theirs.timestamp_size) + " bytes");
  }
  const auto& merge = options.merge_operator;
  const std::string name = merge != nullptr ? merge->Name() : "";
  // RocksDB writes the id of an operator down, which is its name but for a few of its own.
  if (name == theirs.merge_operator ||
      (merge != nullptr && merge->GetId() == theirs.merge_operator)) {
    return Status::OK();
  }
  if (!ours.Names(theirs.name) && (name.empty() || theirs.merge_operator.empty())) {
    return Status::OK();
  }
  return Mismatch(theirs.name, "merge operator", Quoted(name), Quoted(theirs.merge_operator));
}

}  // namespace slipstream
