// Version edits and the state that they add up to.
#include <fuzzer/FuzzedDataProvider.h>

#include <string>

#include "lib/core/log_record_reader.h"
#include "lib/core/manifest_state.h"
#include "lib/core/version_edit.h"
#include "tests/fuzz/fuzz.h"

using namespace slipstream;

namespace {

void Apply(rocksdb::Slice record, ManifestState* state, bool* failed) {
  VersionEditSummary edit;
  const rocksdb::Status decoded = DecodeVersionEdit(record, &edit);
  FUZZ_REQUIRE(decoded.ok() == edit.understood);
  FUZZ_REQUIRE(decoded.ok() == edit.message.empty());
  FUZZ_REQUIRE(edit.understood || ClassifyEdit(edit) == EditKind::kBarrier);
  const uint64_t last_sequence = state->last_sequence();
  const rocksdb::Status applied = state->Apply(edit);
  FUZZ_REQUIRE(!*failed || !applied.ok());
  FUZZ_REQUIRE(edit.understood || !applied.ok());
  *failed = !applied.ok();
  if (*failed) return;
  FUZZ_REQUIRE(state->last_sequence() >= last_sequence);
  uint64_t files = 0;
  for (const auto& [id, family] : state->column_families()) {
    FUZZ_REQUIRE(family.id == id);
    files += family.table_files;
  }
  FUZZ_REQUIRE(files == state->table_files().size());
  for (const auto& [number, family] : state->table_files()) {
    FUZZ_REQUIRE(state->column_families().count(family) == 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  ManifestState state("fuzzed");
  bool failed = false;
  if (data[0] % 2 == 0) {
    // A manifest file.
    LogRecordReader reader("fuzzed");
    reader
        .Feed(rocksdb::Slice(reinterpret_cast<const char*>(data) + 1, size - 1),
              [&](rocksdb::Slice record, uint64_t) {
                Apply(record, &state, &failed);
                return rocksdb::Status::OK();
              })
        .PermitUncheckedError();
    return 0;
  }
  // Records without their checksums.
  FuzzedDataProvider fuzz(data + 1, size - 1);
  while (fuzz.remaining_bytes() > 0) Apply(fuzz.ConsumeRandomLengthString(300), &state, &failed);
  return 0;
}
