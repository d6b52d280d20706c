#include "task_list.h"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <tuple>
#include <utility>

namespace slipstream_top {
namespace {

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool Matches(const TaskRow& task, const std::vector<std::string>& words) {
  if (words.empty()) return true;
  const std::string text =
      Lower(task.endpoint + " " + task.id + " " + task.kind + " " + TextOf(task));
  return std::all_of(words.begin(), words.end(),
                     [&](const std::string& word) { return text.find(word) != std::string::npos; });
}

// Ids are numbers: the shorter one is the smaller one.
auto IdOrder(const TaskRow& task) {
  return std::make_tuple(task.id.size(), std::string_view(task.id));
}

bool IsBefore(const TaskRow& a, const TaskRow& b, SortKey key) {
  switch (key) {
    case SortKey::kAge:
      if (a.began_us != b.began_us) return a.began_us < b.began_us;
      break;
    case SortKey::kStatusAge:
      if (a.status_us != b.status_us) return a.status_us < b.status_us;
      break;
    case SortKey::kKind:
      if (a.kind != b.kind) return a.kind < b.kind;
      break;
    case SortKey::kEndpoint:
      if (a.endpoint != b.endpoint) return a.endpoint < b.endpoint;
      break;
    case SortKey::kId:
      if (IdOrder(a) != IdOrder(b)) return IdOrder(a) < IdOrder(b);
      break;
  }
  return std::make_tuple(a.began_us, std::string_view(a.endpoint), IdOrder(a)) <
         std::make_tuple(b.began_us, std::string_view(b.endpoint), IdOrder(b));
}

std::string Text(const Json& json, const char* name) {
  const auto it = json.find(name);
  if (it == json.end()) return {};
  if (it->is_string()) return it->get<std::string>();
  return it->is_number() ? it->dump() : std::string();
}

double Milliseconds(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_number() ? it->get<double>() / 1000 : 0;
}

std::string SummaryOf(const Json& source) {
  std::string text = Text(source, "role") + " of " + Text(source, "database");
  if (const std::string name = Text(source, "name"); !name.empty()) text += " (" + name + ")";
  text += ", epoch " + Text(source, "epoch");
  if (Text(source, "role") == "leader") {
    const auto followers = source.find("followers");
    const size_t count = followers != source.end() && followers->is_array() ? followers->size() : 0;
    text += ", " + std::to_string(count) + " followers";
  } else {
    char lag[64];
    std::snprintf(lag, sizeof(lag), ", lag %.1f ms", Milliseconds(source, "lagMicros"));
    text += lag;
  }
  const std::string status = Text(source, "status");
  return status.empty() || status == "OK" ? text : text + ", " + status;
}

}  // namespace

const char* SortKeyName(SortKey key) {
  switch (key) {
    case SortKey::kAge:
      return "age";
    case SortKey::kStatusAge:
      return "status";
    case SortKey::kKind:
      return "kind";
    case SortKey::kEndpoint:
      return "endpoint";
    case SortKey::kId:
      return "id";
  }
  return "";
}

std::string TextOf(const TaskRow& task) {
  std::string text = task.status;
  const auto add = [&](const std::string& part) {
    if (part.empty()) return;
    if (!text.empty()) text += "  ";
    text += part;
  };
  if (!task.is_running()) {
    add("[" + task.outcome + (task.error.empty() ? "" : ": " + task.error) + "]");
  } else if (task.cancelling) {
    add("[cancelling]");
  }
  add(task.attributes);
  add(task.progress);
  if (!task.blocker.empty()) add("waits for " + task.blocker);
  return text;
}

std::vector<TaskRow> SelectTasks(const std::vector<EndpointState>& states,
                                 const ListSettings& settings) {
  std::vector<std::string> words;
  std::istringstream in(Lower(settings.filter));
  for (std::string word; in >> word;) words.push_back(std::move(word));
  std::vector<TaskRow> tasks;
  for (const EndpointState& state : states) {
    for (const TaskRow& task : state.tasks) {
      if (Matches(task, words)) tasks.push_back(task);
    }
  }
  std::sort(tasks.begin(), tasks.end(), [&](const TaskRow& a, const TaskRow& b) {
    return settings.is_reversed ? IsBefore(b, a, settings.sort) : IsBefore(a, b, settings.sort);
  });
  return tasks;
}

std::string SummaryOf(const EndpointState& state) {
  if (!state.was_asked) return state.endpoint + "  ...";
  if (!state.is_reached) return state.endpoint + "  UNREACHABLE: " + state.error;
  std::string text = state.endpoint + "  " + std::to_string(state.total_tasks) + " tasks";
  const auto sources = state.replication.find("sources");
  if (sources == state.replication.end() || !sources->is_array()) return text;
  for (const Json& source : *sources) {
    if (source.is_object() && !Text(source, "role").empty()) text += "; " + SummaryOf(source);
  }
  return text;
}

}  // namespace slipstream_top
