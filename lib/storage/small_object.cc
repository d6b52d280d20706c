#include "lib/storage/small_object.h"

#include <memory>

namespace slipstream {

using rocksdb::Status;

Status ReadSmallObject(SharedStorage* storage, const std::string& name, size_t max_bytes,
                       std::string* content) {
  content->clear();
  std::unique_ptr<ObjectReader> reader;
  Status s = storage->NewReader(name, &reader);
  if (!s.ok()) return s;
  if (reader->size() > max_bytes) {
    return Status::Corruption(name + " on " + storage->Describe() + " has " +
                              std::to_string(reader->size()) + " bytes, expected at most " +
                              std::to_string(max_bytes));
  }
  std::string scratch(reader->size(), '\0');
  rocksdb::Slice found;
  s = reader->Read(0, scratch.size(), &found, scratch.data());
  if (s.ok() && found.size() != scratch.size()) {
    s = Status::IOError(name + " on " + storage->Describe() + ": read " +
                        std::to_string(found.size()) + " bytes, expected " +
                        std::to_string(scratch.size()));
  }
  if (s.ok()) *content = found.ToString();
  return s;
}

}  // namespace slipstream
