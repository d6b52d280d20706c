// What was written since a state that cannot be lost, for leaders that may lose some of it: after a
// crash the model is that state and what the leader says it has of the rest.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/oracle/model.h"

namespace slipstream::oracle {

// What an operation of a writer changed. Numbers rise and are never used again.
struct JournalEntry {
  uint64_t number = 0;
  std::vector<Change> changes;
};

// Threads: any.
class Journal {
 public:
  explicit Journal(size_t writers) : entries_(writers) {}

  // From here on everything that is in the model is safe.
  void Start(Model::Families base);
  // Nothing can be lost any more; what follows is not noted.
  void Stop();
  bool running() const;

  // writer: from 0. Does nothing unless running.
  void Note(size_t writer, uint64_t number, const std::vector<Change>& changes);
  // Changes that are safe as they are made, of keys that no writer has.
  void Safe(const std::vector<Change>& changes);
  void FamilyCreated(const std::string& family);
  // What was written to it does not come back under the same name.
  void FamilyDropped(const std::string& family);

  // How far a family had got: the number of the last operation of the writer that it has.
  using Kept = std::map<std::string, uint64_t>;
  // The state after a crash. kept: by writer. Counts the operations of which something is lost.
  Model::Families Rewound(const std::vector<Kept>& kept, uint64_t* lost) const;
  // What the base says of a key; 0 if it is not there.
  uint64_t BaseNumber(const std::string& family, const std::string& key) const;
  // Whether the writer noted an operation of that number that changes the family.
  bool Has(size_t writer, const std::string& family, uint64_t number) const;

 private:
  mutable absl::Mutex mutex_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  Model base_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::vector<JournalEntry>> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream::oracle
