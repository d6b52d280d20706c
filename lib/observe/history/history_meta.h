// What a history's database says of itself.
#pragma once

#include <cstdint>
#include <string>

#include "lib/observe/history/history_key.h"
#include "rocksdb/db.h"
#include "rocksdb/status.h"

namespace slipstream::observe {

struct HistoryMeta {
  bool begun = false;  // it has been written to
  Bucket first_bucket = 0;
};

// Returns NotSupported for a newer version, Corruption for what is no history, and what `db` does.
[[nodiscard]] rocksdb::Status ReadHistoryMeta(rocksdb::DB* db, const rocksdb::ReadOptions& read,
                                              HistoryMeta* meta);

// The number that `text` is, as it is kept in the database. Returns Corruption, with the key.
[[nodiscard]] rocksdb::Status ReadMetaNumber(const std::string& key, const std::string& text,
                                             uint64_t* number);

}  // namespace slipstream::observe
