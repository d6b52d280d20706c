// Metrics in Prometheus' text format.
#pragma once

#include <string>
#include <vector>

#include "slipstream/observe/metrics.h"

namespace slipstream::observe {

// Families and labels whose names Prometheus does not take are left out.
std::string MetricsText(const std::vector<MetricFamily>& families);

}  // namespace slipstream::observe
