#include "lib/observe/http/proc_query.h"

#include <algorithm>
#include <map>
#include <string_view>

namespace slipstream::observe {
namespace {

constexpr std::string_view kAttribute = "attr.";

bool Matches(std::string_view text, std::string_view pattern) {
  if (!pattern.ends_with('*')) return text == pattern;
  return text.starts_with(pattern.substr(0, pattern.size() - 1));
}

bool MatchesAny(std::string_view text, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return Matches(text, pattern); });
}

bool HasPart(const TaskInfo& task, const std::string& part) {
  const auto has = [&](const std::string& text) { return text.find(part) != std::string::npos; };
  return has(task.kind) || has(task.status) || has(task.error) || has(task.blocker.name) ||
         std::any_of(task.attributes.begin(), task.attributes.end(),
                     [&](const auto& a) { return has(a.first) || has(a.second); });
}

bool ParseLimit(const std::string& text, size_t* limit) {
  if (text.empty() || text.size() > 6 ||
      text.find_first_not_of("0123456789") != std::string::npos) {
    return false;
  }
  *limit = std::stoul(text);
  return *limit >= 1 && *limit <= ProcQuery::kMaxLimit;
}

}  // namespace

bool ProcQuery::Parse(const httplib::Params& params, ProcQuery* query, std::string* error) {
  for (const auto& [name, value] : params) {
    if (!query->Take(name, value, error)) return false;
  }
  return true;
}

bool ProcQuery::Take(const std::string& name, const std::string& value, std::string* error) {
  if (name == "kind" || name == "status" || name == "id" || name == "parent" ||
      name.starts_with(kAttribute)) {
    const auto same = std::find_if(filters_.begin(), filters_.end(),
                                   [&](const Filter& filter) { return filter.name == name; });
    if (same == filters_.end()) {
      filters_.push_back({name, {value}});
    } else {
      same->values.push_back(value);
    }
    return true;
  }
  if (name == "q") {
    parts_.push_back(value);
    return true;
  }
  if (name == "tree") {
    as_tree = value != "0";
    return true;
  }
  if (name == "sort") return TakeSort(value, error);
  if (name == "limit") {
    if (ParseLimit(value, &limit_)) return true;
    *error = "limit is \"" + value + "\", expected 1 to " + std::to_string(kMaxLimit);
    return false;
  }
  if (name == "state") {
    static const std::map<std::string, State> kStates = {{"running", State::kRunning},
                                                         {"finished", State::kFinished},
                                                         {"failed", State::kFailed},
                                                         {"all", State::kAll}};
    const auto found = kStates.find(value);
    if (found != kStates.end()) {
      state_ = found->second;
      return true;
    }
    *error = "state is \"" + value + "\", expected running, finished, failed or all";
    return false;
  }
  *error = "unknown parameter \"" + name + "\"; attributes are attr.NAME";
  return false;
}

bool ProcQuery::TakeSort(std::string value, std::string* error) {
  static const std::map<std::string, Key> kKeys = {
      {"procTime", Key::kBegan}, {"statusTime", Key::kStatusSince}, {"endTime", Key::kEnded},
      {"kind", Key::kKind},      {"status", Key::kStatus},          {"id", Key::kId}};
  descending_ = value.starts_with('-');
  if (descending_) value.erase(0, 1);
  const auto found = kKeys.find(value);
  if (found == kKeys.end()) {
    *error = "sort is \"" + value +
             "\", expected procTime, statusTime, endTime, kind, status or id, with or without a -";
    return false;
  }
  key_ = found->second;
  return true;
}

bool ProcQuery::Accepts(const TaskInfo& task) const {
  if (state_ == State::kFailed && task.outcome != TaskOutcome::kFailed &&
      task.outcome != TaskOutcome::kCancelled) {
    return false;
  }
  for (const Filter& filter : filters_) {
    bool matches = false;
    if (filter.name == "kind") matches = MatchesAny(task.kind, filter.values);
    if (filter.name == "status") matches = MatchesAny(task.status, filter.values);
    if (filter.name == "id") matches = MatchesAny(std::to_string(task.id), filter.values);
    if (filter.name == "parent") matches = MatchesAny(std::to_string(task.parent), filter.values);
    for (const auto& [key, value] : task.attributes) {
      if (matches) break;
      matches = filter.name.size() == kAttribute.size() + key.size() &&
                filter.name.ends_with(key) && filter.name.starts_with(kAttribute) &&
                MatchesAny(value, filter.values);
    }
    if (!matches) return false;
  }
  return std::all_of(parts_.begin(), parts_.end(),
                     [&](const std::string& part) { return HasPart(task, part); });
}

bool ProcQuery::IsBefore(const TaskInfo& a, const TaskInfo& b) const {
  const auto order = [&](const auto& x, const auto& y) {
    if (x != y) return descending_ ? y < x : x < y;
    return a.began_us != b.began_us ? a.began_us < b.began_us : a.id < b.id;
  };
  switch (key_) {
    case Key::kBegan:
      return order(a.began_us, b.began_us);
    case Key::kStatusSince:
      return order(a.status_since_us, b.status_since_us);
    case Key::kEnded:
      return order(a.ended_us, b.ended_us);
    case Key::kKind:
      return order(a.kind, b.kind);
    case Key::kStatus:
      return order(a.status, b.status);
    case Key::kId:
      return order(a.id, b.id);
  }
  return false;
}

ProcQuery::Selected ProcQuery::Select(const TaskRegistry& registry) const {
  Selected selected;
  const auto before = [this](const TaskInfo& a, const TaskInfo& b) { return IsBefore(a, b); };
  TaskQuery query;
  query.running = state_ == State::kRunning || state_ == State::kAll;
  query.finished = state_ != State::kRunning;
  query.limit = 0;
  // A registry may have a hundred thousand tasks: no more of them than the limit are ever kept, as
  // a heap with the last one on top.
  query.accept = [&](const TaskInfo& task) {
    if (!Accepts(task)) return false;
    ++selected.total;
    std::vector<TaskInfo>& tasks = selected.tasks;
    if (tasks.size() == limit_) {
      if (!before(task, tasks.front())) return false;
      std::pop_heap(tasks.begin(), tasks.end(), before);
      tasks.pop_back();
    }
    tasks.push_back(task);
    std::push_heap(tasks.begin(), tasks.end(), before);
    return false;
  };
  registry.List(query);
  std::sort_heap(selected.tasks.begin(), selected.tasks.end(), before);
  return selected;
}

}  // namespace slipstream::observe
