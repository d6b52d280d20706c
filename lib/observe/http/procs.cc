#include "lib/observe/http/procs.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lib/observe/http/json_answer.h"
#include "lib/observe/http/proc_json.h"
#include "lib/observe/http/proc_query.h"
#include "lib/observe/http/timestamp.h"
#include "lib/observe/wall_clock.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

constexpr size_t kMaxChain = 100;

void AnswerUnknown(TaskId id, httplib::Response* response) {
  AnswerError(404, "there is no task " + std::to_string(id), response);
}

// False if the body is neither empty nor {"message": "..."}.
bool ParseMessage(const std::string& body, std::string* message) {
  *message = "cancelled over HTTP";
  if (body.empty()) return true;
  // nlohmann's parser keeps its own stack, so a body of brackets alone does no harm; destroying
  // what it makes does not recurse either.
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return false;
  const auto found = json.find("message");
  if (found == json.end()) return true;
  if (!found->is_string()) return false;
  if (!found->get_ref<const std::string&>().empty()) *message = found->get<std::string>();
  return true;
}

}  // namespace

void Procs::List(const httplib::Request& request, bool as_tree, httplib::Response* response) const {
  ProcQuery query;
  std::string error;
  if (!ProcQuery::Parse(request.params, &query, &error)) return AnswerError(400, error, response);
  Json answer = {{"procs", Json::array()}, {"serverTime", Timestamp(WallMicros())}, {"total", 0}};
  if (registry_ != nullptr) {
    const ProcQuery::Selected selected = query.Select(*registry_);
    const WallTime times(*registry_);
    if (query.as_tree || as_tree) {
      answer["procs"] = ProcTreeJson(selected.tasks, times);
    } else {
      for (const TaskInfo& task : selected.tasks) answer["procs"].push_back(ProcJson(task, times));
    }
    answer["serverTime"] = Timestamp(times.now_us());
    answer["total"] = selected.total;
  }
  AnswerJson(200, answer, response);
}

bool Procs::Get(TaskId id, TaskInfo* task, httplib::Response* response) const {
  if (registry_ != nullptr && registry_->Get(id, task).ok()) return true;
  AnswerUnknown(id, response);
  return false;
}

void Procs::Show(TaskId id, httplib::Response* response) const {
  TaskInfo task;
  if (!Get(id, &task, response)) return;
  const WallTime times(*registry_);
  Json answer = ProcJson(task, times);
  answer["serverTime"] = Timestamp(times.now_us());
  AnswerJson(200, answer, response);
}

void Procs::History(TaskId id, httplib::Response* response) const {
  std::vector<StatusChange> history;
  if (registry_ == nullptr || !registry_->History(id, &history).ok()) {
    return AnswerUnknown(id, response);
  }
  const WallTime times(*registry_);
  AnswerJson(
      200,
      {{"history", ProcHistoryJson(history, times)}, {"serverTime", Timestamp(times.now_us())}},
      response);
}

void Procs::Blockers(TaskId id, httplib::Response* response) const {
  TaskInfo task;
  if (!Get(id, &task, response)) return;
  const WallTime times(*registry_);
  std::vector<TaskId> seen;
  Json chain = Json::array();
  // What the chain ends with.
  std::string end;
  while (end.empty()) {
    chain.push_back(ProcJson(task, times));
    seen.push_back(task.id);
    if (task.ended_us != 0) {
      end = "ended";
    } else if (task.blocker.kind == Blocker::Kind::kNone) {
      end = "running";
    } else if (task.blocker.kind == Blocker::Kind::kLock) {
      end = "lock";
    } else if (task.blocker.kind == Blocker::Kind::kPeer) {
      end = "peer";
    } else if (std::find(seen.begin(), seen.end(), task.blocker.task) != seen.end()) {
      end = "circle";
    } else if (seen.size() == kMaxChain) {
      end = "too long";
    } else if (!registry_->Get(task.blocker.task, &task).ok()) {
      end = "unknown task";
    }
  }
  AnswerJson(200,
             {{"chain", std::move(chain)},
              {"end", std::move(end)},
              {"serverTime", Timestamp(times.now_us())}},
             response);
}

void Procs::Cancel(TaskId id, const httplib::Request& request, httplib::Response* response) const {
  std::string message;
  if (!ParseMessage(request.body, &message)) {
    return AnswerError(400, "the body is not {\"message\": \"...\"}", response);
  }
  const Status s = registry_ == nullptr ? Status::NotFound() : registry_->Cancel(id, message);
  if (s.IsNotSupported()) {
    return AnswerError(403, "task " + std::to_string(id) + " forbids it", response);
  }
  if (!s.ok()) {
    return AnswerError(404, "there is no running task " + std::to_string(id), response);
  }
  AnswerJson(200, {{"id", std::to_string(id)}, {"cancelling", true}}, response);
}

}  // namespace slipstream::observe
