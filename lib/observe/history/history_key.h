// The keys of the history's database, version 1. Numbers are big-endian.
//
//   00 "version"                                   "1"
//   00 "first"                                     the first bucket that has not expired, as text
//   00 "log/" <object>                             how far the object of a task log was read, as
//   text 01 ~bucket 'i' id                              ~time: where the task's record is 01
//   ~bucket 'r' ~time id                        the record, as a line of the task log 01 ~bucket
//   'x' term ~time id                   empty: an entry of an index
//
// bucket (4 bytes) = six hours of ends of tasks; ~ is the complement, so that what is newer comes
// first; time (8) = end of the task in microseconds; id (16) = a hash of the instance, and the
// task's number; term (8) = a hash of a condition. Each bucket has its own indexes, so that all
// that is older than a moment is one range: it is deleted by one range delete, with its entries.
//
// Hashes are part of the format. Two instances or conditions with one hash do no harm but work: a
// record that is found is compared with what was asked for.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rocksdb/slice.h"
#include "slipstream/observe/history_record.h"

namespace slipstream::observe {

inline std::string MetaKey(std::string_view name) { return std::string(1, '\0').append(name); }

using Bucket = uint32_t;
constexpr uint64_t kBucketUs = UINT64_C(6) * 3600 * 1'000'000;
Bucket BucketOf(uint64_t ended_us);

// The place of a record in the order of all: those that ended last first.
struct Place {
  uint64_t ended_us = UINT64_MAX;
  uint64_t instance_hash = 0;
  TaskId id = 0;

  // In that order.
  friend bool operator<(const Place& a, const Place& b) {
    if (a.ended_us != b.ended_us) return a.ended_us > b.ended_us;
    if (a.instance_hash != b.instance_hash) return a.instance_hash < b.instance_hash;
    return a.id < b.id;
  }
  friend bool operator==(const Place&, const Place&) = default;

  Bucket bucket() const { return BucketOf(ended_us); }
};
Place PlaceOf(const HistoryRecord& record);
// The first place behind this one.
Place Behind(Place place);
// As HistoryPage::next has it.
std::string PlaceToText(const Place& place);
[[nodiscard]] bool ParsePlace(std::string_view text, Place* place);

uint64_t HashOf(std::string_view text);

// What comes before the places in an index: of one bucket and term, or of its records.
std::string RecordPrefix(Bucket bucket);
std::string TermPrefix(Bucket bucket, uint64_t term);
std::string KeyOf(std::string prefix, const Place& place);
// REQUIRES: `key` begins with a prefix of `prefix_size` bytes. False if it is not of its size.
[[nodiscard]] bool ParsePlaceOf(rocksdb::Slice key, size_t prefix_size, Place* place);

std::string IdKey(Bucket bucket, uint64_t instance_hash, TaskId id);
std::string IdValue(uint64_t ended_us);
[[nodiscard]] bool ParseIdValue(rocksdb::Slice value, uint64_t* ended_us);

// All keys of the bucket and of older ones are not below it.
std::string BucketKey(Bucket bucket);
[[nodiscard]] bool ParseBucketOf(rocksdb::Slice key, Bucket* bucket);
// Behind the keys of all buckets.
std::string EndOfBuckets();

// The terms that a record is found by, each once, and those that a filter asks for.
std::vector<uint64_t> TermsOf(const HistoryRecord& record);
std::vector<uint64_t> TermsOf(const HistoryFilter& filter);

}  // namespace slipstream::observe
