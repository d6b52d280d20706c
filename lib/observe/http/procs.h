// The paths below /procs.
#pragma once

#include <httplib.h>

#include "slipstream/observe/task_registry.h"

namespace slipstream::observe {

// Threads: any, calls may overlap. The paths have been matched, verbs and rights checked.
class Procs {
 public:
  // registry: may be null; outlives this.
  explicit Procs(TaskRegistry* registry) : registry_(registry) {}

  void List(const httplib::Request& request, bool as_tree, httplib::Response* response) const;
  void Show(TaskId id, httplib::Response* response) const;
  void History(TaskId id, httplib::Response* response) const;
  void Blockers(TaskId id, httplib::Response* response) const;
  void Cancel(TaskId id, const httplib::Request& request, httplib::Response* response) const;

 private:
  // Answers with 404 if it is unknown.
  bool Get(TaskId id, TaskInfo* task, httplib::Response* response) const;

  TaskRegistry* const registry_;
};

}  // namespace slipstream::observe
