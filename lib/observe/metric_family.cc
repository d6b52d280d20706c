#include <algorithm>

#include "slipstream/observe/metrics.h"

namespace slipstream::observe {

MetricFamily* FamilyOf(std::vector<MetricFamily>* families, std::string_view name,
                       std::string_view help, MetricFamily::Type type) {
  const auto found = std::find_if(families->begin(), families->end(),
                                  [&](const MetricFamily& family) { return family.name == name; });
  if (found != families->end()) return &*found;
  families->push_back({std::string(name), std::string(help), type, {}});
  return &families->back();
}

}  // namespace slipstream::observe
