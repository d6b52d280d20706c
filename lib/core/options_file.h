// RocksDB's OPTIONS files. RocksDB writes a new one at each open, whenever a column family is
// created or dropped, and when options are changed; it is the only place where the merge operators
// of all column families are written down.
#pragma once

#include <string_view>
#include <vector>

#include "lib/core/column_family_info.h"

namespace slipstream {

// Whether the part of `base_or_full_path` behind its last '/' is the name of an OPTIONS file.
bool IsOptionsFileName(std::string_view base_or_full_path);

// The column families that an OPTIONS file describes, in its order, without sizes of timestamps.
// What is not understood is left out. Pure.
std::vector<ColumnFamilyInfo> ParseOptionsFile(std::string_view content);

}  // namespace slipstream
