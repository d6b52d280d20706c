// Whether the options that a follower's host gave fit the leader's column families.
#pragma once

#include <string>
#include <vector>

#include "lib/core/column_family_info.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/status.h"

namespace slipstream {

// What the host gave.
struct HostColumnFamilies {
  std::vector<rocksdb::ColumnFamilyDescriptor> named;
  rocksdb::ColumnFamilyOptions others;

  // Those of the descriptor of that name, or else `others`.
  const rocksdb::ColumnFamilyOptions& OptionsOf(const std::string& name) const;
  bool Names(const std::string& name) const;
};

// Comparators and sizes of timestamps have to be the same, and so have merge operators where the
// host named the column family. Of the others, one without merge operator may stand for one with
// it: then the reads of merged keys fail, and no others. Returns InvalidArgument with the column
// family, what the host gave and what the leader has. Threads: any.
[[nodiscard]] rocksdb::Status CheckColumnFamily(const HostColumnFamilies& ours,
                                                const ColumnFamilyInfo& theirs);

}  // namespace slipstream
