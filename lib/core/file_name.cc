#include "lib/core/file_name.h"

#include "lib/core/padded_number.h"

namespace slipstream {
namespace {

constexpr size_t kDigits = 6;
constexpr std::string_view kManifestPrefix = "MANIFEST-";

struct Suffix {
  std::string_view text;
  FileKind kind;
};
// LevelDB called tables .ldb, and RocksDB still reads them.
constexpr Suffix kSuffixes[] = {{".log", FileKind::kWal},
                                {".sst", FileKind::kTable},
                                {".ldb", FileKind::kTable},
                                {".blob", FileKind::kBlob}};

}  // namespace

FileName ParseFileName(std::string_view base_or_full_path) {
  const size_t slash = base_or_full_path.rfind('/');
  const std::string_view base =
      slash == std::string_view::npos ? base_or_full_path : base_or_full_path.substr(slash + 1);
  uint64_t number = 0;
  if (base == "CURRENT") return {FileKind::kCurrent, 0};
  if (base.starts_with(kManifestPrefix)) {
    return ParsePadded(base.substr(kManifestPrefix.size()), kDigits, &number)
               ? FileName{FileKind::kManifest, number}
               : FileName{};
  }
  for (const Suffix& suffix : kSuffixes) {
    if (!base.ends_with(suffix.text)) continue;
    const std::string_view digits = base.substr(0, base.size() - suffix.text.size());
    return ParsePadded(digits, kDigits, &number) ? FileName{suffix.kind, number} : FileName{};
  }
  return {};
}

std::string WalName(uint64_t number) { return Padded(number, kDigits) + ".log"; }

std::string ManifestName(uint64_t number) {
  return std::string(kManifestPrefix) + Padded(number, kDigits);
}

std::string TableName(uint64_t number) { return Padded(number, kDigits) + ".sst"; }

std::string BlobName(uint64_t number) { return Padded(number, kDigits) + ".blob"; }

}  // namespace slipstream
