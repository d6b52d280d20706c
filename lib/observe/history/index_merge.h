// The places that all of some lists of a history have, found by going through them together.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/observe/history/history_key.h"
#include "rocksdb/db.h"
#include "rocksdb/iterator.h"

namespace slipstream::observe {

// A list is the index of a term, or all records if there is no term; each is in order. One leads:
// for each of its places the others are asked whether they have it, and where one has only a later
// place, the first goes on from there. The rarest one leads, which shows by itself: it is the one
// that is furthest behind a place when it is asked for it, so that no statistics of terms are
// needed.
//
// Threads: one. Lifetime: `db` outlives it.
class IndexMerge {
 public:
  // read: with a snapshot and an upper bound. `start` is where the search begins: it is left,
  // however small max_steps is, so that who goes on where it has stopped gets to the end.
  IndexMerge(rocksdb::DB* db, const rocksdb::ReadOptions& read, std::vector<uint64_t> terms,
             const Place& start, uint64_t max_steps);

  enum class Outcome { kFound, kNone, kOutOfSteps, kError };
  // Moves *place to the first place at or behind it, within `bucket`, that all lists have.
  // kOutOfSteps: there is none before what *place is then.
  Outcome Find(Bucket bucket, Place* place);
  // The newest bucket that is older than `bucket` and not empty.
  Outcome FindBucketBelow(Bucket* bucket);

  // The record at a place that was found, without looking it up; empty if the list is of a term.
  rocksdb::Slice value() const;

  rocksdb::Status status() const;
  void CountStep() { ++steps_; }
  uint64_t steps() const { return steps_; }

 private:
  // Entries that are passed one by one before a jump, at most: a step is much cheaper.
  static constexpr int kStepsBeforeJump = 8;
  // Places between two looks at which list is the rarest.
  static constexpr int kPlacesBetweenLooks = 16;

  struct List {
    uint64_t term = 0;
    std::string prefix;
    std::unique_ptr<rocksdb::Iterator> iterator;
    bool positioned = false;  // within the prefix's bucket
    // How much older than what it was asked for its places are, in microseconds; of late.
    double gap_us = 0;
    // How many of kStepsBeforeJump have been worth while of late.
    int steps_before_jump = kStepsBeforeJump;
  };

  // Moves a list to its first place at or behind *place, and *place there. False if it has none.
  bool Advance(List* list, Place* place);
  void PutRarestFirst();

  const bool has_terms_;
  const Place start_;
  const uint64_t max_steps_;
  uint64_t steps_ = 0;
  Bucket bucket_ = 0;
  bool in_bucket_ = false;
  int places_until_look_ = 1;
  std::vector<List> lists_;
};

}  // namespace slipstream::observe
