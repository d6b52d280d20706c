// The options with which a generation is opened: the host's where they matter to readers, and
// where they would make it flush, compact, write or stall, our own.
#pragma once

#include "rocksdb/options.h"

namespace slipstream {

// Name of the merge operator that stands in where the host gave none.
inline constexpr char kNoMergeOperatorName[] = "slipstream.NoMergeOperator";

rocksdb::DBOptions GenerationDBOptions(const rocksdb::DBOptions& host, uint32_t wal_recovery_mode,
                                       rocksdb::Env* env);
rocksdb::ColumnFamilyOptions GenerationColumnFamilyOptions(
    const rocksdb::ColumnFamilyOptions& host);

}  // namespace slipstream
