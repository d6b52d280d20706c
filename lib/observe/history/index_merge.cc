#include "lib/observe/history/index_merge.h"

#include <algorithm>
#include <utility>

namespace slipstream::observe {

IndexMerge::IndexMerge(rocksdb::DB* db, const rocksdb::ReadOptions& read,
                       std::vector<uint64_t> terms, const Place& start, uint64_t max_steps)
    : has_terms_(!terms.empty()), start_(start), max_steps_(max_steps) {
  if (terms.empty()) terms.push_back(0);
  for (const uint64_t term : terms) {
    List list;
    list.term = term;
    list.iterator.reset(db->NewIterator(read));
    lists_.push_back(std::move(list));
  }
}

bool IndexMerge::Advance(List* list, Place* place) {
  rocksdb::Iterator* it = list->iterator.get();
  bool jumped = false;
  for (int i = 0;; ++i) {
    if (list->positioned) {
      if (!it->Valid() || !it->key().starts_with(list->prefix)) return false;
      Place found;
      // A key of another size is none of this format's; it is passed over.
      if (ParsePlaceOf(it->key(), list->prefix.size(), &found) && !(found < *place)) {
        const auto gap_us = static_cast<double>(place->ended_us - found.ended_us);
        list->gap_us += (gap_us - list->gap_us) / kPlacesBetweenLooks;
        if (i > 0 && !jumped) {
          list->steps_before_jump = std::min(2 * list->steps_before_jump, kStepsBeforeJump);
        }
        *place = found;
        return true;
      }
    }
    ++steps_;
    if (list->positioned && i < list->steps_before_jump) {
      it->Next();
    } else {
      it->Seek(KeyOf(list->prefix, *place));
      if (list->positioned) list->steps_before_jump = std::max(list->steps_before_jump / 2, 1);
      list->positioned = true;
      jumped = true;
      i = 0;
    }
  }
}

void IndexMerge::PutRarestFirst() {
  if (--places_until_look_ > 0) return;
  places_until_look_ = kPlacesBetweenLooks;
  std::sort(lists_.begin(), lists_.end(),
            [](const List& a, const List& b) { return a.gap_us > b.gap_us; });
}

IndexMerge::Outcome IndexMerge::Find(Bucket bucket, Place* place) {
  if (!in_bucket_ || bucket != bucket_) {
    bucket_ = bucket;
    in_bucket_ = true;
    for (List& list : lists_) {
      list.prefix = has_terms_ ? TermPrefix(bucket, list.term) : RecordPrefix(bucket);
      list.positioned = false;
    }
  }
  for (size_t agreeing = 0; agreeing < lists_.size();) {
    if (steps_ >= max_steps_ && !(*place == start_)) return Outcome::kOutOfSteps;
    if (agreeing == 0) PutRarestFirst();
    const Place asked = *place;
    if (!Advance(&lists_[agreeing], place)) {
      return status().ok() ? Outcome::kNone : Outcome::kError;
    }
    // The first list may move on; another one that does begins a new round.
    agreeing = *place == asked || agreeing == 0 ? agreeing + 1 : 0;
  }
  return Outcome::kFound;
}

IndexMerge::Outcome IndexMerge::FindBucketBelow(Bucket* bucket) {
  if (*bucket == 0) return Outcome::kNone;
  in_bucket_ = false;
  rocksdb::Iterator* it = lists_[0].iterator.get();
  ++steps_;
  it->Seek(BucketKey(*bucket - 1));
  if (!it->Valid()) return it->status().ok() ? Outcome::kNone : Outcome::kError;
  return ParseBucketOf(it->key(), bucket) ? Outcome::kFound : Outcome::kNone;
}

rocksdb::Slice IndexMerge::value() const {
  return has_terms_ ? rocksdb::Slice() : lists_[0].iterator->value();
}

rocksdb::Status IndexMerge::status() const {
  for (const List& list : lists_) {
    if (!list.iterator->status().ok()) return list.iterator->status();
  }
  return rocksdb::Status::OK();
}

}  // namespace slipstream::observe
