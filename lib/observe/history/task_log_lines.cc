#include "lib/observe/history/task_log_lines.h"

#include <memory>
#include <string_view>
#include <utility>

#include "lib/observe/history/record_json.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

constexpr size_t kPieceBytes = 256 << 10;
// No registry makes longer ones.
constexpr size_t kMaxLineBytes = 16 << 20;

void Visit(std::string_view line, const std::function<bool(HistoryRecord)>& visit,
           TaskLogReading* reading, bool* go_on) {
  if (line.empty()) return;
  HistoryRecord record;
  switch (ParseLine(line, &record)) {
    case LineKind::kRecord:
      ++reading->records;
      *go_on = visit(std::move(record));
      return;
    case LineKind::kMalformed:
      ++reading->malformed;
      return;
    case LineKind::kNewer:
      ++reading->newer;
      return;
  }
}

}  // namespace

Status ReadLines(SharedStorage* storage, const std::string& name, uint64_t offset,
                 const std::function<bool(HistoryRecord)>& visit, uint64_t* end,
                 TaskLogReading* reading) {
  std::unique_ptr<ObjectReader> reader;
  Status s = storage->NewReader(name, &reader);
  if (!s.ok()) return s;
  const uint64_t size = reader->size();
  std::string scratch(kPieceBytes, '\0');
  std::string rest;  // of a line, from the pieces before
  uint64_t whole = offset;
  bool skipping = false;  // within a line that is too long
  for (uint64_t at = offset; at < size;) {
    rocksdb::Slice piece;
    s = reader->Read(at, scratch.size(), &piece, scratch.data());
    if (!s.ok()) return s;
    if (piece.empty()) break;
    std::string_view text(piece.data(), piece.size());
    for (size_t stop; (stop = text.find('\n')) != std::string_view::npos;) {
      bool go_on = true;
      if (skipping) {
        ++reading->malformed;
      } else if (rest.empty()) {
        Visit(text.substr(0, stop), visit, reading, &go_on);
      } else {
        Visit(rest.append(text.substr(0, stop)), visit, reading, &go_on);
      }
      if (!go_on) return s;
      skipping = false;
      rest.clear();
      text.remove_prefix(stop + 1);
      whole = at + piece.size() - text.size();
    }
    at += piece.size();
    if (!skipping) rest.append(text);
    if (rest.size() > kMaxLineBytes) {
      skipping = true;
      rest.clear();
    }
  }
  *end = whole;
  return s;
}

}  // namespace slipstream::observe
