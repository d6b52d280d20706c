// /threads: what the threads of the process do.
#pragma once

#include <httplib.h>

#include "slipstream/observe/task_registry.h"

namespace slipstream::observe {

// As JSON, with ?format=text as text, and with ?samples= or ?format=collapsed as collapsed stacks.
// registry: may be null.
void AnswerThreads(const httplib::Request& request, const TaskRegistry* registry,
                   httplib::Response* response);

}  // namespace slipstream::observe
