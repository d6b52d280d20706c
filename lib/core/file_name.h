// The names that RocksDB gives to the files of a database.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace slipstream {

enum class FileKind { kWal, kManifest, kCurrent, kTable, kBlob, kOther };

struct FileName {
  FileKind kind = FileKind::kOther;
  uint64_t number = 0;  // 0 for kCurrent and kOther

  friend bool operator==(const FileName&, const FileName&) = default;
};

// Looks at the part of `base_or_full_path` behind its last '/'. kOther for every name that RocksDB
// does not write itself: a number that is not padded as RocksDB pads it names no file of its own.
FileName ParseFileName(std::string_view base_or_full_path);

std::string WalName(uint64_t number);       // 000123.log
std::string ManifestName(uint64_t number);  // MANIFEST-000123
std::string TableName(uint64_t number);     // 000123.sst
std::string BlobName(uint64_t number);      // 000123.blob

}  // namespace slipstream
