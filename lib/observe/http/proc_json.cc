#include "lib/observe/http/proc_json.h"

#include <string>
#include <unordered_map>

#include "lib/observe/http/timestamp.h"

namespace slipstream::observe {
namespace {

constexpr int kMaxDepth = 64;

const char* OutcomeName(TaskOutcome outcome) {
  switch (outcome) {
    case TaskOutcome::kRunning:
      return "running";
    case TaskOutcome::kOk:
      return "ok";
    case TaskOutcome::kFailed:
      return "failed";
    case TaskOutcome::kCancelled:
      return "cancelled";
  }
  return "";
}

Json BlockerJson(const Blocker& blocker) {
  switch (blocker.kind) {
    case Blocker::Kind::kTask:
      return {{"kind", "task"}, {"id", std::to_string(blocker.task)}};
    case Blocker::Kind::kLock:
      return {{"kind", "lock"}, {"name", blocker.name}};
    case Blocker::Kind::kPeer:
      return {{"kind", "peer"}, {"name", blocker.name}};
    case Blocker::Kind::kNone:
      break;
  }
  return nullptr;
}

class ProcTree {
 public:
  ProcTree(const std::vector<TaskInfo>& tasks, const WallTime& times)
      : tasks_(tasks), times_(times) {
    std::unordered_map<TaskId, size_t> places;
    for (size_t i = 0; i < tasks.size(); ++i) places.emplace(tasks[i].id, i);
    children_.resize(tasks.size());
    for (size_t i = 0; i < tasks.size(); ++i) {
      const auto parent = places.find(tasks[i].parent);
      // A parent is older than its children, so there are no circles; a host may say otherwise.
      if (parent == places.end() || tasks[i].parent >= tasks[i].id) {
        roots_.push_back(i);
      } else {
        children_[parent->second].push_back(i);
      }
    }
  }

  Json ToJson() const {
    Json procs = Json::array();
    for (const size_t root : roots_) procs.push_back(Proc(root, 1));
    return procs;
  }

 private:
  Json Proc(size_t place, int depth) const {
    Json proc = ProcJson(tasks_[place], times_);
    const std::vector<size_t>& children = children_[place];
    if (depth == kMaxDepth && !children.empty()) {
      proc["omittedChildren"] = children.size();
      return proc;
    }
    Json& list = proc["children"] = Json::array();
    for (const size_t child : children) list.push_back(Proc(child, depth + 1));
    return proc;
  }

  const std::vector<TaskInfo>& tasks_;
  const WallTime& times_;
  std::vector<std::vector<size_t>> children_;
  std::vector<size_t> roots_;
};

}  // namespace

Json ProcJson(const TaskInfo& task, const WallTime& times) {
  Json attributes = Json::array();
  for (const auto& [name, value] : task.attributes) {
    attributes.push_back({{"name", name}, {"value", value}});
  }
  Json proc = {{"id", std::to_string(task.id)},
               {"attrs", std::move(attributes)},
               {"procTime", Timestamp(times.Of(task.began_us))},
               {"statusTime", Timestamp(times.Of(task.status_since_us))},
               {"status", task.status},
               {"cancelling", task.cancelling},
               {"kind", task.kind},
               {"parent", nullptr},
               {"cancellable", task.cancellable},
               {"progress", nullptr},
               {"blocker", BlockerJson(task.blocker)},
               {"outcome", OutcomeName(task.outcome)},
               {"endTime", nullptr},
               {"error", nullptr}};
  if (task.parent != 0) proc["parent"] = std::to_string(task.parent);
  const Progress& progress = task.progress;
  if (!progress.unit.empty() || progress.done != 0 || progress.total != 0) {
    proc["progress"] = {
        {"done", progress.done}, {"total", progress.total}, {"unit", progress.unit}};
  }
  if (task.ended_us != 0) {
    proc["endTime"] = Timestamp(times.Of(task.ended_us));
    if (task.outcome != TaskOutcome::kOk) proc["error"] = task.error;
  }
  return proc;
}

Json ProcTreeJson(const std::vector<TaskInfo>& tasks, const WallTime& times) {
  return ProcTree(tasks, times).ToJson();
}

Json ProcHistoryJson(const std::vector<StatusChange>& history, const WallTime& times) {
  Json changes = Json::array();
  for (const StatusChange& change : history) {
    changes.push_back({{"ts", Timestamp(times.Of(change.at_us))}, {"status", change.text}});
  }
  return changes;
}

}  // namespace slipstream::observe
