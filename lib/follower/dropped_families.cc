#include "lib/follower/dropped_families.h"

#include <algorithm>
#include <set>
#include <string>

#include "lib/core/log_record_reader.h"

namespace slipstream {

using rocksdb::Slice;
using rocksdb::Status;

bool NeedsHiding(const ManifestState& manifest, const VersionEditSummary& edit) {
  if (!edit.column_family_add || !edit.comparator.has_value()) return false;
  const auto& dropped = manifest.dropped_column_families();
  return std::any_of(dropped.begin(), dropped.end(), [&](const ManifestState::ColumnFamily& old) {
    return old.name == edit.column_family_name && old.comparator != *edit.comparator;
  });
}

Status HideDroppedColumnFamilies(const ImageFile& file, uint64_t end, const ManifestState& manifest,
                                 RewrittenLog* out) {
  std::set<uint32_t> dropped;
  for (const auto& family : manifest.dropped_column_families()) dropped.insert(family.id);
  out->Restart();
  LogRecordReader reader("MANIFEST, to be rewritten");
  std::string piece(256 << 10, '\0');
  Status s;
  for (uint64_t offset = 0; s.ok() && offset < end;) {
    const size_t n =
        file.Read(offset, std::min<uint64_t>(piece.size(), end - offset), piece.data());
    offset += n;
    s = reader.Feed(Slice(piece.data(), n), [&](Slice record, uint64_t) {
      VersionEditSummary edit;
      Status decoded = DecodeVersionEdit(record, &edit);
      if (!decoded.ok()) return decoded;
      std::string renamed;
      if (edit.column_family_add && dropped.count(edit.column_family) != 0) {
        // No host has a column family of such a name.
        const std::string name =
            std::string(1, '\0') + "dropped " + std::to_string(edit.column_family);
        renamed = WithColumnFamilyName(record, name);
        record = renamed;
      }
      out->Add(file, 0, record, /*changed=*/true);
      return Status::OK();
    });
  }
  return s;
}

}  // namespace slipstream
