// Small objects, read in one call.
#pragma once

#include <string>

#include "rocksdb/status.h"
#include "slipstream/shared_storage.h"

namespace slipstream {

// Returns NotFound if there is none of that name, Corruption if it has more than `max_bytes`, and
// IOError.
[[nodiscard]] rocksdb::Status ReadSmallObject(SharedStorage* storage, const std::string& name,
                                              size_t max_bytes, std::string* content);

}  // namespace slipstream
