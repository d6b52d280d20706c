#include "lib/observe/history/history_key.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace slipstream::observe {
namespace {

constexpr char kBuckets = '\1';
constexpr size_t kMaxAttributes = 64;
constexpr size_t kPlaceBytes = 24;

void AppendNumber(std::string* out, uint64_t number, int bytes = 8) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    *out += static_cast<char>(number >> shift);
  }
}

uint64_t ReadNumber(const char* at, int bytes = 8) {
  uint64_t number = 0;
  for (int i = 0; i < bytes; ++i) number = number << 8 | static_cast<unsigned char>(at[i]);
  return number;
}

std::string Prefix(Bucket bucket, char kind) { return BucketKey(bucket) + kind; }

uint64_t TermOf(char what, std::string_view value) {
  return HashOf(std::string(1, what).append(value));
}

// Of tasks that did not succeed. They are few, and what of a kind has failed is what is asked for
// most.
uint64_t KindOfFailedTerm(TaskOutcome outcome, const std::string& kind) {
  return TermOf('f', ToString(outcome) + ":" + kind);
}

uint64_t AttributeTerm(const std::pair<std::string, std::string>& attribute) {
  // The size of the key keeps ("a", "bc") and ("ab", "c") apart.
  return TermOf('a',
                std::to_string(attribute.first.size()) + ":" + attribute.first + attribute.second);
}

}  // namespace

Bucket BucketOf(uint64_t ended_us) {
  return static_cast<Bucket>(std::min<uint64_t>(ended_us / kBucketUs, UINT32_MAX));
}

Place PlaceOf(const HistoryRecord& record) {
  return {record.ended_us, HashOf(record.instance), record.id};
}

Place Behind(Place place) {
  if (++place.id == 0 && ++place.instance_hash == 0) --place.ended_us;
  return place;
}

std::string PlaceToText(const Place& place) {
  std::string text;
  for (const uint64_t number : {place.ended_us, place.instance_hash, place.id}) {
    for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[number >> shift & 15];
  }
  return text;
}

bool ParsePlace(std::string_view text, Place* place) {
  if (text.size() != 2 * kPlaceBytes) return false;
  uint64_t numbers[3] = {};
  for (size_t i = 0; i < 3; ++i) {
    const char* begin = text.data() + 16 * i;
    const auto [stop, error] = std::from_chars(begin, begin + 16, numbers[i], 16);
    if (error != std::errc() || stop != begin + 16) return false;
  }
  *place = {numbers[0], numbers[1], numbers[2]};
  return true;
}

uint64_t HashOf(std::string_view text) {
  // FNV-1a, with the last step of MurmurHash3 so that all bits depend on all of the text.
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * UINT64_C(0x100000001b3);
  }
  hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
  hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
  return hash ^ hash >> 33;
}

std::string RecordPrefix(Bucket bucket) { return Prefix(bucket, 'r'); }

std::string TermPrefix(Bucket bucket, uint64_t term) {
  std::string prefix = Prefix(bucket, 'x');
  AppendNumber(&prefix, term);
  return prefix;
}

std::string KeyOf(std::string prefix, const Place& place) {
  AppendNumber(&prefix, ~place.ended_us);
  AppendNumber(&prefix, place.instance_hash);
  AppendNumber(&prefix, place.id);
  return prefix;
}

bool ParsePlaceOf(rocksdb::Slice key, size_t prefix_size, Place* place) {
  if (key.size() != prefix_size + kPlaceBytes) return false;
  const char* at = key.data() + prefix_size;
  *place = {~ReadNumber(at), ReadNumber(at + 8), ReadNumber(at + 16)};
  return true;
}

std::string IdKey(Bucket bucket, uint64_t instance_hash, TaskId id) {
  std::string key = Prefix(bucket, 'i');
  AppendNumber(&key, instance_hash);
  AppendNumber(&key, id);
  return key;
}

std::string IdValue(uint64_t ended_us) {
  std::string value;
  AppendNumber(&value, ~ended_us);
  return value;
}

bool ParseIdValue(rocksdb::Slice value, uint64_t* ended_us) {
  if (value.size() != 8) return false;
  *ended_us = ~ReadNumber(value.data());
  return true;
}

std::string BucketKey(Bucket bucket) {
  std::string key(1, kBuckets);
  AppendNumber(&key, ~bucket, 4);
  return key;
}

bool ParseBucketOf(rocksdb::Slice key, Bucket* bucket) {
  if (key.size() < 5 || key[0] != kBuckets) return false;
  *bucket = ~static_cast<Bucket>(ReadNumber(key.data() + 1, 4));
  return true;
}

std::string EndOfBuckets() { return std::string(1, kBuckets + 1); }

std::vector<uint64_t> TermsOf(const HistoryRecord& record) {
  std::vector<uint64_t> terms = {TermOf('n', record.instance), TermOf('k', record.kind),
                                 TermOf('o', ToString(record.outcome))};
  if (record.outcome != TaskOutcome::kOk) {
    terms.push_back(KindOfFailedTerm(record.outcome, record.kind));
  }
  if (!record.status.empty()) terms.push_back(TermOf('s', record.status));
  for (size_t i = 0; i < std::min(record.attributes.size(), kMaxAttributes); ++i) {
    terms.push_back(AttributeTerm(record.attributes[i]));
  }
  std::sort(terms.begin(), terms.end());
  terms.erase(std::unique(terms.begin(), terms.end()), terms.end());
  return terms;
}

std::vector<uint64_t> TermsOf(const HistoryFilter& filter) {
  std::vector<uint64_t> terms;
  if (!filter.instance.empty()) terms.push_back(TermOf('n', filter.instance));
  if (!filter.kind.empty() && filter.outcome && *filter.outcome != TaskOutcome::kOk) {
    terms.push_back(KindOfFailedTerm(*filter.outcome, filter.kind));
  } else {
    if (!filter.kind.empty()) terms.push_back(TermOf('k', filter.kind));
    if (filter.outcome) terms.push_back(TermOf('o', ToString(*filter.outcome)));
  }
  if (!filter.status.empty()) terms.push_back(TermOf('s', filter.status));
  for (const auto& attribute : filter.attributes) terms.push_back(AttributeTerm(attribute));
  std::sort(terms.begin(), terms.end());
  terms.erase(std::unique(terms.begin(), terms.end()), terms.end());
  return terms;
}

}  // namespace slipstream::observe
