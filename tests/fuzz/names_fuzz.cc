// Names of files and objects, and positions: what parses is printed as it was.
#include <string>
#include <string_view>

#include "lib/core/file_name.h"
#include "lib/core/object_name.h"
#include "slipstream/position.h"
#include "tests/fuzz/fuzz.h"

using namespace slipstream;

namespace {

std::string Print(const FileName& name) {
  switch (name.kind) {
    case FileKind::kWal:
      return WalName(name.number);
    case FileKind::kManifest:
      return ManifestName(name.number);
    case FileKind::kTable:
      return TableName(name.number);
    case FileKind::kBlob:
      return BlobName(name.number);
    case FileKind::kCurrent:
      return "CURRENT";
    case FileKind::kOther:
      break;
  }
  return "";
}

void TakeObjectName(std::string_view database, std::string_view name) {
  ObjectInfo object;
  object.number = object.epoch = 4711;
  if (ParseObjectName(database, name, &object)) {
    FUZZ_REQUIRE(ObjectNameOf(database, object) == name);
    FUZZ_REQUIRE(name.starts_with(ObjectPrefix(database)));
  } else {
    FUZZ_REQUIRE(object.number == 4711 && object.epoch == 4711);
  }
  uint64_t epoch = 4711;
  if (ParseEpochName(database, name, &epoch)) {
    FUZZ_REQUIRE(EpochName(database, epoch) == name);
  } else {
    FUZZ_REQUIRE(epoch == 4711);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const FileName file = ParseFileName(text);
  if (file.kind != FileKind::kOther) {
    std::string base = text.substr(text.rfind('/') + 1);
    // The name that tables once had, under which RocksDB still looks for them.
    if (base.ends_with(".ldb")) base.replace(base.size() - 4, 4, ".sst");
    FUZZ_REQUIRE(Print(file) == base);
  }
  Position position{1, 2, 3};
  const rocksdb::Status s = Position::Parse(text, &position);
  FUZZ_REQUIRE(position.ToString() == (s.ok() ? text : "1:2:3"));
  TakeObjectName("db", text);
  const size_t slash = text.find('/');
  const std::string database = text.substr(0, slash);
  if (ValidateDatabaseName(database).ok()) {
    FUZZ_REQUIRE(database.find('/') == std::string::npos && database.size() <= 100);
    TakeObjectName(database, text);
  }
  return 0;
}
