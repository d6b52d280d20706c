#include "lib/observe/history/history_meta.h"

#include <memory>

#include "lib/core/padded_number.h"
#include "lib/core/quoted_text.h"

namespace slipstream::observe {

using rocksdb::Status;

Status ReadMetaNumber(const std::string& key, const std::string& text, uint64_t* number) {
  if (ParsePadded(text, 1, number)) return Status::OK();
  return Status::Corruption("history database: key " + Quoted(key),
                            "is " + Quoted(text) + ", expected a number");
}

Status ReadHistoryMeta(rocksdb::DB* db, const rocksdb::ReadOptions& read, HistoryMeta* meta) {
  *meta = {};
  std::string text;
  Status s = db->Get(read, MetaKey("version"), &text);
  if (s.IsNotFound()) {
    const std::unique_ptr<rocksdb::Iterator> any(db->NewIterator(read));
    any->SeekToFirst();
    if (!any->Valid()) return any->status();
    return Status::Corruption(
        "not a history database",
        "it has the key " + Quoted(any->key().ToStringView()) + " and no version");
  }
  uint64_t version = 0;
  if (s.ok()) s = ReadMetaNumber("version", text, &version);
  if (s.ok() && version != 1) {
    s = Status::NotSupported("history database of version " + text, "expected 1");
  }
  if (!s.ok()) return s;
  meta->begun = true;
  s = db->Get(read, MetaKey("first"), &text);
  if (s.IsNotFound()) return Status::OK();
  uint64_t first = 0;
  if (s.ok()) s = ReadMetaNumber("first", text, &first);
  if (s.ok()) meta->first_bucket = static_cast<Bucket>(first);
  return s;
}

}  // namespace slipstream::observe
