// Takes the column families that a manifest drops again out of RocksDB's sight.
//
// DB::Open goes through the whole manifest and gives each column family that it adds the options of
// the one that is to be opened under this name. Where a family was dropped and another one created
// under its name with another comparator, it refuses to open the first one with the second one's
// options, although only the second one is there.
#pragma once

#include <cstdint>

#include "lib/core/manifest_state.h"
#include "lib/core/version_edit.h"
#include "lib/follower/image_file.h"
#include "lib/follower/rewritten_log.h"
#include "rocksdb/status.h"

namespace slipstream {

// Whether the manifest, with `edit` as its last one, is one that DB::Open refuses.
bool NeedsHiding(const ManifestState& manifest, const VersionEditSummary& edit);

// Writes the manifest in `file` up to byte `end`, where a record ends, to `*out`, with other names
// for the column families that are dropped in it. What is added under a name that nobody opens,
// DB::Open passes over, with all that follows of it, provided that it is dropped further on; the
// counters in these edits still count.
[[nodiscard]] rocksdb::Status HideDroppedColumnFamilies(const ImageFile& file, uint64_t end,
                                                        const ManifestState& manifest,
                                                        RewrittenLog* out);

}  // namespace slipstream
