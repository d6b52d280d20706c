// When a wait becomes a task.
#pragma once

#include <cstdint>

namespace slipstream::observe {

// A wait that is over sooner is not registered: there may be thousands of those in a second, which
// would push what matters out of the list of ended tasks. Unit: microseconds.
inline constexpr uint64_t kUnseenWaitUs = 20000;

}  // namespace slipstream::observe
