#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/quoted_text.h"
#include "lib/observe/history/history_key.h"
#include "lib/observe/history/history_meta.h"
#include "lib/observe/history/record_json.h"
#include "lib/observe/history/record_making.h"
#include "lib/observe/history/task_log_name.h"
#include "rocksdb/convenience.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/table.h"
#include "rocksdb/write_batch.h"
#include "slipstream/observe/history.h"

namespace slipstream::observe {
namespace {

using rocksdb::ReadOptions;
using rocksdb::Status;
using rocksdb::WriteBatch;
using rocksdb::WriteOptions;

// By how much the ends of one task may differ, if it comes on two ways and the wall clock was set
// in between.
constexpr uint64_t kClockSlackUs = 60'000'000;
constexpr uint64_t kMaxTimeUs = UINT64_C(1) << 62;

Status CheckRecord(const HistoryRecord& r) {
  const std::string name = "record " + Quoted(r.instance) + "/" + std::to_string(r.id);
  if (!IsInstanceName(r.instance) || r.id == 0) {
    return Status::InvalidArgument(name, "expected the instance and id of a task");
  }
  if (r.ended_us == 0 || r.ended_us >= kMaxTimeUs || r.outcome == TaskOutcome::kRunning) {
    return Status::InvalidArgument(name, "expected a task that has ended");
  }
  return Status::OK();
}

Status IsKnown(rocksdb::DB* db, const HistoryRecord& r, bool* known) {
  const uint64_t hash = HashOf(r.instance);
  const uint64_t early_us = r.ended_us > kClockSlackUs ? r.ended_us - kClockSlackUs : 0;
  const Bucket last = BucketOf(r.ended_us + kClockSlackUs);
  *known = false;
  for (Bucket bucket = BucketOf(early_us); bucket <= last && !*known; ++bucket) {
    std::string value;
    const Status s = db->Get(ReadOptions(), IdKey(bucket, hash, r.id), &value);
    if (!s.ok() && !s.IsNotFound()) return s;
    *known = s.ok();
  }
  return Status::OK();
}

Status PutRecord(HistoryRecord record, WriteBatch* batch) {
  MakeTextsValid(&record);
  const Place place = PlaceOf(record);
  const Bucket bucket = place.bucket();
  Status s = batch->Put(KeyOf(RecordPrefix(bucket), place), ToJson(record));
  if (s.ok()) s = batch->Put(IdKey(bucket, place.instance_hash, place.id), IdValue(place.ended_us));
  for (const uint64_t term : TermsOf(record)) {
    if (s.ok()) s = batch->Put(KeyOf(TermPrefix(bucket, term), place), "");
  }
  return s;
}

}  // namespace

void HistoryWriter::TuneOptions(rocksdb::Options* options) {
  rocksdb::BlockBasedTableOptions table;
  if (const auto* has = options->table_factory->GetOptions<rocksdb::BlockBasedTableOptions>();
      has != nullptr) {
    table = *has;
  }
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  options->table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  const std::vector<rocksdb::CompressionType> supported = rocksdb::GetSupportedCompressions();
  if (std::find(supported.begin(), supported.end(), rocksdb::kLZ4Compression) != supported.end()) {
    options->compression = rocksdb::kLZ4Compression;
  }
}

Status HistoryWriter::Start() {
  if (started_) return Status::OK();
  HistoryMeta meta;
  Status s = ReadHistoryMeta(db_, ReadOptions(), &meta);
  if (s.ok() && !meta.begun) s = db_->Put(WriteOptions(), MetaKey("version"), "1");
  if (!s.ok()) return s;
  first_bucket_ = meta.first_bucket;
  started_ = true;
  return s;
}

Status HistoryWriter::Add(const std::vector<HistoryRecord>& records) {
  Status s = Start();
  WriteBatch batch;
  HistoryWriterStats counted;
  std::set<std::pair<std::string, TaskId>> in_batch;
  for (const HistoryRecord& record : records) {
    if (s.ok()) s = CheckRecord(record);
    if (!s.ok()) return s;
    if (BucketOf(record.ended_us) < first_bucket_) {
      ++counted.expired;
      continue;
    }
    bool known = !in_batch.insert({record.instance, record.id}).second;
    if (!known) s = IsKnown(db_, record, &known);
    if (known) {
      ++counted.known;
      continue;
    }
    if (s.ok()) s = PutRecord(record, &batch);
    ++counted.added;
  }
  if (s.ok() && batch.Count() > 0) s = db_->Write(WriteOptions(), &batch);
  if (!s.ok()) return s;
  stats_.added += counted.added;
  stats_.known += counted.known;
  stats_.expired += counted.expired;
  return s;
}

Status HistoryWriter::Expire(uint64_t now_us, uint64_t keep_us, uint64_t keep_bytes) {
  Status s = Start();
  if (!s.ok()) return s;
  uint64_t first = first_bucket_;
  if (keep_us != 0 && now_us > keep_us)
    first = std::max<uint64_t>(first, BucketOf(now_us - keep_us));
  if (keep_bytes != 0) {
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(ReadOptions()));
    uint64_t bytes = 0;
    bool newest = true;
    it->Seek(BucketKey(UINT32_MAX));
    for (Bucket bucket = 0; it->Valid() && ParseBucketOf(it->key(), &bucket) && bucket >= first;
         newest = false) {
      const std::string begin = BucketKey(bucket);
      const std::string end = bucket == 0 ? EndOfBuckets() : BucketKey(bucket - 1);
      const rocksdb::Range range(begin, end);
      rocksdb::SizeApproximationOptions sizes;
      sizes.include_memtables = true;
      uint64_t size = 0;
      s = db_->GetApproximateSizes(sizes, db_->DefaultColumnFamily(), &range, 1, &size);
      if (!s.ok()) return s;
      bytes += size;
      if (bytes > keep_bytes && !newest) {
        first = std::max<uint64_t>(first, bucket + UINT64_C(1));
        break;
      }
      it->Seek(end);
    }
    if (!it->status().ok()) return it->status();
  }
  if (first <= first_bucket_) return s;
  const std::string begin = BucketKey(static_cast<Bucket>(first - 1));
  const std::string end = EndOfBuckets();
  WriteBatch batch;
  s = batch.Put(MetaKey("first"), std::to_string(first));
  if (s.ok()) s = batch.DeleteRange(begin, end);
  if (s.ok()) s = db_->Write(WriteOptions(), &batch);
  if (!s.ok()) return s;
  first_bucket_ = first;
  // Gives back the disk at once, where whole files are of that time alone.
  const rocksdb::Slice begin_slice = begin;
  const rocksdb::Slice end_slice = end;
  return rocksdb::DeleteFilesInRange(db_, db_->DefaultColumnFamily(), &begin_slice, &end_slice);
}

}  // namespace slipstream::observe
