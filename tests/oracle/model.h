// What the database should contain.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "rocksdb/wide_columns.h"

namespace slipstream::oracle {

// One change of content. Values are in the form that EncodeColumns gives.
struct Change {
  enum class Kind : uint8_t { kPut, kDelete, kDeleteRange, kCount, kAppend };
  Kind kind = Kind::kPut;
  std::string family;
  std::string key;
  std::string value;  // kDeleteRange: the end. kCount, kAppend: the bare operand
};

// A value in a form that tells an entity from a plain value; a plain value is 'v' and its bytes.
std::string EncodeColumns(const rocksdb::WideColumns& columns);
std::string EncodePlain(std::string_view value);

// What a person may want to read of an encoded value: its size, a hash and its beginning.
std::string Describe(std::string_view encoded);

// Threads: any; callers that change the same keys at the same time get either order.
class Model {
 public:
  using Family = std::map<std::string, std::string>;
  using Families = std::map<std::string, Family>;

  void AddFamily(const std::string& family);
  void DropFamily(const std::string& family);
  std::vector<std::string> families() const;

  void Apply(const std::vector<Change>& changes);
  std::optional<std::string> Find(const std::string& family, const std::string& key) const;
  // Keys that begin with `prefix`.
  std::vector<std::string> Keys(const std::string& family, const std::string& prefix) const;

  // The whole content; REQUIRES for families_unlocked: nobody changes it meanwhile.
  Families Copy() const;
  void Restore(Families families);
  const Families& families_unlocked() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return families_; }
  // Replaces the keys from `begin` up to `end`, without it, by `content`.
  void Replace(const std::string& family, const std::string& begin, const std::string& end,
               Family content);

 private:
  void ApplyLocked(const Change& change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  Families families_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream::oracle
