// Many runs at the same time, each with a fault of its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/faults/fault_run.h"

namespace slipstream::testing {

struct FaultPlan {
  std::string what;
  std::function<void(FaultRun*)> arm;
};

// Runs the workload once for each plan and checks that all ends well.
void AttemptAll(const std::vector<FaultPlan>& plans);

}  // namespace slipstream::testing
