// Adds samples that have the same labels, one after another.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "slipstream/observe/metrics.h"

namespace slipstream::observe {

class MetricWriter {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  // prefix: of all names. `families` is borrowed.
  MetricWriter(std::vector<MetricFamily>* families, std::string prefix, Labels labels)
      : families_(families), prefix_(std::move(prefix)), labels_(std::move(labels)) {}

  void Counter(std::string_view name, std::string_view help, uint64_t value) {
    Add(name, help, MetricFamily::Type::kCounter, {labels_, static_cast<double>(value), {}});
  }
  void Gauge(std::string_view name, std::string_view help, double value) {
    Add(name, help, MetricFamily::Type::kGauge, {labels_, value, {}});
  }
  void Gauge(std::string_view name, std::string_view help, uint64_t value) {
    Gauge(name, help, static_cast<double>(value));
  }
  // Of microseconds, told in seconds.
  void Seconds(std::string_view name, std::string_view help, uint64_t micros) {
    Gauge(name, help, static_cast<double>(micros) / 1e6);
  }
  void Histogram(std::string_view name, std::string_view help, HistogramSnapshot histogram) {
    Add(name, help, MetricFamily::Type::kHistogram, {labels_, 0, std::move(histogram)});
  }

 private:
  void Add(std::string_view name, std::string_view help, MetricFamily::Type type,
           MetricSample sample) {
    FamilyOf(families_, prefix_ + std::string(name), help, type)
        ->samples.push_back(std::move(sample));
  }

  std::vector<MetricFamily>* const families_;
  const std::string prefix_;
  const Labels labels_;
};

}  // namespace slipstream::observe
