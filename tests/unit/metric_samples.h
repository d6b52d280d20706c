// Finding a sample among metrics, and what all of them keep to.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "slipstream/observe/metrics.h"

namespace slipstream::observe {

using Labels = std::vector<std::pair<std::string, std::string>>;

// REQUIRES: there is one, and the family once.
inline MetricSample SampleOf(const std::vector<MetricFamily>& families, const std::string& name,
                             const Labels& labels) {
  INFO(name);
  std::vector<MetricSample> found;
  for (const MetricFamily& family : families) {
    if (family.name != name) continue;
    for (const MetricSample& sample : family.samples) {
      if (sample.labels == labels) found.push_back(sample);
    }
  }
  REQUIRE(found.size() == 1);
  return found[0];
}

// Names as Prometheus wants them: of counters with _total at the end, and of no others; each family
// once, and each sample of it.
inline void CheckNames(const std::vector<MetricFamily>& families) {
  const std::regex valid("slipstream_[a-z]+(_[a-z]+)*");
  std::set<std::string> names;
  for (const MetricFamily& family : families) {
    INFO(family.name);
    CHECK(std::regex_match(family.name, valid));
    CHECK(names.insert(family.name).second);
    CHECK(family.name.ends_with("_total") == (family.type == MetricFamily::Type::kCounter));
    CHECK(family.help.ends_with("."));
    std::set<Labels> labels;
    for (const MetricSample& sample : family.samples) CHECK(labels.insert(sample.labels).second);
  }
}

}  // namespace slipstream::observe
