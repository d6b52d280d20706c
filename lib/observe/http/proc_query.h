// Which tasks a request asks for.
#pragma once

#include <httplib.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "slipstream/observe/task_registry.h"

namespace slipstream::observe {

// Threads: as any value.
class ProcQuery {
 public:
  static constexpr size_t kDefaultLimit = 1000;
  static constexpr size_t kMaxLimit = 10'000;

  // False, with the reason, if a parameter is not understood.
  [[nodiscard]] static bool Parse(const httplib::Params& params, ProcQuery* query,
                                  std::string* error);

  struct Selected {
    std::vector<TaskInfo> tasks;
    size_t total = 0;  // that match, also beyond the limit
  };
  Selected Select(const TaskRegistry& registry) const;

  bool as_tree = false;

 private:
  enum class State { kRunning, kFinished, kFailed, kAll };
  enum class Key { kBegan, kStatusSince, kEnded, kKind, kStatus, kId };
  struct Filter {
    std::string name;  // "attr.NAME" for attributes
    std::vector<std::string> values;
  };

  bool Take(const std::string& name, const std::string& value, std::string* error);
  bool TakeSort(std::string value, std::string* error);
  bool Accepts(const TaskInfo& task) const;
  bool IsBefore(const TaskInfo& a, const TaskInfo& b) const;

  State state_ = State::kRunning;
  Key key_ = Key::kBegan;
  bool descending_ = false;
  size_t limit_ = kDefaultLimit;
  std::vector<Filter> filters_;
  std::vector<std::string> parts_;
};

}  // namespace slipstream::observe
