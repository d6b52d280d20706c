#include "slipstream/observe/history.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lib/core/quoted_text.h"
#include "lib/observe/history/history_key.h"
#include "lib/observe/history/history_meta.h"
#include "lib/observe/history/index_merge.h"
#include "lib/observe/history/record_json.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

Status CheckRange(const char* field, uint64_t value, uint64_t low, uint64_t high) {
  if (low <= value && value <= high) return Status::OK();
  return Status::InvalidArgument("HistoryQuery::" + std::string(field),
                                 "is " + std::to_string(value) + ", expected " +
                                     std::to_string(low) + " to " + std::to_string(high));
}

// The database at one moment.
class Moment {
 public:
  explicit Moment(rocksdb::DB* db) : db_(db) { read.snapshot = db->GetSnapshot(); }
  ~Moment() {
    if (read.snapshot != nullptr) db_->ReleaseSnapshot(read.snapshot);
  }
  Moment(const Moment&) = delete;
  Moment& operator=(const Moment&) = delete;

  rocksdb::ReadOptions read;

 private:
  rocksdb::DB* const db_;
};

Status ParseRecord(const rocksdb::Slice& value, HistoryRecord* record) {
  switch (ParseLine(value.ToStringView(), record)) {
    case LineKind::kRecord:
      return Status::OK();
    case LineKind::kNewer:
      return Status::NotSupported("history database", "has a record of a newer version");
    case LineKind::kMalformed:
      break;
  }
  return Status::Corruption("history database: record is " + Quoted(value.ToStringView()),
                            "expected a line of a task log");
}

// One query. Goes from bucket to bucket until the page is full.
class Search {
 public:
  Search(rocksdb::DB* db, const rocksdb::ReadOptions& read, const HistoryQuery& query,
         const Place& start, HistoryPage* page)
      : db_(db),
        read_(read),
        query_(query),
        start_(start),
        page_(page),
        merge_(db, read, TermsOf(query.filter), start, query.max_steps) {}

  Status Run() {
    Place place = start_;
    Bucket bucket = place.bucket();
    for (;;) {
      Status s = SearchBucket(bucket, &place);
      if (!s.ok() || done_) return s;
      switch (merge_.FindBucketBelow(&bucket)) {
        case IndexMerge::Outcome::kFound:
          place = Place{.ended_us = (bucket + UINT64_C(1)) * kBucketUs - 1};
          break;
        case IndexMerge::Outcome::kNone:
          return Finish({});
        default:
          return merge_.status();
      }
    }
  }

 private:
  Status Finish(const std::string& next) {
    done_ = true;
    page_->next = next;
    page_->steps = merge_.steps();
    return Status::OK();
  }

  Status SearchBucket(Bucket bucket, Place* place) {
    for (;;) {
      switch (merge_.Find(bucket, place)) {
        case IndexMerge::Outcome::kFound:
          break;
        case IndexMerge::Outcome::kNone:
          return Status::OK();
        case IndexMerge::Outcome::kOutOfSteps:
          return Finish(PlaceToText(*place));
        case IndexMerge::Outcome::kError:
          return merge_.status();
      }
      if (place->ended_us < query_.filter.from_us) return Finish({});
      Status s = Look(*place);
      if (!s.ok()) return s;
      *place = Behind(*place);
      if (page_->records.size() == query_.limit) return Finish(PlaceToText(*place));
    }
  }

  Status Look(const Place& place) {
    merge_.CountStep();
    rocksdb::Slice value = merge_.value();
    rocksdb::PinnableSlice looked_up;
    if (value.empty()) {
      const Status s = db_->Get(read_, db_->DefaultColumnFamily(),
                                KeyOf(RecordPrefix(place.bucket()), place), &looked_up);
      if (s.IsNotFound()) return Status::OK();  // an entry of an index alone shows nothing
      if (!s.ok()) return s;
      value = looked_up;
    }
    HistoryRecord record;
    const Status s = ParseRecord(value, &record);
    if (s.ok() && query_.filter.Accepts(record)) page_->records.push_back(std::move(record));
    return s;
  }

  rocksdb::DB* const db_;
  const rocksdb::ReadOptions& read_;
  const HistoryQuery& query_;
  const Place start_;
  HistoryPage* const page_;
  IndexMerge merge_;
  bool done_ = false;
};

}  // namespace

Status HistoryQuery::Validate() const {
  Status s = CheckRange("limit", limit, 1, 10'000);
  if (s.ok()) s = CheckRange("max_steps", max_steps, 1, 100'000'000);
  Place place;
  if (s.ok() && !after.empty() && !ParsePlace(after, &place)) {
    s = Status::InvalidArgument("HistoryQuery::after",
                                "is " + Quoted(after) + ", expected the `next` of a page");
  }
  return s;
}

Status History::Query(const HistoryQuery& query, HistoryPage* page) const {
  *page = {};
  Status s = query.Validate();
  if (!s.ok()) return s;
  const HistoryFilter& filter = query.filter;
  Moment moment(db_);
  HistoryMeta meta;
  s = ReadHistoryMeta(db_, moment.read, &meta);
  if (!s.ok() || !meta.begun || filter.to_us <= filter.from_us) return s;
  Place place{.ended_us = filter.to_us - 1};
  if (Place after; !query.after.empty() && ParsePlace(query.after, &after)) {
    place = std::max(place, after);
  }
  // No iterator goes into what has been deleted as a range: it might have to pass much there.
  const Bucket first = std::max(meta.first_bucket, BucketOf(filter.from_us));
  if (place.bucket() < first) return s;
  const std::string end = first == 0 ? EndOfBuckets() : BucketKey(first - 1);
  const rocksdb::Slice upper_bound = end;
  moment.read.iterate_upper_bound = &upper_bound;
  return Search(db_, moment.read, query, place, page).Run();
}

Status History::Get(const std::string& instance, TaskId id, HistoryRecord* record) const {
  *record = {};
  Moment moment(db_);
  HistoryMeta meta;
  Status s = ReadHistoryMeta(db_, moment.read, &meta);
  if (!s.ok()) return s;
  const std::string end =
      meta.first_bucket == 0 ? EndOfBuckets() : BucketKey(meta.first_bucket - 1);
  const rocksdb::Slice upper_bound = end;
  moment.read.iterate_upper_bound = &upper_bound;
  // Nobody knows its bucket; each has a filter that knows about the id.
  IndexMerge buckets(db_, moment.read, {}, {}, 1);
  const uint64_t hash = HashOf(instance);
  for (Bucket bucket = UINT32_MAX;
       meta.begun && buckets.FindBucketBelow(&bucket) == IndexMerge::Outcome::kFound;) {
    std::string value;
    s = db_->Get(moment.read, IdKey(bucket, hash, id), &value);
    if (s.IsNotFound()) continue;
    Place place{.instance_hash = hash, .id = id};
    if (s.ok() && !ParseIdValue(value, &place.ended_us)) s = Status::Corruption("history database");
    if (s.ok()) s = db_->Get(moment.read, KeyOf(RecordPrefix(bucket), place), &value);
    if (s.ok()) s = ParseRecord(value, record);
    if (!s.ok() && !s.IsNotFound()) return s;
    if (s.ok() && record->instance == instance) return s;
  }
  *record = {};
  if (!buckets.status().ok()) return buckets.status();
  return Status::NotFound("task " + std::to_string(id) + " of " + Quoted(instance));
}

}  // namespace slipstream::observe
