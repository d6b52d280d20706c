#include "tests/oracle/journal.h"

#include <algorithm>

namespace slipstream::oracle {

void Journal::Start(Model::Families base) {
  absl::MutexLock lock(&mutex_);
  base_.Restore(std::move(base));
  for (auto& entries : entries_) entries.clear();
  running_ = true;
}

void Journal::Stop() {
  absl::MutexLock lock(&mutex_);
  running_ = false;
  base_.Restore({});
  for (auto& entries : entries_) entries.clear();
}

bool Journal::running() const {
  absl::MutexLock lock(&mutex_);
  return running_;
}

void Journal::Note(size_t writer, uint64_t number, const std::vector<Change>& changes) {
  absl::MutexLock lock(&mutex_);
  if (running_) entries_[writer].push_back({number, changes});
}

void Journal::Safe(const std::vector<Change>& changes) {
  absl::MutexLock lock(&mutex_);
  if (running_) base_.Apply(changes);
}

void Journal::FamilyCreated(const std::string& family) {
  absl::MutexLock lock(&mutex_);
  if (running_) base_.AddFamily(family);
}

void Journal::FamilyDropped(const std::string& family) {
  absl::MutexLock lock(&mutex_);
  base_.DropFamily(family);
  for (auto& entries : entries_) {
    for (JournalEntry& entry : entries) {
      std::erase_if(entry.changes, [&](const Change& c) { return c.family == family; });
    }
  }
}

Model::Families Journal::Rewound(const std::vector<Kept>& kept, uint64_t* lost) const {
  absl::MutexLock lock(&mutex_);
  Model model;
  model.Restore(base_.Copy());
  for (size_t i = 0; i < entries_.size(); ++i) {
    for (const JournalEntry& entry : entries_[i]) {
      std::vector<Change> changes = entry.changes;
      std::erase_if(changes, [&](const Change& change) {
        auto it = kept[i].find(change.family);
        return it == kept[i].end() || it->second < entry.number;
      });
      if (changes.size() < entry.changes.size()) ++*lost;
      model.Apply(changes);
    }
  }
  return model.Copy();
}

uint64_t Journal::BaseNumber(const std::string& family, const std::string& key) const {
  absl::MutexLock lock(&mutex_);
  const std::optional<std::string> value = base_.Find(family, key);
  return value ? std::stoull(value->substr(1)) : 0;
}

bool Journal::Has(size_t writer, const std::string& family, uint64_t number) const {
  absl::MutexLock lock(&mutex_);
  return std::any_of(entries_[writer].begin(), entries_[writer].end(),
                     [&](const JournalEntry& entry) {
                       return entry.number == number &&
                              std::any_of(entry.changes.begin(), entry.changes.end(),
                                          [&](const Change& c) { return c.family == family; });
                     });
}

}  // namespace slipstream::oracle
