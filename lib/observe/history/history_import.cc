// How a history takes in task logs.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/observe/history/history_key.h"
#include "lib/observe/history/history_meta.h"
#include "lib/observe/history/task_log_lines.h"
#include "lib/observe/history/task_log_name.h"
#include "rocksdb/write_batch.h"
#include "slipstream/observe/history.h"
#include "slipstream/observe/task_log.h"

namespace slipstream::observe {
namespace {

using rocksdb::ReadOptions;
using rocksdb::Status;
using rocksdb::WriteOptions;

constexpr size_t kRecordsAtATime = 512;

std::string LogKey(const std::string& object) { return MetaKey("log/" + object); }

// How far an object was read.
struct Extent {
  uint64_t bytes = 0;
  bool finished = false;  // it does not grow any more

  std::string ToText() const { return std::to_string(bytes) + (finished ? " finished" : ""); }
};

Status ParseExtent(const std::string& key, std::string text, Extent* extent) {
  constexpr std::string_view kFinished = " finished";
  extent->finished = text.ends_with(kFinished);
  if (extent->finished) text.resize(text.size() - kFinished.size());
  return ReadMetaNumber(key, text, &extent->bytes);
}

// Of the objects below a prefix.
Status ReadExtents(rocksdb::DB* db, const std::string& prefix,
                   std::map<std::string, Extent>* extents) {
  const std::string front = LogKey(TaskLogPrefix(prefix));
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(ReadOptions()));
  for (it->Seek(front); it->Valid() && it->key().starts_with(front); it->Next()) {
    const std::string key = it->key().ToString();
    Extent extent;
    const Status s = ParseExtent(key, it->value().ToString(), &extent);
    if (!s.ok()) return s;
    (*extents)[key.substr(LogKey("").size())] = extent;
  }
  return it->status();
}

// Of the listed objects, those behind which their instance has begun another one.
std::set<std::string> Finished(const std::string& prefix, const std::vector<std::string>& names) {
  std::map<std::string, std::pair<uint64_t, std::string>> newest;
  std::set<std::string> finished;
  for (const std::string& name : names) {
    TaskLogObject object;
    if (!ParseTaskLogName(prefix, name, &object)) continue;
    auto& [number, newest_name] = newest[object.instance];
    if (number > object.number) {
      finished.insert(name);
      continue;
    }
    if (number != 0) finished.insert(newest_name);
    number = object.number;
    newest_name = name;
  }
  return finished;
}

}  // namespace

Status HistoryWriter::Import(SharedStorage* storage, const std::string& prefix) {
  Status s = ValidateTaskLogPrefix(prefix);
  if (s.ok()) s = Start();
  std::vector<std::string> names;
  if (s.ok()) s = storage->List(TaskLogPrefix(prefix), &names);
  std::map<std::string, Extent> extents;
  if (s.ok()) s = ReadExtents(db_, prefix, &extents);
  if (!s.ok()) return s;
  const std::set<std::string> finished = Finished(prefix, names);
  for (const std::string& name : names) {
    TaskLogObject object;
    if (!ParseTaskLogName(prefix, name, &object)) continue;
    Extent extent;
    if (const auto known = extents.find(name); known != extents.end()) {
      extent = known->second;
      extents.erase(known);
    }
    if (extent.finished) continue;
    const Extent before = extent;
    s = ImportObject(storage, name, &extent.bytes);
    if (s.IsNotFound()) continue;  // it was deleted meanwhile
    if (!s.ok()) return s;
    extent.finished = finished.count(name) > 0;
    if (extent.bytes == before.bytes && !extent.finished) continue;
    s = db_->Put(WriteOptions(), LogKey(name), extent.ToText());
    if (!s.ok()) return s;
  }
  // What is left are objects that are gone.
  rocksdb::WriteBatch batch;
  for (const auto& [name, extent] : extents) {
    if (s.ok()) s = batch.Delete(LogKey(name));
  }
  if (s.ok() && batch.Count() > 0) s = db_->Write(WriteOptions(), &batch);
  return s;
}

Status HistoryWriter::ImportObject(SharedStorage* storage, const std::string& name,
                                   uint64_t* extent) {
  uint64_t size = 0;
  Status s = storage->Size(name, &size);
  if (!s.ok() || size <= *extent) return s;
  std::vector<HistoryRecord> records;
  Status added;
  TaskLogReading reading;
  uint64_t end = *extent;
  s = ReadLines(
      storage, name, *extent,
      [&](HistoryRecord record) {
        records.push_back(std::move(record));
        if (records.size() < kRecordsAtATime) return true;
        added = Add(records);
        records.clear();
        return added.ok();
      },
      &end, &reading);
  if (s.ok()) s = added;
  if (s.ok() && !records.empty()) s = Add(records);
  stats_.skipped_lines += reading.malformed + reading.newer;
  if (s.ok()) *extent = end;
  return s;
}

}  // namespace slipstream::observe
